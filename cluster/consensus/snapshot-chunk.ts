/** A state on its way from one peer to another: rows in chunks, each with a checksum of everything so far, so that none is missing, doubled or moved. */
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
  readonly rows: readonly Row[]
  /** Over the rows of this chunk and of all before it. */
  readonly checksum: number
}

export const method = 'consensus/snapshot'

const whole = z.int().nonnegative()
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const questionShape = z.tuple([z.string().max(64), whole])
const chunkShape = z.tuple([z.string().max(64), whole, z.boolean(), z.array(z.tuple([bytes, bytes])), whole])

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
export function checksumOf(rows: readonly Row[], before: number): number {
  let sum = before
  for (const [key, value] of rows) sum = crc32(value, crc32(key, crc32(lengths(key, value), sum)))
  return sum
}

/** Without them, a byte could move from a key to its value. */
function lengths(key: Uint8Array, value: Uint8Array): Uint8Array {
  return new Uint8Array(Uint32Array.of(key.length, value.length).buffer)
}
