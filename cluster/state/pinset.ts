/**
 * The agreed set of pins. It changes only by applying committed operations, in order, once.
 * Applying is deterministic: no clock, no randomness, no network. An unknown operation is an error, never skipped.
 *
 * It lives on disk: reading, listing and counting need no memory that grows with it; the few pins of the moment are remembered, and the names of the last
 * list as far as they fit.
 */
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { PinPage } from '../../src/pin-page.ts'
import { Recent } from '../../src/recent.ts'
import type { Cid, Pin, PinFilter, StateExport } from '../../src/types.ts'
import { Watchers } from '../../src/watchers.ts'
import type { Applied, Operation, StateMachine } from '../consensus/consensus.ts'
import { Draft, type PinChange } from './draft.ts'
import { key, numberKey, prefixRange } from './keys.ts'
import { fits, isOrdered, listed } from './listing.ts'
import { Marks } from './marks.ts'
import { writeNote } from './notes.ts'
import { decodeOperation, encodeResult, type PinOperation } from './operations.ts'
import { PinPages } from './pin-pages.ts'
import { cidOfTimeKey, expiries, pinKey, pins, writesFor } from './pin-rows.ts'
import { decodePin } from './record.ts'
import type { Spaces } from './spaces.ts'
import type { Rows } from './store.ts'
import { changed, countKey, emptySummary, hashKey, hashText, readSummary, type Summary, summaryOf, writeSummary } from './summary.ts'

/** Pins that were looked at or changed last, kept in memory: applying a change looks again at what its proposer has just looked at. */
const recentMax = 2_048
/** Changes of one step beyond which it is an import: they would drive out the pins of the moment. */
const bulkMin = 256

export class Pinset implements StateMachine {
  readonly #state: Rows
  readonly #listeners = new Set<(changes: readonly PinChange[]) => void>()
  /** As it is stored, also where there is none (`null`); a promise while it is being read. */
  #recent = new Recent<Cid, Pin | null | Promise<Pin | undefined>>(recentMax)
  readonly #replacedListeners = new Set<() => void>()
  readonly #watchers = new Watchers<Cid>()
  readonly #marks = new Marks()
  readonly #pages: PinPages
  #summary = emptySummary

  constructor({ state }: { readonly state: Rows & Pick<Spaces, 'uncut'> }) {
    this.#state = state
    this.#pages = new PinPages({ state })
  }

  /** Reads what is known of all pins. Call it once, before anything is applied. */
  async start(): Promise<void> {
    this.#become(await readSummary(this.#state))
  }

  /** Agreed pins. */
  get count(): number {
    return this.#summary.count
  }

  /** By which two peers can tell that they hold the same. */
  get hash(): string {
    return hashText(this.#summary.hash)
  }

  /** As it was after everything up to `index`, one that was applied here; `undefined` for what is too long ago. */
  hashAt(index: number): string | undefined {
    const hash = this.#marks.at(index)
    return hash === undefined ? undefined : hashText(hash)
  }

  async get(cid: Cid): Promise<Pin | undefined> {
    const known = this.#recent.get(cid)
    if (known !== undefined) return (await known) ?? undefined
    const reading = this.#read(cid)
    this.#recent.set(cid, reading)
    try {
      const pin = await reading
      // A change that was committed meanwhile has taken the place, and is newer.
      if (this.#recent.get(cid) === reading) this.#recent.set(cid, pin ?? null)
      return pin
    } catch (error) {
      if (this.#recent.get(cid) === reading) this.#recent.delete(cid)
      throw error
    }
  }

  /** In the order of CID bytes, from one consistent cut. `after` goes on behind a CID that was seen. */
  async *list({ after }: { after?: Cid | undefined } = {}): AsyncIterable<Pin> {
    for await (const rows of this.#state.pages(prefixRange(pins, after && cidBytes(after)))) {
      for (const [row, value] of rows) yield decodePin(cidFromBytes(row.subarray(pins.length)), value)
    }
  }

  /** As {@link list}, of each pin only what a list of names shows. */
  pages(): AsyncIterable<PinPage> {
    return this.#pages.read()
  }

  /** As {@link list}, with the index of the last change that is in it, which is the same cut. */
  async cut(): Promise<StateExport> {
    // The summary lies before the pins: one reading of the store, which is of one moment, has both.
    const rows = this.#state.rows({ gte: countKey, lt: prefixRange(pins).lt })[Symbol.asyncIterator]()
    let count: Uint8Array | undefined
    let hash: Uint8Array | undefined
    let next = await rows.next()
    for (; !next.done && !startsWith(next.value[0], pins); next = await rows.next()) {
      if (isSame(next.value[0], countKey)) count = next.value[1]
      else if (isSame(next.value[0], hashKey)) hash = next.value[1]
    }
    const listed = async function* (): AsyncIterable<Pin> {
      try {
        for (; !next.done; next = await rows.next()) yield decodePin(cidFromBytes(next.value[0].subarray(pins.length)), next.value[1])
      } finally {
        await rows.return?.()
      }
    }
    return { index: summaryOf(count, hash).index, pins: listed() }
  }

  /** By CID, or in the order that the filter asks for. @throws ClusterError `invalid` where the filter contradicts itself */
  async *find(filter: PinFilter): AsyncIterable<Pin> {
    const { limit = Number.POSITIVE_INFINITY } = filter
    let left = limit
    if (left <= 0) return
    for await (const pin of isOrdered(filter) ? listed(this.#state, filter) : this.list()) {
      if (!fits(pin, filter)) continue
      yield pin
      if (--left <= 0) return
    }
  }

  /** Pins whose time is over at `nowMs`, the oldest first. */
  async *expired(nowMs: number): AsyncIterable<Cid> {
    const range = { gte: key(expiries), lt: numberKey(expiries, nowMs + 1) }
    for await (const [row] of this.#state.rows(range)) yield cidOfTimeKey(row)
  }

  /** Called with every batch of changes, in order, after it is stored. Must neither throw nor wait. */
  onChange(listener: (changes: readonly PinChange[]) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  /** Called where another peer's state took the place of this one: anything may have changed. Must neither throw nor wait. */
  onReplaced(listener: () => void): Disposable {
    this.#replacedListeners.add(listener)
    return { [Symbol.dispose]: () => this.#replacedListeners.delete(listener) }
  }

  /** Called after every change of one pin. Must neither throw nor wait. */
  watch(cid: Cid, watcher: () => void): Disposable {
    return this.#watchers.watch(cid, watcher)
  }

  async apply(operations: readonly Operation[]): Promise<Applied> {
    const decoded = operations.map(({ index, data }) => ({ index, operation: decodeOperation(data) }))
    const draft = new Draft(await this.#load(decoded.flatMap(({ operation }) => namedBy(operation))))
    const results = decoded.map(({ index, operation }) => encodeResult(draft.apply(operation, index)))
    const { changes, notes } = draft
    const writes = [...changes.flatMap(writesFor), ...notes.map(writeNote)]
    const summaries = summed(this.#summary, changes)
    const last = summaries.at(-1)
    if (last !== undefined) writes.push(...writeSummary(last))
    return { writes, results, committed: () => this.#committed(changes, summaries) }
  }

  async adopt(state: Rows): Promise<() => void> {
    const summary = await readSummary(state)
    return () => {
      this.#become(summary)
      // Reads that are under way find that their place is taken.
      this.#recent = new Recent(recentMax)
      this.#pages.forget()
      for (const listener of this.#replacedListeners) listener()
      this.#watchers.notifyAll()
    }
  }

  #become(summary: Summary): void {
    this.#summary = summary
    this.#marks.reset(summary)
  }

  async #read(cid: Cid, bytes = cidBytes(cid)): Promise<Pin | undefined> {
    const value = await this.#state.get(pinKey(bytes))
    return value && decodePin(cid, value)
  }

  #committed(changes: readonly PinChange[], summaries: readonly Summary[]): void {
    for (const summary of summaries) this.#marks.add(summary)
    this.#summary = summaries.at(-1) ?? this.#summary
    // One that is being read must not be remembered as it was.
    const isBulk = changes.length > bulkMin
    for (const { cid, after } of changes) if (!isBulk || this.#recent.get(cid) !== undefined) this.#recent.set(cid, after ?? null)
    if (changes.length === 0) return
    this.#pages.follow(changes)
    for (const listener of this.#listeners) listener(changes)
    for (const { cid } of changes) this.#watchers.notify(cid)
  }

  /** The pins as they are before a run of operations; the run then changes this copy, so that later operations see earlier ones. */
  async #load(named: readonly Named[]): Promise<Map<Cid, Pin | undefined>> {
    const isBulk = named.length > bulkMin
    const present = new Map<Cid, Pin | undefined>()
    for (const { cid } of named) present.set(cid, undefined)
    const read = async ({ cid, bytes }: Named): Promise<void> => {
      const pin = await (isBulk && this.#recent.get(cid) === undefined ? this.#read(cid, bytes) : this.get(cid))
      if (pin !== undefined) present.set(cid, pin)
    }
    await Promise.all(named.map(read))
    return present
  }
}

/** A CID with its bytes, where they are at hand. */
interface Named {
  readonly cid: Cid
  readonly bytes?: Uint8Array | undefined
}

function namedBy(operation: PinOperation): readonly Named[] {
  switch (operation.type) {
    case 'pin':
      return [{ cid: operation.pin.cid }]
    case 'unpin':
      return [{ cid: operation.cid }]
    case 'merge':
      return operation.records.map(({ pin, cid }) => ({ cid: pin.cid, bytes: cid }))
    case 'note':
      return []
  }
}

/** After each index that changed something. */
function summed(before: Summary, changes: readonly PinChange[]): Summary[] {
  const summaries: Summary[] = []
  let summary = before
  for (const change of changes) {
    summary = changed(summary, change)
    if (summaries.at(-1)?.index === summary.index) summaries.pop()
    summaries.push(summary)
  }
  return summaries
}

function startsWith(row: Uint8Array, prefix: string): boolean {
  return isSame(row.subarray(0, prefix.length), key(prefix))
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}
