/**
 * What a list shows of a pin, read from the bytes of its record and nothing else: decoding all of a record takes ten times as long, and a list is of
 * many. It knows the layout of `record.ts`; whatever it does not recognise is left to that file.
 */
import type { PinOutline } from '../../src/pin-page.ts'

const nothing = new Uint8Array()
/** Places in the tuple of `record.ts`. */
const fields = 15
const nameField = 2
const depthField = 10

/** `undefined` where the record is not written as this program writes it. */
export function outlineOfRecord(record: Uint8Array): PinOutline | undefined {
  // A tuple of 15, of layout 1, and a type below 24.
  const type = record[2] ?? 255
  if (record[0] !== 0x80 + fields || record[1] !== 1 || type > 3) return undefined
  const nameEnd = itemEnd(record, 3)
  const name = nameOf(record, 3, nameEnd)
  let at = nameEnd
  for (let field = nameField + 1; field < depthField && at !== -1; field++) at = itemEnd(record, at)
  const depth = at === -1 ? undefined : record[at]
  if (name === undefined || depth === undefined || depth >> 5 > 1) return undefined
  return { isDirect: depth === 0, isPlain: type === 0, name }
}

/** `undefined` where no text stands there. */
function nameOf(record: Uint8Array, start: number, end: number): Uint8Array | undefined {
  const head = record[start] ?? 0
  if (end === -1 || head >> 5 !== 3) return undefined
  return head === 0x60 ? nothing : record.subarray(start + headLength(head), end)
}

/** Where the CBOR item that begins at `start` ends; -1 where it does not, or is none with a length of its own. */
function itemEnd(record: Uint8Array, start: number): number {
  let at = start
  // Items still to come: those of a list or map are more of them.
  for (let left = 1; left > 0; left--) {
    const head = record[at]
    if (head === undefined || (head & 31) > 27) return -1
    const argument = argumentOf(record, at)
    at += headLength(head)
    const kind = head >> 5
    if (kind === 2 || kind === 3) at += argument
    else if (kind === 4) left += argument
    else if (kind === 5) left += 2 * argument
    else if (kind === 6) left++
  }
  return at <= record.length ? at : -1
}

function headLength(head: number): number {
  const size = head & 31
  return size < 24 ? 1 : 1 + (1 << (size - 24))
}

function argumentOf(record: Uint8Array, at: number): number {
  const head = record[at] ?? 0
  if ((head & 31) < 24) return head & 31
  let argument = 0
  for (let next = at + 1; next < at + headLength(head); next++) argument = argument * 256 + (record[next] ?? 0)
  return argument
}
