/** Folders of older formats are brought up to the present one, a format at a time, by passes that can be begun again at any time. */
import { cidFromBytes } from '../../src/codec.ts'
import { key, prefixRange } from './keys.ts'
import { pins, secondaryKeys } from './pin-rows.ts'
import { decodePin } from './record.ts'
import type { Space } from './spaces.ts'
import type { Range, Store, WriteOp } from './store.ts'
import { countKey, emptySummary, hashKey, hashOf, type Summary, writeSummary } from './summary.ts'

const batchMax = 2_000
/** Of the state in format 2. Among the rows of `p/` is one that is no part of it. */
const stateBefore: readonly Range[] = [
  ...['a/', 'c/', 'd/', 'n/', 's/', 'x/'].map(prefix => prefixRange(prefix)),
  only(countKey),
  only(hashKey)
]

/** From format 1, which has no secondary keys and no hash, to format 2. @param applied index of the last entry that is applied */
export async function indexPins(store: Store, applied: number): Promise<void> {
  let summary: Summary = { ...emptySummary, index: applied }
  let writes: WriteOp[] = []
  for await (const [row, value] of store.rows(prefixRange(pins))) {
    const cid = row.subarray(pins.length)
    const pin = decodePin(cidFromBytes(cid), value)
    summary = { ...summary, count: summary.count + 1, hash: BigInt.asUintN(128, summary.hash + hashOf(cid, value)) }
    for (const key of secondaryKeys(pin, cid)) writes.push({ type: 'put', key, value: new Uint8Array() })
    if (writes.length < batchMax) continue
    await store.write(writes, { sync: false })
    writes = []
  }
  await store.write([...writes, ...writeSummary(summary)], { sync: true })
}

/** From format 2, where the state lies among the other rows of the store, towards format 3, where it has a space of its own. */
export async function moveState(store: Store, space: Space): Promise<void> {
  for (const range of stateBefore) {
    let puts: WriteOp[] = []
    const move = async () => {
      // A row is in one place or in the other: whatever was cut off goes on with what is left.
      await store.write([...space.writes(puts), ...puts.map(({ key }): WriteOp => ({ type: 'delete', key }))], { sync: false })
      puts = []
    }
    for await (const [row, value] of store.rows(range)) {
      if (puts.push({ type: 'put', key: row, value }) >= batchMax) await move()
    }
    await move()
  }
}

function only(row: Uint8Array): Range {
  return { gte: row, lt: key('', new Uint8Array([...row, 0])) }
}
