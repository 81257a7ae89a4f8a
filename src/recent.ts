/** A map that keeps the entries written last, and forgets the oldest beyond its bound. Reading does not make an entry younger. */
export class Recent<K, V> {
  readonly #max: number
  /** A map keeps the order of insertion. */
  readonly #entries = new Map<K, V>()
  /** Stands before the oldest: a new walk would pass all those that were deleted before it. */
  readonly #oldest = this.#entries.keys()

  /** @param max entries kept, 1 or more */
  constructor(max: number) {
    this.#max = max
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  set(key: K, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#max) return
    // It does not end: what it has passed is deleted, so there is more in front of it.
    const { value: oldest, done } = this.#oldest.next()
    if (!done) this.#entries.delete(oldest)
  }

  delete(key: K): void {
    this.#entries.delete(key)
  }
}
