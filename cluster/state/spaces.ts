/**
 * The agreed state lies in one of two spaces of the store. The other one is empty, or takes in a state that comes from another peer. Going over to it
 * is one row, so a peer has the old state or the new one, never a part of each. All rows of a space are neighbours: one iterator is a consistent cut.
 */
import { key, prefixRange } from './keys.ts'
import type { Range, Row, Rows, RowsOptions, Store, WriteOp } from './store.ts'

const names = ['0/', '1/'] as const
/** Bytes of such a name. */
export const spaceNameBytes = 2
const choiceKey = key('m/space')

/** One of the two. Keys are those of the rooms that own the rows; the name of the space goes before them. */
export class Space implements Rows {
  readonly #store: Store
  readonly #name: string

  constructor(store: Store, name: string) {
    this.#store = store
    this.#name = name
  }

  get(row: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#store.get(key(this.#name, row))
  }

  async *rows(range: Range, options?: RowsOptions): AsyncIterable<Row> {
    for await (const row of this.#store.rows(this.#within(range), options)) yield this.#stripped(row)
  }

  async *pages(range: Range, options?: RowsOptions): AsyncIterable<readonly Row[]> {
    for await (const page of this.#store.pages(this.#within(range), options)) yield page.map(row => this.#stripped(row))
  }

  /** As {@link pages}, but for the keys: the name of the space stands before each. To cut it off costs as much as the rest of a row in a list. */
  uncut(range: Range): AsyncIterable<readonly Row[]> {
    return this.#store.pages(this.#within(range))
  }

  /** Every row, as of the first step, in pages. */
  async *everything(): AsyncIterable<readonly Row[]> {
    for await (const page of this.#store.pages(prefixRange(this.#name))) yield page.map(row => this.#stripped(row))
  }

  #within({ gte, lt }: Range): Range {
    return { gte: key(this.#name, gte), lt: key(this.#name, lt) }
  }

  #stripped([row, value]: Row): Row {
    return [row.subarray(spaceNameBytes), value]
  }

  /** Changes of the state as changes of the store. */
  writes(ops: readonly WriteOp[]): WriteOp[] {
    return ops.map(op => ({ ...op, key: key(this.#name, op.key) }))
  }

  /** In limited batches, not atomically. */
  clear(): Promise<void> {
    return this.#store.clear(prefixRange(this.#name))
  }
}

export class Spaces implements Rows {
  #current: Space
  #spare: Space
  #isSecond: boolean
  #exchanges = 0

  private constructor(store: Store, isSecond: boolean) {
    const [first, second] = names.map(name => new Space(store, name)) as [Space, Space]
    this.#isSecond = isSecond
    this.#current = isSecond ? second : first
    this.#spare = isSecond ? first : second
  }

  static async open(store: Store): Promise<Spaces> {
    return new Spaces(store, (await store.get(choiceKey))?.[0] === 1)
  }

  get current(): Space {
    return this.#current
  }

  get spare(): Space {
    return this.#spare
  }

  async get(row: Uint8Array): Promise<Uint8Array | undefined> {
    for (;;) {
      const { current } = this
      const exchanges = this.#exchanges
      const value = await current.get(row)
      // The space may be the spare one by now, and what is in it half cleared.
      if (exchanges === this.#exchanges) return value
    }
  }

  /** From the state as of the first step, to the end: an iterator goes on reading what is cleared behind it. */
  async *rows(range: Range, options?: RowsOptions): AsyncIterable<Row> {
    yield* this.#current.rows(range, options)
  }

  /** As {@link rows}. */
  async *pages(range: Range, options?: RowsOptions): AsyncIterable<readonly Row[]> {
    yield* this.#current.pages(range, options)
  }

  /** As {@link Space.uncut}. */
  async *uncut(range: Range): AsyncIterable<readonly Row[]> {
    yield* this.#current.uncut(range)
  }

  /** Goes over to the spare space, from the moment at which it is stored; call `exchange` then. */
  choice(): WriteOp {
    return { type: 'put', key: choiceKey, value: new Uint8Array([this.#isSecond ? 0 : 1]) }
  }

  exchange(): void {
    const { current, spare } = this
    this.#current = spare
    this.#spare = current
    this.#isSecond = !this.#isSecond
    this.#exchanges++
  }
}
