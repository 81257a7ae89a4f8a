/**
 * The rows of the store, by prefix. Integers in keys are 8 bytes big-endian, so that bytes order as numbers do.
 * The state, the same on every peer that has applied the same entries, lies in one of two spaces: `0/` or `1/` stands before the keys of its rows.
 *
 * | key | value | owner |
 * |---|---|---|
 * | `m/…` | identity of the folder, hard state, first members, readiness, where the log begins | consensus/storage.ts |
 * | `m/space` | which of the two spaces holds the state | state/spaces.ts |
 * | `m/incoming` | how far a state from another peer has come | consensus/snapshot-receiver.ts |
 * | `l/` index | log entry | consensus/storage.ts |
 * | `t/` index | term that begins with that entry | consensus/storage.ts |
 * | `g/` index | configuration that became effective there | consensus/storage.ts |
 * | `p/generation` | number of the last comparison with Kubo | ipfs/holdings.ts |
 * | `k/` cid bytes | what this peer's Kubo has, as last seen | ipfs/holdings.ts |
 * | `0/` or `1/`, then a key of those below | the state | state/spaces.ts |
 * | `p/applied`, `p/configuration` | how far the state has come: the last entry, and the members by then | consensus/marker.ts |
 * | `c/` origin | how far one start of a peer has been answered | consensus/sessions.ts |
 * | `c/` origin, page | results that it may still ask for | consensus/sessions.ts |
 * | `s/` cid bytes | pin | state/pin-rows.ts |
 * | `x/` expiry, cid bytes | nothing: pins by the time they expire | state/pin-rows.ts |
 * | `n/` name, 0, time, cid bytes | nothing: pins that have a name, by it and by the time they were asked for | state/pin-rows.ts |
 * | `d/` time, cid bytes | nothing: pins by the time they were asked for | state/pin-rows.ts |
 * | `a/` index | time and words of a note: what an operator did past the rules | state/notes.ts |
 * | `p/count` | number of pins | state/summary.ts |
 * | `p/hash` | index of the last change (where the folder was of format 1: of that or a later entry), hash of all pins | state/summary.ts |
 */
import type { Range } from './store.ts'

const text = new TextEncoder()
/** There are a dozen of them, and every row needs one. */
const heads = new Map<string, Uint8Array>()
const half = 2 ** 32

function headOf(prefix: string): Uint8Array {
  const known = heads.get(prefix)
  if (known !== undefined) return known
  const head = text.encode(prefix)
  if (heads.size < 64) heads.set(prefix, head)
  return head
}

/** From the pool, as all keys: they live as long as a batch, and memory of their own is what an import would spend most of its time on. */
export function key(prefix: string, rest: Uint8Array = new Uint8Array()): Uint8Array {
  const head = headOf(prefix)
  const bytes = Buffer.allocUnsafe(head.length + rest.length)
  bytes.set(head)
  bytes.set(rest, head.length)
  return bytes
}

/** `number` is a whole number from 0 to 2^53 - 1; `rest` is what comes behind it. */
export function numberKey(prefix: string, number: number, rest?: Uint8Array): Uint8Array {
  const head = headOf(prefix)
  const bytes = Buffer.allocUnsafe(head.length + 8 + (rest?.length ?? 0))
  bytes.set(head)
  bytes.writeUInt32BE(Math.floor(number / half), head.length)
  bytes.writeUInt32BE(number % half, head.length + 4)
  if (rest !== undefined) bytes.set(rest, head.length + 8)
  return bytes
}

export function numberOf(prefix: string, bytes: Uint8Array): number {
  const at = text.encode(prefix).length
  return Number(new DataView(bytes.buffer, bytes.byteOffset + at, 8).getBigUint64(0))
}

/** Every key that starts with `prefix`, optionally from `after` on (exclusive): for going on behind a row that was seen. */
export function prefixRange(prefix: string, after?: Uint8Array): Range {
  const gte = after === undefined ? key(prefix) : key(prefix, new Uint8Array([...after, 0]))
  const lt = key(prefix)
  // Prefixes end in '/', and no byte of theirs is 0xff.
  lt[lt.length - 1] = (lt[lt.length - 1] ?? 0) + 1
  return { gte, lt }
}
