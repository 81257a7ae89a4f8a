/**
 * CIDs of version 1 between their bytes and their canonical text (base32, prefix "b"), without an object in between: a peer does this several times for
 * every pin, and the general way costs ten times as much. What is not exactly canonical is left to that way.
 */

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
const codes = new Uint8Array(Buffer.from(alphabet, 'latin1'))
/** By character code; 255 is none. */
const values = new Uint8Array(128).fill(255)
for (const [value, code] of codes.entries()) values[code] = value

/** `undefined` where they are not the bytes of a CID of version 1. */
export function textOfCid(bytes: Uint8Array): string | undefined {
  if (!isCid(bytes)) return undefined
  const text = Buffer.allocUnsafe(textLength(bytes.length))
  return text.toString('latin1', 0, writeText(text, 0, { bytes, start: 0, end: bytes.length }))
}

/** Characters of the text of a CID of version 1 that is so many bytes long. */
export function textLength(bytes: number): number {
  return 1 + Math.ceil((bytes * 8) / 5)
}

/**
 * Writes the text of a CID of version 1, which is known to be one, into `text` from `from` on.
 * @returns where it ends
 */
export function writeText(
  text: Uint8Array,
  from: number,
  { bytes, start, end }: { readonly bytes: Uint8Array; readonly start: number; readonly end: number }
): number {
  let at = from
  text[at++] = 0x62
  let next = start
  // Five bytes are eight characters: two halves of twenty bits.
  for (; next + 5 <= end; next += 5) {
    const middle = bytes[next + 2] ?? 0
    const high = ((bytes[next] ?? 0) << 12) | ((bytes[next + 1] ?? 0) << 4) | (middle >> 4)
    const low = ((middle & 15) << 16) | ((bytes[next + 3] ?? 0) << 8) | (bytes[next + 4] ?? 0)
    text[at] = codes[high >> 15] ?? 0
    text[at + 1] = codes[(high >> 10) & 31] ?? 0
    text[at + 2] = codes[(high >> 5) & 31] ?? 0
    text[at + 3] = codes[high & 31] ?? 0
    text[at + 4] = codes[low >> 15] ?? 0
    text[at + 5] = codes[(low >> 10) & 31] ?? 0
    text[at + 6] = codes[(low >> 5) & 31] ?? 0
    text[at + 7] = codes[low & 31] ?? 0
    at += 8
  }
  let held = 0
  let bits = 0
  for (; next < end; next++) {
    held = ((held << 8) | (bytes[next] ?? 0)) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text[at++] = codes[(held >> bits) & 31] ?? 0
    }
  }
  if (bits > 0) text[at++] = codes[(held << (5 - bits)) & 31] ?? 0
  return at
}

/** `undefined` where it is not the canonical text of a CID of version 1. */
export function bytesOfCid(text: string): Uint8Array | undefined {
  if (text.charCodeAt(0) !== 0x62) return undefined
  // Not from the pool: it is remembered, and with it everything that shares its eight kilobytes.
  const bytes = new Uint8Array(((text.length - 1) * 5) >> 3)
  let at = 0
  let held = 0
  let bits = 0
  for (let next = 1; next < text.length; next++) {
    const value = values[text.charCodeAt(next)] ?? 255
    if (value === 255) return undefined
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (held >> bits) & 255
    }
  }
  // Bits that belong to no byte are zero, and fewer than a character has.
  const isWhole = bits < 5 && (held & ((1 << bits) - 1)) === 0
  return isWhole && isCid(bytes) ? bytes : undefined
}

/** Version 1, a codec, a hash function and as many bytes as the hash says. */
function isCid(bytes: Uint8Array): boolean {
  if (bytes[0] !== 1) return false
  const codecEnd = varintEnd(bytes, 1)
  const hashEnd = varintEnd(bytes, codecEnd)
  const lengthEnd = varintEnd(bytes, hashEnd)
  if (lengthEnd === -1) return false
  let length = 0
  for (let at = lengthEnd - 1; at >= hashEnd; at--) length = length * 128 + ((bytes[at] ?? 0) & 127)
  return bytes.length === lengthEnd + length
}

/** Where the number ends that begins at `at`; -1 where it does not end, or is written longer than it has to be. */
function varintEnd(bytes: Uint8Array, at: number): number {
  if (at === -1) return -1
  for (let next = at; next < bytes.length && next < at + 7; next++) {
    const byte = bytes[next] ?? 0
    if (byte < 128) return byte === 0 && next > at ? -1 : next + 1
  }
  return -1
}
