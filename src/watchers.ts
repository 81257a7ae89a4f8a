/** Who is told of which key. A thousand that watch cost a change of another key nothing. */
export class Watchers<K> {
  readonly #byKey = new Map<K, Set<() => void>>()

  /** Disposing ends it, also from within a call. */
  watch(key: K, watcher: () => void): Disposable {
    const watchers = this.#byKey.get(key) ?? new Set()
    this.#byKey.set(key, watchers)
    watchers.add(watcher)
    return {
      [Symbol.dispose]: () => {
        watchers.delete(watcher)
        if (watchers.size === 0 && this.#byKey.get(key) === watchers) this.#byKey.delete(key)
      }
    }
  }

  has(key: K): boolean {
    return this.#byKey.has(key)
  }

  notifyAll(): void {
    for (const key of [...this.#byKey.keys()]) this.notify(key)
  }

  /** The watchers must not throw. */
  notify(key: K): void {
    for (const watcher of this.#byKey.get(key) ?? []) watcher()
  }
}
