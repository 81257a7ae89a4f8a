/**
 * Many pins as bytes: of each what a list of names shows, its CID, its kind and its name. An object and two texts a pin cost more than reading it and
 * sending it on.
 *
 * One pin: a byte of flags, 2 bytes of the CID's length, the CID; where it has a name, 4 bytes of the name's length and the name in UTF-8. Numbers are
 * big-endian.
 */
import { cidBytes, cidFromBytes } from './codec.ts'
import type { Brand, Cid, Pin } from './types.ts'

/** Pins one behind the other, at least one. It is shared: nobody may change it. */
export type PinPage = Brand<Uint8Array, 'PinPage'>

/** A pin without its CID. */
export interface PinOutline {
  readonly isDirect: boolean
  /** Of the type `pin`, and so what users made. */
  readonly isPlain: boolean
  /** UTF-8. */
  readonly name: Uint8Array
}

const direct = 1
const named = 2
const other = 4
const headBytes = 3
const nothing = new Uint8Array()
const text = new TextEncoder()
/** About as many bytes are a page: some hundred pins. */
export const pageBytes = 16 << 10

export function outlineOf({ mode, type, name }: Pick<Pin, 'mode' | 'type' | 'name'>): PinOutline {
  return { isDirect: mode === 'direct', isPlain: type === 'pin', name: name === '' ? nothing : text.encode(name) }
}

/** Walks through a page; what it says is of the pin it stands at. */
export class PinCursor implements Omit<PinOutline, 'name'> {
  readonly page: PinPage
  isDirect = false
  isPlain = false
  /** Where the pin begins, and its parts begin and end. */
  start = 0
  cidStart = 0
  cidEnd = 0
  nameStart = 0
  nameEnd = 0

  constructor(page: PinPage) {
    this.page = page
  }

  /** To the first pin, then to the next. @returns whether there is one */
  next(): boolean {
    const { page, nameEnd: at } = this
    if (at >= page.length) return false
    const flags = page[at] ?? 0
    this.start = at
    this.isDirect = (flags & direct) !== 0
    this.isPlain = (flags & other) === 0
    this.cidStart = at + headBytes
    this.cidEnd = this.cidStart + ((page[at + 1] ?? 0) << 8) + (page[at + 2] ?? 0)
    this.nameStart = this.cidEnd
    this.nameEnd = this.cidEnd
    if ((flags & named) !== 0) {
      this.nameStart += 4
      this.nameEnd = this.nameStart + new DataView(page.buffer, page.byteOffset + this.cidEnd, 4).getUint32(0)
    }
    return true
  }

  get cid(): Cid {
    return cidFromBytes(this.page.subarray(this.cidStart, this.cidEnd))
  }

  get name(): string {
    const { page, nameStart, nameEnd } = this
    return nameStart === nameEnd ? '' : Buffer.from(page.buffer, page.byteOffset + nameStart, nameEnd - nameStart).toString('utf8')
  }

  hasInName(part: string): boolean {
    return part === '' || this.name.includes(part)
  }

  /** Less than 0 where the CID comes before `cid`, in the order of bytes; 0 where it is that one. */
  compare(cid: Uint8Array): number {
    const { page, cidStart } = this
    const length = this.cidEnd - cidStart
    const both = Math.min(length, cid.length)
    for (let at = 0; at < both; at++) {
      const difference = (page[cidStart + at] ?? 0) - (cid[at] ?? 0)
      if (difference !== 0) return difference
    }
    return length - cid.length
  }
}

/** Makes pages, one after the other. */
export class PageWriter {
  #room = new Uint8Array(pageBytes + 1_024)
  #length = 0

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** It is time to {@link take}. */
  get isFull(): boolean {
    return this.#length >= pageBytes
  }

  /** The CID stands at the end of `bytes`, from `start` on. */
  add(bytes: Uint8Array, start: number, { isDirect, isPlain, name }: PinOutline): void {
    const cidLength = bytes.length - start
    if (cidLength > 0xffff) throw new Error(`a CID of ${cidLength} bytes is none`)
    const isNamed = name.length > 0
    const end = this.#length + headBytes + cidLength + (isNamed ? 4 + name.length : 0)
    if (end > this.#room.length) this.#grow(end)
    const room = this.#room
    let at = this.#length
    room[at++] = (isDirect ? direct : 0) | (isNamed ? named : 0) | (isPlain ? 0 : other)
    room[at++] = cidLength >> 8
    room[at++] = cidLength
    for (let from = start; from < bytes.length; from++) room[at++] = bytes[from] ?? 0
    if (isNamed) {
      new DataView(room.buffer, room.byteOffset + at, 4).setUint32(0, name.length)
      room.set(name, at + 4)
    }
    this.#length = end
  }

  /** Pins of another page, as they are there: from the one that begins at `start` to the one that begins at `end`. */
  copy(page: PinPage, start: number, end: number): void {
    const length = this.#length + end - start
    if (length > this.#room.length) this.#grow(length)
    this.#room.set(page.subarray(start, end), this.#length)
    this.#length = length
  }

  /** What was written since the last time. Not to be called while it is empty. */
  take(): PinPage {
    const page = this.#room.slice(0, this.#length) as PinPage // written by add and copy
    this.#length = 0
    return page
  }

  #grow(bytes: number): void {
    const room = new Uint8Array(2 * bytes)
    room.set(this.#room.subarray(0, this.#length))
    this.#room = room
  }
}

/** Pages of pins that come as objects. */
export async function* pagesOf(pins: AsyncIterable<Pin>): AsyncGenerator<PinPage, void, undefined> {
  const writer = new PageWriter()
  for await (const pin of pins) {
    writer.add(cidBytes(pin.cid), 0, outlineOf(pin))
    if (writer.isFull) yield writer.take()
  }
  if (!writer.isEmpty) yield writer.take()
}
