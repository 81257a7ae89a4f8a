/** What an engine has to offer, and the store made of it: one write outstanding, the first error final, nothing called after the close. */
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Engine, Range, Row, RowsOptions, Store, WriteOp, WriteOptions } from './store.ts'

/** A binding. `batch` is never called before the last one has ended, and nothing at all once `close` was called. */
export interface Binding {
  readonly engine: Engine
  /** One value a key, in order. */
  getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]>
  /** One value, read by this thread: where it is in memory, a hundredth of the time that handing the question to another thread takes. */
  getNow?(key: Uint8Array): Uint8Array | undefined
  batch(ops: readonly WriteOp[], sync: boolean): Promise<void>
  /** Rows as of this call. `limit` -1 is none. */
  iterate(range: Range, options: { readonly reverse: boolean; readonly limit: number }): RowIterator
  close(): Promise<void>
}

export interface RowIterator {
  /** The next few rows; none at the end. */
  next(): Promise<readonly Row[]>
  end(): Promise<void>
}

interface Waiting {
  readonly ops: readonly WriteOp[]
  readonly sync: boolean
  readonly canWait: boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

interface Asked {
  readonly key: Uint8Array
  readonly resolve: (value: Uint8Array | undefined) => void
  readonly reject: (error: unknown) => void
}

/** Operations in one batch while clearing a range. */
const clearBatch = 2_000
/** Operations merged into one batch at most. */
const batchOpsMax = 20_000
/** A write that can wait does so while urgent ones come at least this often, for as long as this at most. */
const patienceMs = 5
/** Reads handed to the binding at a time. A call costs ten times what a row does: under load, what is asked for meanwhile shares the next one. */
const readCallsMax = 2
/** Keys in one call. */
const readKeysMax = 500
/** A read by this thread that took longer had to wait for the disk: for a while others do that. */
const slowReadMs = 5
const slowReadsMs = 1_000

export class GroupCommitStore implements Store {
  readonly #binding: Binding
  readonly #onFailure: (error: ClusterError) => void
  /** Calls into the binding that have not returned: a close waits for them. */
  readonly #calls = new Set<Promise<unknown>>()
  readonly #iterators = new Set<RowIterator>()
  #waiting: Waiting[] = []
  #asked: Asked[] = []
  #readCalls = 0
  #lastUrgentMs = Number.NEGATIVE_INFINITY
  /** What was asked to be written and can wait, by the key's bytes as text: the operation that comes last. */
  readonly #unwritten = new Map<string, WriteOp>()
  /** The write that can wait and was asked for last. */
  #lastWaiting: Promise<void> | undefined
  #readsAreSlowUntilMs = Number.NEGATIVE_INFINITY
  /** Ends the wait for an urgent write. */
  #hurry: (() => void) | undefined
  #writing: Promise<void> | undefined
  #failure: ClusterError | undefined
  #closing: Promise<void> | undefined

  /** @param onFailure told of the first failed write, before any caller is; must not throw */
  constructor(binding: Binding, { onFailure = () => {} }: { readonly onFailure?: ((error: ClusterError) => void) | undefined } = {}) {
    this.#binding = binding
    this.#onFailure = onFailure
  }

  get engine(): Engine {
    return this.#binding.engine
  }

  async write(ops: readonly WriteOp[], { sync, canWait = false }: WriteOptions): Promise<void> {
    if (this.#failure) throw this.#failure
    this.#requireOpen()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ ops, sync, canWait, resolve, reject })
    if (canWait) {
      for (const op of ops) this.#unwritten.set(nameOf(op.key), op)
      this.#lastWaiting = promise
    } else {
      this.#lastUrgentMs = performance.now()
      this.#hurry?.()
    }
    this.#writing ??= this.#drain()
    await promise
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#requireOpen()
    const unwritten = this.#unwritten.size > 0 ? this.#unwritten.get(nameOf(key)) : undefined
    if (unwritten) return unwritten.type === 'put' ? unwritten.value : undefined
    const startMs = performance.now()
    if (this.#binding.getNow && startMs >= this.#readsAreSlowUntilMs) {
      const value = this.#binding.getNow(key)
      const endMs = performance.now()
      if (endMs - startMs > slowReadMs) this.#readsAreSlowUntilMs = endMs + slowReadsMs
      return value
    }
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>()
    this.#asked.push({ key, resolve, reject })
    if (this.#readCalls < readCallsMax) {
      this.#readCalls++
      // What is asked for in the same turn belongs to the same call.
      queueMicrotask(() => void this.#read())
    }
    return promise
  }

  async *rows(range: Range, options?: RowsOptions): AsyncIterable<Row> {
    for await (const page of this.pages(range, options)) yield* page
  }

  async *pages(range: Range, { reverse = false, limit = -1 }: RowsOptions = {}): AsyncIterable<readonly Row[]> {
    await this.#written()
    this.#requireOpen()
    const iterator = this.#binding.iterate(range, { reverse, limit })
    this.#iterators.add(iterator)
    let ahead: Promise<readonly Row[]> | undefined
    try {
      for (let isLong = false; ; isLong = true) {
        this.#requireOpen()
        const page = await (ahead ?? this.#call(iterator.next()))
        ahead = undefined
        if (page.length === 0) return
        // Who takes a second page takes more of them as a rule: the next one is read while this one is looked at.
        if (isLong) {
          ahead = this.#call(iterator.next())
          ahead.catch(() => {})
        }
        yield page
      }
    } finally {
      await ahead?.catch(() => {})
      // A close ends what is open by itself.
      if (this.#iterators.delete(iterator)) await this.#call(iterator.end())
    }
  }

  async clear(range: Range): Promise<void> {
    for (;;) {
      const keys: Uint8Array[] = []
      for await (const [key] of this.rows(range, { limit: clearBatch })) keys.push(key)
      if (keys.length === 0) return
      const deletes = keys.map((key): WriteOp => ({ type: 'delete', key }))
      await this.write(deletes, { sync: false })
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Writes that were asked for are written, calls that were made return, iterators are ended; then the binding closes. */
  async #close(): Promise<void> {
    this.#hurry?.()
    await this.#writing
    // A listing that is left meanwhile makes one more call.
    while (this.#calls.size > 0) await Promise.allSettled(this.#calls)
    const open = [...this.#iterators]
    this.#iterators.clear()
    await Promise.all(open.map(iterator => iterator.end()))
    await this.#binding.close()
  }

  /** What can wait does so no longer, for somebody wants to see it in its place. */
  async #written(): Promise<void> {
    if (this.#unwritten.size === 0) return
    this.#lastUrgentMs = Number.NEGATIVE_INFINITY
    this.#hurry?.()
    await this.#lastWaiting
  }

  /** Writes until nothing waits. Never rejects: every waiting call gets its own answer. */
  async #drain(): Promise<void> {
    // What is asked for in the same turn goes into the first batch already.
    await null
    while (this.#waiting.length > 0) {
      if (this.#waiting.every(({ canWait }) => canWait)) await this.#patience()
      const group = this.#take()
      const ops = group.flatMap(({ ops }) => ops)
      const sync = group.some(({ sync }) => sync)
      try {
        if (this.#failure) throw this.#failure
        if (ops.length > 0) await this.#call(this.#binding.batch(ops, sync))
        for (const { canWait, ops } of group) if (canWait) this.#forget(ops)
        for (const { resolve } of group) resolve()
      } catch (error) {
        this.#fail(error)
        for (const { reject } of group) reject(this.#failure)
      }
    }
    this.#writing = undefined
  }

  /** They are in the engine; what was asked for since stays. */
  #forget(ops: readonly WriteOp[]): void {
    for (const op of ops) {
      const name = nameOf(op.key)
      if (this.#unwritten.get(name) === op) this.#unwritten.delete(name)
    }
  }

  /** Waits for an urgent write to come, where they come often: a batch of one's own costs more than the rows in it. */
  #patience(): Promise<void> | undefined {
    if (performance.now() - this.#lastUrgentMs > patienceMs || this.#closing) return undefined
    return new Promise(resolve => {
      this.#hurry = () => {
        clearTimeout(timer)
        this.#hurry = undefined
        resolve()
      }
      const timer = setTimeout(this.#hurry, patienceMs)
    })
  }

  /** The first error is final: after a failed fsync a later one may report success for data that is not there. */
  #fail(error: unknown): void {
    if (this.#failure) return
    this.#failure = new ClusterError({ code: 'storage_failed' }, `the store cannot write: ${messageOf(error)}`, { cause: error })
    this.#onFailure(this.#failure)
  }

  #take(): Waiting[] {
    let ops = 0
    let end = 0
    for (const { length } of this.#waiting.map(waiting => waiting.ops)) {
      ops += length
      if (ops > batchOpsMax && end > 0) break
      end++
    }
    return this.#waiting.splice(0, end)
  }

  /** Answers until nobody asks. Never rejects: every asker gets its own answer. */
  async #read(): Promise<void> {
    for (let asked = this.#asked.splice(0, readKeysMax); asked.length > 0; asked = this.#asked.splice(0, readKeysMax)) {
      try {
        this.#requireOpen()
        const values = await this.#call(this.#binding.getMany(asked.map(({ key }) => key)))
        for (const [position, { resolve }] of asked.entries()) resolve(values[position])
      } catch (error) {
        for (const { reject } of asked) reject(error)
      }
    }
    this.#readCalls--
  }

  async #call<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call)
    try {
      return await call
    } finally {
      this.#calls.delete(call)
    }
  }

  #requireOpen(): void {
    if (this.#closing) throw new ClusterError({ code: 'storage_failed' }, 'the store is closed')
  }
}

function nameOf(key: Uint8Array): string {
  return buffer(key).toString('latin1')
}

/** Both bindings want Buffers: one of them stores a plain Uint8Array as the text of its numbers. */
export function buffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Operations as both bindings take them. */
export function batchOf(ops: readonly WriteOp[]): ({ type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer })[] {
  return ops.map(op =>
    op.type === 'put' ? { type: 'put', key: buffer(op.key), value: buffer(op.value) } : { type: 'del', key: buffer(op.key) }
  )
}
