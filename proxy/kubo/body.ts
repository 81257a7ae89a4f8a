/** Where a body ends: by its length, or by its chunks. Strict about chunks: what two readers could read in two ways is broken. */
import type { Framing } from './head.ts'

/** Longest size line and longest trailer, as Go. */
const lineBytesMax = 4_096

/** Beyond this a size is read with more care. */
const shortDigitsMax = 7
/** By byte; 255 is no digit. */
const digits = new Uint8Array(256).fill(255)
for (const [value, sign] of [...'0123456789abcdef'].entries()) {
  digits[sign.charCodeAt(0)] = value
  digits[sign.toUpperCase().charCodeAt(0)] = value
}

function digitOf(byte: number | undefined): number {
  return byte === undefined ? 255 : (digits[byte] ?? 255)
}

/** Gets the content of a body, without its framing. */
export type Content = (bytes: Buffer) => void

/** Follows one body over the pieces in which it comes. */
export class Body {
  readonly #framing: Framing['kind']
  /** Bytes of the present chunk or of the whole body that are still to come. */
  #left: number
  #state: 'size' | 'data' | 'after data' | 'trailer' | 'done' | 'broken'
  #line = ''
  #trailers = ''

  constructor(framing: Framing) {
    this.#framing = framing.kind
    this.#left = framing.kind === 'length' ? framing.bytes : 0
    this.#state = framing.kind === 'chunked' ? 'size' : this.#left === 0 ? 'done' : 'data'
  }

  get isDone(): boolean {
    return this.#state === 'done'
  }

  /** It can never end: whatever follows must not be read as a request. */
  get isBroken(): boolean {
    return this.#state === 'broken'
  }

  /** The lines behind the last chunk, with their ends; bytes as Latin-1. */
  get trailers(): string {
    return this.#trailers
  }

  /** @returns where the body ends in `bytes`, or where `bytes` end; behind the broken line where it is broken */
  read(bytes: Buffer, from: number, content?: Content): number {
    let at = from
    while (at < bytes.length && this.#state !== 'done' && this.#state !== 'broken') {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#left)
        content?.(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
        this.#left -= end - at
        at = end
        if (this.#left === 0) this.#state = this.#framing === 'length' ? 'done' : 'after data'
      } else at = this.#line === '' ? this.#readShort(bytes, at) : this.#readLine(bytes, at)
    }
    return at
  }

  /** The line as nearly all are, whole and with nothing but a size in it, without a text of it: Kubo sends one for every value of a stream. */
  #readShort(bytes: Buffer, from: number): number {
    let at = from
    let size = 0
    if (this.#state === 'size') {
      for (let digit = digitOf(bytes[at]); digit < 16 && at < from + shortDigitsMax; digit = digitOf(bytes[++at])) size = size * 16 + digit
      if (at === from) return this.#readLine(bytes, from)
    } else if (this.#state !== 'after data') return this.#readLine(bytes, from)
    if (bytes[at] !== 13 || bytes[at + 1] !== 10) return this.#readLine(bytes, from)
    this.#left = size
    if (this.#state === 'after data') this.#state = 'size'
    else this.#state = size === 0 ? 'trailer' : 'data'
    return at + 2
  }

  #readLine(bytes: Buffer, from: number): number {
    const feed = bytes.indexOf(10, from)
    const end = feed === -1 ? bytes.length : feed + 1
    this.#line = this.#line === '' ? bytes.toString('latin1', from, end) : this.#line + bytes.toString('latin1', from, end)
    if (this.#line.length + this.#trailers.length > lineBytesMax) this.#state = 'broken'
    else if (feed !== -1) {
      const line = this.#line
      this.#line = ''
      this.#state = this.#afterLine(line)
    }
    return end
  }

  #afterLine(line: string): 'size' | 'data' | 'trailer' | 'done' | 'broken' {
    // A line that a bare line feed ends, or with a carriage return inside, is where readers differ.
    if (line.indexOf('\r') !== line.length - 2) return 'broken'
    if (this.#state === 'after data') return line === '\r\n' ? 'size' : 'broken'
    if (this.#state === 'trailer') {
      if (line === '\r\n') return 'done'
      this.#trailers += line
      return 'trailer'
    }
    const [, size] = /^([0-9a-f]{1,13})[ \t]*(?:;.*)?\r\n$/i.exec(line) ?? []
    if (size === undefined) return 'broken'
    this.#left = Number.parseInt(size, 16)
    return this.#left === 0 ? 'trailer' : 'data'
  }
}
