/** From format 1, which has no secondary keys and no hash, to format 2: one pass over the pins, that can be begun again at any time. */
import { cidFromBytes } from '../../src/codec.ts'
import { prefixRange } from './keys.ts'
import { pins, secondaryKeys } from './pin-rows.ts'
import { decodePin } from './record.ts'
import type { Store, WriteOp } from './store.ts'
import { emptySummary, hashOf, type Summary, writeSummary } from './summary.ts'

const batchMax = 2_000

/** @param applied index of the last entry that is applied */
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
