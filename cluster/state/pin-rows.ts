/**
 * The rows of a pin: itself by its CID, and the secondary keys by which lists in another order need no scan. All of them change in the same batch.
 * What they look like is part of the format of the folder (`consensus/storage.ts`): another key is another format.
 */
import { cidFromBytes } from '../../src/codec.ts'
import type { Cid, Pin } from '../../src/types.ts'
import type { PinChange } from './draft.ts'
import { key, numberKey, prefixRange } from './keys.ts'
import type { Range, WriteOp } from './store.ts'

/** Pins by CID bytes. */
export const pins = 's/'
/** Pins by the time they expire: 8 bytes of Unix milliseconds, then CID bytes; the value says nothing. */
export const expiries = 'x/'
/** Pins by the time they were asked for, as those above. */
const times = 'd/'
/** Pins with a name: its first bytes, 0, the time as above, CID bytes; the value says nothing. */
const names = 'n/'
/** Longer names are told apart by what stands in the pin. */
const nameBytesMax = 200
/** Nobody reads it. One byte, as classic-level 3.0.0 copies an empty value into memory that it never gives back (`DisposeSliceBuffer` in its binding). */
const nothing = Buffer.alloc(1)
const zero = new Uint8Array(1)
const timeBytes = 8

export function pinKey(cid: Uint8Array): Uint8Array {
  return key(pins, cid)
}

export function writesFor({ cidBytes, before, after, record }: PinChange): WriteOp[] {
  const writes: WriteOp[] = []
  // Deleted first: what stays is written again by the same batch.
  if (before !== undefined) for (const row of secondaryKeys(before, cidBytes)) writes.push({ type: 'delete', key: row })
  if (after !== undefined) for (const row of secondaryKeys(after, cidBytes)) writes.push({ type: 'put', key: row, value: nothing })
  writes.push(record === undefined ? { type: 'delete', key: pinKey(cidBytes) } : { type: 'put', key: pinKey(cidBytes), value: record })
  return writes
}

export function secondaryKeys({ name, timestamp, expireAt }: Pin, cid: Uint8Array): Uint8Array[] {
  const byTime = timeKey(times, timestamp, cid)
  const keys = [byTime]
  if (name !== '') keys.push(nameKey(name, byTime))
  if (expireAt !== null) keys.push(timeKey(expiries, expireAt, cid))
  return keys
}

/** @param byTime the key of the same pin among those by time: what comes behind the name is what comes there behind the prefix */
function nameKey(name: string, byTime: Uint8Array): Uint8Array {
  const text = nameBytes(name)
  const row = Buffer.allocUnsafe(names.length + text.length + 1 + byTime.length - times.length)
  row.write(names, 'latin1')
  row.set(text, names.length)
  row[names.length + text.length] = 0
  row.set(byTime.subarray(times.length), names.length + text.length + 1)
  return row
}

/** The CID in a key of {@link byTime} or of the expiries. */
export function cidOfTimeKey(row: Uint8Array): Cid {
  return cidFromBytes(row.subarray(2 + timeBytes))
}

/** The CID in a key of {@link byName} or {@link byNamePrefix}. */
export function cidOfNameKey(row: Uint8Array): Cid {
  return cidFromBytes(row.subarray(row.indexOf(0, names.length) + 1 + timeBytes))
}

/** Both ends included. */
export interface Period {
  readonly after?: number | undefined
  readonly before?: number | undefined
}

export function byTime(period: Period): Range {
  return within(key(times), period)
}

/** Pins of that name by time; also of longer ones with the same beginning, where it is a long one. */
export function byName(name: string, period: Period): Range {
  return within(join(key(names, nameBytes(name)), zero), period)
}

/** Pins whose names begin with it, by name; and others, where it is a long one. */
export function byNamePrefix(prefix: string): Range {
  const gte = key(names, nameBytes(prefix))
  // No byte of UTF-8 is 0xff.
  return prefix === '' ? prefixRange(names) : { gte, lt: join(gte, new Uint8Array([0xff])) }
}

function within(head: Uint8Array, { after = 0, before }: Period): Range {
  const end = before === undefined ? new Uint8Array(timeBytes + 1).fill(0xff) : timeKey('', before + 1)
  return { gte: join(head, timeKey('', after)), lt: join(head, end) }
}

/** Times before 1970 stand together at the beginning, fractions of a millisecond are cut off. */
function timeKey(prefix: string, ms: number, rest?: Uint8Array): Uint8Array {
  return numberKey(prefix, Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.floor(ms))), rest)
}

/** UTF-8 without zero bytes, in the same order. */
function nameBytes(name: string): Uint8Array {
  const text = Buffer.from(name)
  const bytes = text.includes(0) || text.includes(1) ? Buffer.from([...text].flatMap(byte => (byte <= 1 ? [1, byte + 1] : [byte]))) : text
  return bytes.subarray(0, nameBytesMax)
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
