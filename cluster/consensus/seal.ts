/** Rows with their checksum in front: a bit that flips on the disk is noticed, whatever the engine does. */
import { crc32 } from 'node:zlib'
import { decode, encode } from 'cborg'

export function seal(value: unknown): Uint8Array {
  const data = encode(value)
  const row = Buffer.allocUnsafe(4 + data.length)
  row.writeUInt32BE(crc32(data), 0)
  row.set(data, 4)
  return row
}

/** @throws Error for a row that is not what was written */
export function unseal(row: Uint8Array): unknown {
  const data = row.subarray(4)
  const isWhole = row.length > 4 && new DataView(row.buffer, row.byteOffset, 4).getUint32(0) === crc32(data)
  if (!isWhole) throw new Error('a row has a wrong checksum')
  return decode(data)
}
