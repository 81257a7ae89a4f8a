/**
 * How far the state has come: two rows of the state itself, in the batch that changes it. So whoever reads the state at one moment, or fetches it from
 * another peer, has its place in the log and the members as of that place with it.
 */
import { z } from 'zod'
import type { Configuration, Entry, Snapshot } from '../raft/types.ts'
import { key } from '../state/keys.ts'
import type { Spaces } from '../state/spaces.ts'
import type { Rows, WriteOp } from '../state/store.ts'
import { decodeConfiguration, encodeConfiguration } from './codec.ts'
import { seal, unseal } from './seal.ts'

const appliedKey = key('p/applied')
const configurationKey = key('p/configuration')
const index = z.int().nonnegative()
const position = z.tuple([index, index])
const placed = z.tuple([index, z.custom<Uint8Array>(value => value instanceof Uint8Array)])

/** The rows for having applied `entries`. */
export function markerWrites(entries: readonly Entry[]): WriteOp[] {
  const last = entries.at(-1)
  const change = entries.findLast(entry => entry.type === 'configuration')
  const writes: WriteOp[] = []
  if (last) writes.push(appliedWrite(last))
  if (change) writes.push(configurationWrite(change.index, change.configuration))
  return writes
}

export function appliedWrite({ index, term }: Pick<Entry, 'index' | 'term'>): WriteOp {
  return { type: 'put', key: appliedKey, value: seal([index, term]) }
}

/** The row for a configuration that became effective at `index`; 0 for the founding one. */
export function configurationWrite(index: number, configuration: Configuration): WriteOp {
  return { type: 'put', key: configurationKey, value: seal([index, encodeConfiguration(configuration)]) }
}

/** The first rows of a state: nothing is applied yet. */
export function foundingState(state: Spaces, founding: Configuration): readonly WriteOp[] {
  return state.current.writes([configurationWrite(0, founding)])
}

/** @throws Error where there is none, or it is damaged */
export async function readMarker(state: Rows): Promise<Snapshot> {
  const [applied, members] = await Promise.all([state.get(appliedKey), state.get(configurationKey)])
  if (members === undefined) throw new Error('the state does not say who the members are')
  const [index, term] = applied === undefined ? [0, 0] : position.parse(unseal(applied))
  const [at, bytes] = placed.parse(unseal(members))
  return { index, term, configuration: { index: at, configuration: decodeConfiguration(bytes) } }
}
