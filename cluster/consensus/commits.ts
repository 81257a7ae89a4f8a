/** Who waits for an entry to be committed, and by that for a change of members. */
import type { Abortable } from '../../src/lifetime.ts'

interface Waiter {
  readonly index: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class Commits {
  readonly #waiters = new Set<Waiter>()

  get isAwaited(): boolean {
    return this.#waiters.size > 0
  }

  /** @throws what `settle` or `rejectAll` say; `signal.reason` on abort */
  async wait(index: number, { signal }: Abortable): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { index, resolve, reject }
    const abort = () => reject(signal?.reason)
    this.#waiters.add(waiter)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#waiters.delete(waiter)
    }
  }

  /** @param deposed made where this peer does not lead any more: what is not committed may never be */
  settle({ commit, isLeader }: { readonly commit: number; readonly isLeader: boolean }, deposed: () => unknown): void {
    for (const { index, resolve, reject } of this.#waiters) {
      if (index <= commit) resolve()
      else if (!isLeader) reject(deposed())
    }
  }

  rejectAll(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error)
  }
}
