/**
 * What can be said of all pins without reading them: how many there are, and a hash by which two peers can tell that they hold the same ones. The hash is a
 * sum over the pins, so a change costs as much as the pin it changes, and the order of the pins does not matter. It finds faults, not forgers.
 */
import { hash } from 'node:crypto'
import type { PinChange } from './draft.ts'
import { key, numberKey, numberOf } from './keys.ts'
import { encodePin } from './record.ts'
import type { Rows, WriteOp } from './store.ts'

export interface Summary {
  readonly count: number
  /** Of the last change; 0 before the first. */
  readonly index: number
  /** 128 bits. */
  readonly hash: bigint
}

/** The first and the last row, of which both lie before the pins. */
export const countKey = key('p/count')
export const hashKey = key('p/hash')
const hashBytes = 16
export const emptySummary: Summary = { count: 0, index: 0, hash: 0n }

export async function readSummary(rows: Pick<Rows, 'get'>): Promise<Summary> {
  return summaryOf(await rows.get(countKey), await rows.get(hashKey))
}

export function summaryOf(count: Uint8Array | undefined, value: Uint8Array | undefined): Summary {
  if (count === undefined || value === undefined) return emptySummary
  const number = BigInt(`0x${Buffer.from(value.subarray(8)).toString('hex')}`)
  return { count: numberOf('', count), index: numberOf('', value), hash: number }
}

export function writeSummary({ count, index, hash }: Summary): WriteOp[] {
  const number = Buffer.from(hash.toString(16).padStart(2 * hashBytes, '0'), 'hex')
  return [
    { type: 'put', key: countKey, value: numberKey('', count) },
    { type: 'put', key: hashKey, value: Buffer.concat([numberKey('', index), number]) }
  ]
}

export function changed({ count, hash }: Summary, { cidBytes, before, after, record, index }: PinChange): Summary {
  const gone = before === undefined ? 0n : hashOf(cidBytes, encodePin(before))
  const here = record === undefined ? 0n : hashOf(cidBytes, record)
  return {
    count: count + Number(after !== undefined) - Number(before !== undefined),
    index,
    hash: BigInt.asUintN(8 * hashBytes, hash - gone + here)
  }
}

/** @param record the bytes of the pin */
export function hashOf(cidBytes: Uint8Array, record: Uint8Array): bigint {
  // A CID says how long it is: no other pair of CID and record has the same bytes.
  const digest = hash('sha256', Buffer.concat([cidBytes, record]), 'hex')
  return BigInt(`0x${digest.slice(0, 2 * hashBytes)}`)
}

/** As it is shown and compared: the layout of the records is part of what is hashed, so peers that write another one do not compare. */
export function hashText(hash: bigint): string {
  return `1:${hash.toString(16).padStart(2 * hashBytes, '0')}`
}
