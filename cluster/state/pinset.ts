/**
 * The agreed set of pins. It changes only by applying committed operations, in order, once.
 * Applying is deterministic: no clock, no randomness, no network. An unknown operation is an error, never skipped.
 *
 * It lives on disk: reading, listing and counting need no memory that grows with it; the few pins of the moment are remembered.
 */
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import { Recent } from '../../src/recent.ts'
import type { Cid, Pin } from '../../src/types.ts'
import { Watchers } from '../../src/watchers.ts'
import type { Applied, Operation, StateMachine } from '../consensus/consensus.ts'
import { Draft, type PinChange } from './draft.ts'
import { key, numberKey, numberOf, prefixRange } from './keys.ts'
import { decodeOperation, encodeResult, type PinOperation } from './operations.ts'
import { decodePin } from './record.ts'
import type { Store, WriteOp } from './store.ts'

/** Pins by CID bytes. */
const pins = 's/'
/** Pins by the time they expire: 8 bytes of Unix milliseconds, then CID bytes; no value. */
const expiries = 'x/'
const countKey = key('p/count')
/** Pins that were looked at or changed last, kept in memory: applying a change looks again at what its proposer has just looked at. */
const recentMax = 2_048

export class Pinset implements StateMachine {
  readonly #store: Store
  readonly #listeners = new Set<(changes: readonly PinChange[]) => void>()
  /** As it is stored, also where there is none (`null`); a promise while it is being read. */
  readonly #recent = new Recent<Cid, Pin | null | Promise<Pin | undefined>>(recentMax)
  readonly #watchers = new Watchers<Cid>()
  #count = 0

  constructor({ store }: { store: Store }) {
    this.#store = store
  }

  /** Reads the number of pins. Call it once, before anything is applied. */
  async start(): Promise<void> {
    const value = await this.#store.get(countKey)
    this.#count = value === undefined ? 0 : numberOf('', value)
  }

  /** Agreed pins. */
  get count(): number {
    return this.#count
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
    for await (const [row, value] of this.#store.rows(prefixRange(pins, after && cidBytes(after)))) {
      yield decodePin(cidFromBytes(row.subarray(pins.length)), value)
    }
  }

  /** Pins whose time is over at `nowMs`, the oldest first. */
  async *expired(nowMs: number): AsyncIterable<Cid> {
    const range = { gte: key(expiries), lt: numberKey(expiries, nowMs + 1) }
    for await (const [row] of this.#store.rows(range)) yield cidFromBytes(row.subarray(expiries.length + 8))
  }

  /** Called with every batch of changes, in order, after it is stored. Must neither throw nor wait. */
  onChange(listener: (changes: readonly PinChange[]) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  /** Called after every change of one pin. Must neither throw nor wait. */
  watch(cid: Cid, watcher: () => void): Disposable {
    return this.#watchers.watch(cid, watcher)
  }

  async apply(operations: readonly Operation[]): Promise<Applied> {
    const decoded = operations.map(({ index, data }) => ({ index, operation: decodeOperation(data) }))
    const draft = new Draft(await this.#load(decoded.flatMap(({ operation }) => cidsOf(operation))))
    const results = decoded.map(({ index, operation }) => encodeResult(draft.apply(operation, index)))
    const { changes } = draft
    const writes = changes.flatMap(writesFor)
    const count = changes.reduce((sum, { before, after }) => sum + Number(after !== undefined) - Number(before !== undefined), this.#count)
    if (count !== this.#count) writes.push({ type: 'put', key: countKey, value: numberKey('', count) })
    return { writes, results, committed: () => this.#committed(changes, count) }
  }

  async #read(cid: Cid): Promise<Pin | undefined> {
    const value = await this.#store.get(pinKey(cid))
    return value && decodePin(cid, value)
  }

  #committed(changes: readonly PinChange[], count: number): void {
    this.#count = count
    // Many at once are an import: they would drive out the pins of the moment. One that is being read must not be remembered as it was.
    const isBulk = changes.length > recentMax / 2
    for (const { cid, after } of changes) if (!isBulk || this.#recent.get(cid) !== undefined) this.#recent.set(cid, after ?? null)
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
    for (const { cid } of changes) this.#watchers.notify(cid)
  }

  /** The pins as they are before a run of operations; the run then changes this copy, so that later operations see earlier ones. */
  async #load(cids: readonly Cid[]): Promise<Map<Cid, Pin | undefined>> {
    const distinct = [...new Set(cids)]
    const isBulk = distinct.length > recentMax / 2
    const pins = await Promise.all(distinct.map(cid => (isBulk && this.#recent.get(cid) === undefined ? this.#read(cid) : this.get(cid))))
    return new Map(distinct.map((cid, position) => [cid, pins[position]]))
  }
}

function cidsOf(operation: PinOperation): readonly Cid[] {
  switch (operation.type) {
    case 'pin':
      return [operation.pin.cid]
    case 'unpin':
      return [operation.cid]
    case 'merge':
      return operation.records.map(({ pin }) => pin.cid)
  }
}

function writesFor({ cid, before, after, record }: PinChange): WriteOp[] {
  const writes: WriteOp[] = []
  if (before?.expireAt != null) writes.push({ type: 'delete', key: expiryKey(before.expireAt, cid) })
  if (after?.expireAt != null) writes.push({ type: 'put', key: expiryKey(after.expireAt, cid), value: new Uint8Array() })
  writes.push(record === undefined ? { type: 'delete', key: pinKey(cid) } : { type: 'put', key: pinKey(cid), value: record })
  return writes
}

function pinKey(cid: Cid): Uint8Array {
  return key(pins, cidBytes(cid))
}

function expiryKey(expireAt: number, cid: Cid): Uint8Array {
  return new Uint8Array([...numberKey(expiries, expireAt), ...cidBytes(cid)])
}
