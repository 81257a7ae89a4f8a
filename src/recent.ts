/** A map that keeps the entries written last, and forgets the oldest beyond its bound. Reading does not make an entry younger. */
export class Recent<K, V> {
  readonly #max: number
  /** A map keeps the order of insertion. */
  readonly #entries = new Map<K, V>()

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
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      break
    }
  }

  delete(key: K): void {
    this.#entries.delete(key)
  }
}
