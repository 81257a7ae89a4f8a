/** Members as the rooms above know them, to and from the opaque context that the core carries. Founding, joining and promotion on the wire. */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { parseMultiaddr, parsePeerId } from '../../src/codec.ts'
import type { Configuration, Member } from '../raft/types.ts'
import { decodeConfiguration, encodeConfiguration } from './codec.ts'
import type { ClusterMember } from './consensus.ts'

const context = z.tuple([z.string(), z.array(z.string())])
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const memberShape = z.tuple([z.string(), z.string(), z.array(z.string()).max(64)])
const welcomeShape = z.tuple([z.string(), bytes, bytes])

export type Newcomer = Omit<ClusterMember, 'isVoter'>

/** What a newcomer gets: the cluster's id, the configuration the log begins with, and the present one, to dial its members. */
export interface Welcome {
  readonly clusterId: string
  readonly founding: Configuration
  readonly present: Configuration
}

export function toMember({ id, name, addresses }: Newcomer, isVoter: boolean): Member {
  return { id, isVoter, context: encode([name, [...addresses]]) }
}

export function fromMember({ id, isVoter, context: data }: Member): ClusterMember {
  const [name, addresses] = context.parse(decode(data))
  return { id: parsePeerId(id), isVoter, name, addresses: addresses.map(parseMultiaddr) }
}

export function fromConfiguration({ members }: Configuration): ClusterMember[] {
  return members.map(fromMember)
}

/** The configuration with `newcomer` as a learner, or with its name and addresses renewed; `undefined` where nothing would change. */
export function withNewcomer(configuration: Configuration, newcomer: Newcomer): Configuration | undefined {
  const present = configuration.members.find(({ id }) => id === newcomer.id)
  const next = toMember(newcomer, present?.isVoter ?? false)
  if (present !== undefined && Buffer.compare(present.context, next.context) === 0) return undefined
  return { members: [...configuration.members.filter(({ id }) => id !== newcomer.id), next] }
}

/** The configuration with the learner `id` as a voter; `undefined` where it is none. */
export function withVoter(configuration: Configuration, id: string): Configuration | undefined {
  const learner = configuration.members.find(member => member.id === id && !member.isVoter)
  return learner && { members: [...configuration.members.filter(member => member !== learner), { ...learner, isVoter: true }] }
}

export function encodeNewcomer({ id, name, addresses }: Newcomer): Uint8Array {
  return encode([id, name, [...addresses]])
}

export function decodeNewcomer(payload: Uint8Array): Newcomer {
  const [id, name, addresses] = memberShape.parse(decode(payload))
  return { id: parsePeerId(id), name, addresses: addresses.map(parseMultiaddr) }
}

export function encodeWelcome({ clusterId, founding, present }: Welcome): Uint8Array {
  return encode([clusterId, encodeConfiguration(founding), encodeConfiguration(present)])
}

export function decodeWelcome(payload: Uint8Array): Welcome {
  const [clusterId, founding, present] = welcomeShape.parse(decode(payload))
  return { clusterId, founding: decodeConfiguration(founding), present: decodeConfiguration(present) }
}
