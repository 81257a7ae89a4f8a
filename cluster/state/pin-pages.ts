/**
 * All pins as pages, for lists of names. Reading a row costs ten times what writing its line does, most of it in handing it over from the engine; so what
 * a list has read is kept, as far as it fits, and follows the changes. Pages never change: a list goes on with those it began with.
 */
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import { outlineOf, PageWriter, PinCursor, type PinPage, pageBytes } from '../../src/pin-page.ts'
import type { PinChange } from './draft.ts'
import { prefixRange } from './keys.ts'
import { outlineOfRecord } from './outline.ts'
import { pins } from './pin-rows.ts'
import { decodePin } from './record.ts'
import { type Spaces, spaceNameBytes } from './spaces.ts'

export interface PinPagesSettings {
  /** Bytes that are kept between two lists. A larger pinset is read anew by each. */
  readonly keptBytesMax: number
  /** Changes since the last list at which nobody seems to want another. */
  readonly unreadChangesMax: number
  /** Changes that a list can see go by and still be kept. */
  readonly meanwhileMax: number
  /** Lists from memory at a time: each of a reader that has stopped may hold pages that nobody else has any more. Others are read from the store. */
  readonly readersMax: number
}

type Change = Pick<PinChange, 'cid' | 'after'>

/** What a list that is under way has read. */
interface Reading {
  readonly pages: PinPage[]
  bytes: number
  /** Since the moment that it shows. */
  readonly changes: Change[]
  /** How many pages it had when another list began. */
  seen: number
}

/** In the key of a pin as the store has it. */
const cidStart = spaceNameBytes + pins.length
/** About 200,000 pins without a name. */
const defaults: PinPagesSettings = { keptBytesMax: 8 << 20, unreadChangesMax: 20_000, meanwhileMax: 10_000, readersMax: 8 }

export class PinPages {
  readonly #state: Pick<Spaces, 'uncut'>
  readonly #settings: PinPagesSettings
  #kept: readonly PinPage[] | null = null
  #keptBytes = 0
  #unreadChanges = 0
  #readers = 0
  /** The list whose pages may be kept. */
  #reading: Reading | null = null

  constructor({ state }: { state: Pick<Spaces, 'uncut'> }, settings: Partial<PinPagesSettings> = {}) {
    this.#state = state
    this.#settings = { ...defaults, ...settings }
  }

  /** In the order of CID bytes, from one consistent cut. */
  async *read(): AsyncGenerator<PinPage, void, undefined> {
    this.#unreadChanges = 0
    if (this.#kept === null) yield* this.#readAnew()
    else if (this.#readers < this.#settings.readersMax) yield* this.#readKept(this.#kept)
    else yield* this.#stored()
  }

  /** To be called with every batch of changes, in order, when the store shows them. */
  follow(changes: readonly Change[]): void {
    const { meanwhileMax, unreadChangesMax } = this.#settings
    if (this.#reading !== null) {
      if (this.#reading.changes.length + changes.length > meanwhileMax) this.#giveUp()
      else this.#reading.changes.push(...changes)
    }
    if (this.#kept === null) return
    this.#unreadChanges += changes.length
    if (this.#unreadChanges > unreadChangesMax) this.#kept = null
    else this.#kept = this.#changed(this.#kept, changes)
  }

  /** Another state has taken the place of the one that was read. */
  forget(): void {
    this.#kept = null
    this.#giveUp()
  }

  async *#readKept(pages: readonly PinPage[]): AsyncGenerator<PinPage, void, undefined> {
    this.#readers++
    try {
      yield* pages
    } finally {
      this.#readers--
    }
  }

  async *#readAnew(): AsyncGenerator<PinPage, void, undefined> {
    // Before the store is asked: no change may fall in between.
    const reading = this.#begin()
    try {
      for await (const page of this.#stored()) {
        if (this.#reading === reading) this.#keep(reading, page)
        yield page
      }
      if (this.#reading === reading) this.#finish(reading)
    } finally {
      if (this.#reading === reading) this.#reading = null
    }
  }

  async *#stored(): AsyncGenerator<PinPage, void, undefined> {
    const writer = new PageWriter()
    for await (const rows of this.#state.uncut(prefixRange(pins))) {
      for (const [row, value] of rows) {
        writer.add(row, cidStart, outlineOfRecord(value) ?? outlineOf(decodePin(cidFromBytes(row.subarray(cidStart)), value)))
        if (writer.isFull) yield writer.take()
      }
    }
    if (!writer.isEmpty) yield writer.take()
  }

  /** A list whose reader has stopped taking it stands in nobody's way for longer than until the second look at it. */
  #begin(): Reading {
    const reading: Reading = { pages: [], bytes: 0, changes: [], seen: -1 }
    const before = this.#reading
    const hasStopped = before !== null && before.seen === before.pages.length
    if (hasStopped) this.#giveUp()
    else if (before !== null) before.seen = before.pages.length
    this.#reading ??= reading
    return reading
  }

  #keep(reading: Reading, page: PinPage): void {
    reading.pages.push(page)
    reading.bytes += page.length
    if (reading.bytes > this.#settings.keptBytesMax) this.#giveUp()
  }

  /** The list goes on, and holds nothing. */
  #giveUp(): void {
    for (const held of [this.#reading?.pages, this.#reading?.changes]) held?.splice(0)
    this.#reading = null
  }

  #finish({ pages, bytes, changes }: Reading): void {
    this.#keptBytes = bytes
    this.#kept = this.#changed(pages, changes)
  }

  /** `null` where they have become too many. */
  #changed(before: readonly PinPage[], changes: readonly Change[]): readonly PinPage[] | null {
    const pages = [...before]
    const writer = new PageWriter()
    for (const { cid, after } of changes) {
      const bytes = cidBytes(cid)
      const at = placeOf(pages, bytes)
      const page = pages[at]
      const news = changedPage(writer, page, { cid: bytes, after })
      pages.splice(at, 1, ...news)
      for (const { length } of news) this.#keptBytes += length
      this.#keptBytes -= page?.length ?? 0
    }
    return this.#keptBytes > this.#settings.keptBytesMax ? null : pages
  }
}

/** The last page that does not begin behind `cid`; the first one where all do. */
function placeOf(pages: readonly PinPage[], cid: Uint8Array): number {
  let low = 0
  let high = pages.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (compareFirst(pages[middle], cid) <= 0) low = middle
    else high = middle
  }
  return low
}

function compareFirst(page: PinPage | undefined, cid: Uint8Array): number {
  if (page === undefined) return 1
  const cursor = new PinCursor(page)
  cursor.next()
  return cursor.compare(cid)
}

/** The page with the pin as it is now; two where it has become long, none where nothing is left. */
function changedPage(
  writer: PageWriter,
  page: PinPage | undefined,
  { cid, after }: { readonly cid: Uint8Array; readonly after: Change['after'] }
): readonly PinPage[] {
  const { start, end } = page === undefined ? nowhere : spanOf(page, cid)
  if (page !== undefined) writer.copy(page, 0, start)
  if (after !== undefined) writer.add(cid, 0, outlineOf(after))
  if (page !== undefined) writer.copy(page, end, page.length)
  if (writer.isEmpty) return []
  const changed = writer.take()
  return changed.length > 2 * pageBytes ? halvesOf(changed) : [changed]
}

const nowhere = { start: 0, end: 0 }

/** Where the pin stands, or would. */
function spanOf(page: PinPage, cid: Uint8Array): { readonly start: number; readonly end: number } {
  for (const cursor = new PinCursor(page); cursor.next(); ) {
    const order = cursor.compare(cid)
    if (order >= 0) return { start: cursor.start, end: order === 0 ? cursor.nameEnd : cursor.start }
  }
  return { start: page.length, end: page.length }
}

function halvesOf(page: PinPage): readonly PinPage[] {
  const cursor = new PinCursor(page)
  while (cursor.next() && cursor.nameEnd < page.length / 2);
  const middle = cursor.nameEnd
  // A single pin with an endless name is not cut.
  if (middle === page.length) return [page]
  return [page.slice(0, middle) as PinPage, page.slice(middle) as PinPage] // cut between two pins
}
