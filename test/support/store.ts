/** Rows as text, for tests of the store. */
import type { Range, RowsOptions, Store, WriteOp, WriteOptions } from '../../cluster/state/store.ts'

export const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes)
export const bytes = (value: string) => new TextEncoder().encode(value)
export const put = (name: string, value: string) => ({ type: 'put', key: bytes(name), value: bytes(value) }) as const
export const everything = { gte: new Uint8Array(), lt: bytes('~') }

export async function rows(store: Store, options: { reverse?: boolean; limit?: number } = {}): Promise<string[]> {
  const found: string[] = []
  for await (const [name, value] of store.rows(everything, options)) found.push(`${text(name)}=${text(value)}`)
  return found
}

/** A store whose disk can stand still: what is to be written waits, as behind a device that does not answer. */
export class StallingStore implements Store {
  readonly engine
  readonly #inner: Store
  #gate: PromiseWithResolvers<void> | undefined

  constructor(inner: Store) {
    this.#inner = inner
    this.engine = inner.engine
  }

  stall(): void {
    this.#gate ??= Promise.withResolvers()
  }

  goOn(): void {
    this.#gate?.resolve()
    this.#gate = undefined
  }

  async write(ops: readonly WriteOp[], options: WriteOptions): Promise<void> {
    await this.#gate?.promise
    await this.#inner.write(ops, options)
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#inner.get(key)
  }

  rows(range: Range, options?: RowsOptions): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    return this.#inner.rows(range, options)
  }

  pages(range: Range, options?: RowsOptions): AsyncIterable<readonly (readonly [Uint8Array, Uint8Array])[]> {
    return this.#inner.pages(range, options)
  }

  async clear(range: Range): Promise<void> {
    await this.#gate?.promise
    await this.#inner.clear(range)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn()
    await this.#inner[Symbol.asyncDispose]()
  }
}
