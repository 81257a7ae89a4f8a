/** What folders before format 3 lack: how far the state had come was a row beside the state, and the log told the rest, of which everything was kept. */
import { z } from 'zod'
import { key, numberKey, numberOf } from '../state/keys.ts'
import type { Rows, WriteOp } from '../state/store.ts'
import { decodeConfiguration } from './codec.ts'
import { appliedWrite, configurationWrite } from './marker.ts'
import { unseal } from './seal.ts'
import { orRefuse } from './storage.ts'

const appliedKey = key('m/applied')
const whole = z.int().nonnegative()
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)

/** Index of the last entry whose changes are in the state. @throws ClusterError `cannot_start` */
export function appliedBefore(store: Rows): Promise<number> {
  return orRefuse(async () => {
    const value = await store.get(appliedKey)
    return value === undefined ? 0 : whole.parse(unseal(value))
  })
}

/** Rows of the state that say how far it has come, and who the members are by then. @throws ClusterError `cannot_start` */
export function markersBefore(store: Rows): Promise<WriteOp[]> {
  return orRefuse(async () => {
    const applied = await appliedBefore(store)
    const run = await lastUpTo(store, 't/', applied)
    const placed = await lastUpTo(store, 'g/', applied)
    if (placed === undefined) throw new Error('the members it began with are missing')
    return [
      appliedWrite({ index: applied, term: run === undefined ? 0 : whole.parse(run.value) }),
      configurationWrite(placed.index, decodeConfiguration(bytes.parse(placed.value)))
    ]
  })
}

/** Belongs into the batch that has the markers: the row that they take the place of is gone. */
export function withoutApplied(): WriteOp {
  return { type: 'delete', key: appliedKey }
}

async function lastUpTo(
  store: Rows,
  prefix: string,
  index: number
): Promise<{ readonly index: number; readonly value: unknown } | undefined> {
  const range = { gte: numberKey(prefix, 0), lt: numberKey(prefix, index + 1) }
  for await (const [row, value] of store.rows(range, { reverse: true, limit: 1 }))
    return { index: numberOf(prefix, row), value: unseal(value) }
  return undefined
}
