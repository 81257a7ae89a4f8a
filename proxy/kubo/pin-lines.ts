/** Lines of `pin/ls` from pages of pins: bytes from bytes, with no text of a CID in between where it is as Kubo writes it. */
import { textLength, writeText } from '../../src/base32.ts'
import { isOldCid, writeOldText } from '../../src/base58.ts'
import { PinCursor, type PinPage } from '../../src/pin-page.ts'
import type { Cid, PinMode } from '../../src/types.ts'
import { goJson } from './answer.ts'
import type { Format } from './call.ts'
import { cidText } from './cid-text.ts'

/** What is listed, and how a line looks. */
export interface LineWish {
  /** Lines are written as JSON or as text. */
  readonly format: Format
  /** Text with nothing but CIDs. */
  readonly isQuiet: boolean
  readonly showsNames: boolean
  readonly cidBase: string | null
}

export interface Listed {
  readonly cid: Cid
  /** `indirect through <root>` where one CID was asked for. */
  readonly type: string
  readonly name: string
}

/** The line of one pin, the CID written as it is wanted. */
export function lineOf({ cid, type, name }: Listed, { format, isQuiet, showsNames, cidBase }: LineWish): string {
  const shown = cidText(cid, cidBase)
  const shownName = showsNames ? name : ''
  if (format === 'json') return goJson({ Cid: shown, ...(shownName === '' ? {} : { Name: shownName }), Type: type })
  if (isQuiet) return `${shown}\n`
  return `${shown} ${type}${shownName === '' ? '' : ` ${shownName}`}\n`
}

/** A page is some hundred pins, most of them without a name: as many bytes, three times, hold their lines. */
const growth = 3
/** Characters around a CID and a name. */
const aroundMax = 64
/** Of a character, in UTF-8. */
const charBytesMax = 3

export class PinLines {
  readonly #wish: LineWish
  readonly #type: PinMode
  readonly #before: Buffer
  /** Behind a CID that has no name to show. */
  readonly #behind: Buffer
  #room: Buffer = Buffer.alloc(0)
  #length = 0
  /** Whether there were pins of the other type. */
  hasSeenOthers = false

  constructor(type: PinMode, wish: LineWish) {
    this.#wish = wish
    this.#type = type
    const [before = '', behind = ''] = lineOf({ cid: mark as Cid, type, name: '' }, { ...wish, cidBase: null }).split(mark)
    this.#before = Buffer.from(before)
    this.#behind = Buffer.from(behind)
  }

  /** The lines of those pins of the page that are of the type and have `part` in their name; maybe none. */
  of(page: PinPage, part: string): Buffer {
    this.#room = Buffer.allocUnsafeSlow(growth * page.length)
    this.#length = 0
    const isDirect = this.#type === 'direct'
    const cursor = new PinCursor(page)
    while (cursor.next()) {
      if (!cursor.isPlain) continue
      if (cursor.isDirect !== isDirect) this.hasSeenOthers = true
      else if (cursor.hasInName(part)) this.#add(cursor)
    }
    return this.#room.subarray(0, this.#length)
  }

  #add(cursor: PinCursor): void {
    const { showsNames, cidBase } = this.#wish
    const { page, cidStart, cidEnd, nameStart, nameEnd } = cursor
    if (cidBase !== null || (showsNames && nameEnd > nameStart)) {
      // Looked at one by one: what a name looks like in JSON is not for this file to know.
      this.#write(lineOf({ cid: cursor.cid, type: this.#type, name: cursor.name }, this.#wish))
      return
    }
    this.#reserve(aroundMax + textLength(cidEnd - cidStart))
    const room = this.#room
    let at = copied(this.#before, room, this.#length)
    if (page[cidStart] === 1) at = writeText(room, at, { bytes: page, start: cidStart, end: cidEnd })
    else if (isOldCid(page, cidStart, cidEnd)) at = writeOldText(room, at, { bytes: page, start: cidStart })
    else throw new Error(`the pin ${cursor.cid} has a CID of no version that is known`)
    this.#length = copied(this.#behind, room, at)
  }

  #write(line: string): void {
    this.#reserve(charBytesMax * line.length)
    this.#length += this.#room.write(line, this.#length)
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#room.length) return
    const room = Buffer.allocUnsafeSlow(2 * (this.#length + bytes))
    this.#room.copy(room, 0, 0, this.#length)
    this.#room = room
  }
}

/** Stands where the CID does. */
const mark = '*'

function copied(from: Buffer, to: Buffer, start: number): number {
  let at = start
  // Shorter than a call that copies.
  for (let next = 0; next < from.length; next++) to[at++] = from[next] ?? 0
  return at
}
