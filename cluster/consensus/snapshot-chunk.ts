/**
 * A state on its way from one peer to another: rows in chunks, each with a checksum of everything so far, so that none is missing, doubled or moved.
 * The rows of a chunk are one piece of bytes: an item of CBOR for each would cost the sender and the receiver more than reading and storing the row.
 */
import { crc32 } from 'node:zlib'
import { decode, encode } from 'cborg'
import { z } from 'zod'
import type { Row } from '../state/store.ts'

/** Which chunk is wanted. `transfer` is empty where a new one is to begin. */
export interface Question {
  readonly transfer: string
  readonly number: number
}

export interface Chunk extends Question {
  readonly isLast: boolean
  /** Packed. */
  readonly rows: Uint8Array
  /** Over the rows of this chunk and of all before it. */
  readonly checksum: number
}

export const method = 'consensus/snapshot'

const lengthsBytes = 8
const whole = z.int().nonnegative()
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const questionShape = z.tuple([z.string().max(64), whole])
const chunkShape = z.tuple([z.string().max(64), whole, z.boolean(), bytes, whole])

export function encodeQuestion({ transfer, number }: Question): Uint8Array {
  return encode([transfer, number])
}

/** @throws Error for bytes that are none */
export function decodeQuestion(payload: Uint8Array): Question {
  const [transfer, number] = questionShape.parse(decode(payload))
  return { transfer, number }
}

export function encodeChunk({ transfer, number, isLast, rows, checksum }: Chunk): Uint8Array {
  return encode([transfer, number, isLast, rows, checksum])
}

/** @throws Error for bytes that are none */
export function decodeChunk(payload: Uint8Array): Chunk {
  const [transfer, number, isLast, rows, checksum] = chunkShape.parse(decode(payload))
  return { transfer, number, isLast, rows, checksum }
}

/** @param before of the chunks before; 0 for the first one */
export function checksumOf(rows: Uint8Array, before: number): number {
  return crc32(rows, before)
}

/** Of each row the length of its key and of its value, 4 bytes each, then both: no byte can move from one to the other unnoticed. */
export function packRows(rows: readonly Row[]): Uint8Array {
  const packed = Buffer.allocUnsafe(rows.reduce((bytes, row) => bytes + packedSize(row), 0))
  let at = 0
  for (const [key, value] of rows) {
    packed.writeUInt32BE(key.length, at)
    packed.writeUInt32BE(value.length, at + 4)
    packed.set(key, at + lengthsBytes)
    packed.set(value, at + lengthsBytes + key.length)
    at += lengthsBytes + key.length + value.length
  }
  return packed
}

/** @throws Error where it ends within a row */
export function unpackRows(packed: Uint8Array): Row[] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length)
  const rows: Row[] = []
  for (let at = 0; at < packed.length; ) {
    const value = at + lengthsBytes + view.getUint32(at)
    const end = value + view.getUint32(at + 4)
    if (end > packed.length) throw new Error('a chunk of the state ends within a row')
    rows.push([packed.subarray(at + lengthsBytes, value), packed.subarray(value, end)])
    at = end
  }
  return rows
}

/** Bytes of a row among others. */
export function packedSize([key, value]: Row): number {
  return lengthsBytes + key.length + value.length
}
