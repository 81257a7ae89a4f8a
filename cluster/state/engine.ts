/** What an engine has to offer, and the store made of it: one write outstanding, the first error final. */
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Engine, Range, Store, WriteOp } from './store.ts'

/** A binding. `batch` is never called before the last one has ended. Iterators see the rows as of their opening. */
export interface Binding {
  readonly engine: Engine
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  batch(ops: readonly WriteOp[], sync: boolean): Promise<void>
  rows(range: Range, options: { reverse: boolean; limit: number }): AsyncIterable<readonly [Uint8Array, Uint8Array]>
  close(): Promise<void>
}

interface Waiting {
  readonly ops: readonly WriteOp[]
  readonly sync: boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Operations in one batch while clearing a range. */
const clearBatch = 2_000
/** Operations merged into one batch at most. */
const batchOpsMax = 20_000

export class GroupCommitStore implements Store {
  readonly #binding: Binding
  #waiting: Waiting[] = []
  #writing: Promise<void> | undefined
  #failure: ClusterError | undefined
  #isClosed = false

  constructor(binding: Binding) {
    this.#binding = binding
  }

  get engine(): Engine {
    return this.#binding.engine
  }

  write(ops: readonly WriteOp[], { sync }: { readonly sync: boolean }): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.#isClosed) return Promise.reject(closed())
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ ops, sync, resolve, reject })
    this.#writing ??= this.#drain()
    return promise
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    if (this.#isClosed) throw closed()
    return this.#binding.get(key)
  }

  async *rows(
    range: Range,
    options: { readonly reverse?: boolean; readonly limit?: number } = {}
  ): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    if (this.#isClosed) throw closed()
    yield* this.#binding.rows(range, { reverse: options.reverse ?? false, limit: options.limit ?? -1 })
  }

  async clear(range: Range): Promise<void> {
    for (;;) {
      const keys: Uint8Array[] = []
      for await (const [key] of this.rows(range, { limit: clearBatch })) keys.push(key)
      if (keys.length === 0) return
      await this.write(
        keys.map(key => ({ type: 'delete', key })),
        { sync: false }
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#writing
    await this.#binding.close()
  }

  /** Writes until nothing waits. Never rejects: every waiting call gets its own answer. */
  async #drain(): Promise<void> {
    // What is asked for in the same turn goes into the first batch already.
    await null
    while (this.#waiting.length > 0) {
      const group = this.#take()
      try {
        if (this.#failure) throw this.#failure
        await this.#binding.batch(
          group.flatMap(({ ops }) => ops),
          group.some(({ sync }) => sync)
        )
        for (const { resolve } of group) resolve()
      } catch (error) {
        // The first error is final: after a failed fsync a later one may report success for data that is not there.
        this.#failure ??= new ClusterError({ code: 'storage_failed' }, `the store cannot write: ${messageOf(error)}`, { cause: error })
        for (const { reject } of group) reject(this.#failure)
      }
    }
    this.#writing = undefined
  }

  #take(): Waiting[] {
    let ops = 0
    const end = this.#waiting.findIndex(({ ops: { length } }, index) => (ops += length) > batchOpsMax && index > 0)
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end)
  }
}

function closed(): ClusterError {
  return new ClusterError({ code: 'storage_failed' }, 'the store is closed')
}

/** Both bindings want Buffers: one of them stores a plain Uint8Array as the text of its numbers. */
export function buffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
