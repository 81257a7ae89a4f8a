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
import { key, numberKey, numberOf, prefixRange } from './keys.ts'
import { decodeOperation, encodeResult, type OperationResult, type PinOperation } from './operations.ts'
import { decodePin, encodePin } from './record.ts'
import type { Store, WriteOp } from './store.ts'

/** Pins by CID bytes. */
const pins = 's/'
/** Pins by the time they expire: 8 bytes of Unix milliseconds, then CID bytes; no value. */
const expiries = 'x/'
const countKey = key('p/count')
/** Pins that were looked at or changed last, kept in memory: applying a change looks again at what its proposer has just looked at. */
const recentMax = 2_048

export interface PinChange {
  readonly cid: Cid
  readonly before: Pin | undefined
  readonly after: Pin | undefined
  /** Log index of the operation. */
  readonly index: number
}

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
    const present = await this.#load(decoded.map(({ operation }) => cidOf(operation)))
    const changes: PinChange[] = []
    const writes: WriteOp[] = []
    const results: Uint8Array[] = []
    let count = this.#count
    for (const { index, operation } of decoded) {
      const cid = cidOf(operation)
      const before = present.get(cid)
      const result = check(operation, before)
      results.push(encodeResult(result))
      if (result.status !== 'done') continue
      const after = operation.type === 'pin' ? { ...operation.pin, version: index } : undefined
      present.set(cid, after)
      changes.push({ cid, before, after, index })
      writes.push(...writesFor(cid, before, after))
      count += Number(after !== undefined) - Number(before !== undefined)
    }
    if (count !== this.#count) writes.push({ type: 'put', key: countKey, value: numberKey('', count) })
    return { writes, results, committed: () => this.#committed(changes, count) }
  }

  async #read(cid: Cid): Promise<Pin | undefined> {
    const value = await this.#store.get(pinKey(cid))
    return value && decodePin(cid, value)
  }

  #committed(changes: readonly PinChange[], count: number): void {
    this.#count = count
    for (const { cid, after } of changes) this.#recent.set(cid, after ?? null)
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
    for (const { cid } of changes) this.#watchers.notify(cid)
  }

  /** The pins as they are before a run of operations; the run then changes this copy, so that later operations see earlier ones. */
  async #load(cids: readonly Cid[]): Promise<Map<Cid, Pin | undefined>> {
    const distinct = [...new Set(cids)]
    return new Map(await Promise.all(distinct.map(async cid => [cid, await this.get(cid)] as const)))
  }
}

function check(operation: PinOperation, before: Pin | undefined): OperationResult {
  const version = before?.version ?? 0
  return operation.basedOn === version ? { status: 'done' } : { status: 'conflict', version }
}

function cidOf(operation: PinOperation): Cid {
  return operation.type === 'pin' ? operation.pin.cid : operation.cid
}

function writesFor(cid: Cid, before: Pin | undefined, after: Pin | undefined): WriteOp[] {
  const writes: WriteOp[] = []
  if (before?.expireAt != null) writes.push({ type: 'delete', key: expiryKey(before.expireAt, cid) })
  if (after?.expireAt != null) writes.push({ type: 'put', key: expiryKey(after.expireAt, cid), value: new Uint8Array() })
  writes.push(after === undefined ? { type: 'delete', key: pinKey(cid) } : { type: 'put', key: pinKey(cid), value: encodePin(after) })
  return writes
}

function pinKey(cid: Cid): Uint8Array {
  return key(pins, cidBytes(cid))
}

function expiryKey(expireAt: number, cid: Cid): Uint8Array {
  return new Uint8Array([...numberKey(expiries, expireAt), ...cidBytes(cid)])
}
