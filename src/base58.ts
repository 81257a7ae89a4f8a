/** The text of CIDs of version 0, which is base58: written five digits at a time, where the general way goes digit by digit. */
const alphabet = Buffer.from('123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz', 'latin1')
/** Of 58^5: with 16 bits more it is far from what a number can hold. */
const limb = 58 ** 5
/** The digits of 34 bytes. */
const limbsMax = 10
const limbs = new Float64Array(limbsMax)
/** A CID of version 0: a SHA-256, and before it the two bytes that say so. */
export const oldCidBytes = 34
export const oldCidText = 46

/** Whether a CID of version 0 begins at `start`. */
export function isOldCid(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === oldCidBytes && bytes[start] === 0x12 && bytes[start + 1] === 0x20
}

/** Writes the text of a CID of version 0 that begins at `start`. @returns where it ends */
export function writeOldText(
  text: Uint8Array,
  from: number,
  { bytes, start }: { readonly bytes: Uint8Array; readonly start: number }
): number {
  limbs.fill(0)
  for (let next = start; next < start + oldCidBytes; next += 2) {
    let carry = ((bytes[next] ?? 0) << 8) | (bytes[next + 1] ?? 0)
    for (let at = 0; at < limbsMax; at++) {
      const value = (limbs[at] ?? 0) * 65_536 + carry
      carry = Math.floor(value / limb)
      limbs[at] = value - carry * limb
    }
  }
  // Its first byte is not zero, and always the same: so is the number of digits.
  let end = from + oldCidText
  for (let at = 0; at < limbsMax; at++) {
    let digits = limbs[at] ?? 0
    for (let digit = 0; digit < 5 && end > from; digit++) {
      const rest = Math.floor(digits / 58)
      text[--end] = alphabet[digits - rest * 58] ?? 0
      digits = rest
    }
  }
  return from + oldCidText
}

/** `undefined` where they are not the bytes of a CID of version 0. */
export function textOfOldCid(bytes: Uint8Array): string | undefined {
  if (!isOldCid(bytes, 0, bytes.length)) return undefined
  const text = Buffer.allocUnsafe(oldCidText)
  writeOldText(text, 0, { bytes, start: 0 })
  return text.toString('latin1')
}
