/** Members as the rooms above know them, to and from the opaque context that the core carries; what founding and joining say on the wire. */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { parseMultiaddr, parsePeerId } from '../../src/codec.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Configuration, Member } from '../raft/types.ts'
import { decodeConfiguration, encodeConfiguration } from './codec.ts'
import type { ClusterMember } from './consensus.ts'

const context = z.tuple([z.string(), z.array(z.string())])
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const requestShape = z.tuple([z.int().nonnegative(), z.string(), z.string().max(256), z.array(z.string().max(512)).max(64)])
const welcomeShape = z.tuple([z.string(), bytes, bytes])

export type Newcomer = Omit<ClusterMember, 'isVoter'>

/** What is asked about a member, on its way to the leader. */
export interface MemberRequest {
  /** From member to member so far. */
  readonly hops: number
  readonly member: Newcomer
}

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

/** The configuration without `id`; `undefined` where it is not in it. */
export function withoutMember({ members }: Configuration, id: string): Configuration | undefined {
  const others = members.filter(member => member.id !== id)
  return others.length === members.length ? undefined : { members: others }
}

export function encodeRequest({ hops, member: { id, name, addresses } }: MemberRequest): Uint8Array {
  return encode([hops, id, name, [...addresses]])
}

/** @throws ClusterError `invalid` */
export function decodeRequest(payload: Uint8Array): MemberRequest {
  return orInvalid('a request of a member', () => {
    const [hops, id, name, addresses] = requestShape.parse(decode(payload))
    return { hops, member: { id: parsePeerId(id), name, addresses: addresses.map(parseMultiaddr) } }
  })
}

export function encodeWelcome({ clusterId, founding, present }: Welcome): Uint8Array {
  return encode([clusterId, encodeConfiguration(founding), encodeConfiguration(present)])
}

/** @throws ClusterError `invalid` */
export function decodeWelcome(payload: Uint8Array): Welcome {
  return orInvalid('a welcome', () => {
    const [clusterId, founding, present] = welcomeShape.parse(decode(payload))
    return { clusterId, founding: decodeConfiguration(founding), present: decodeConfiguration(present) }
  })
}

function orInvalid<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new ClusterError({ code: 'invalid' }, `not ${what}: ${messageOf(error)}`, { cause: error })
  }
}
