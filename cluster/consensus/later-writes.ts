/** Writes that nobody has to wait for: they go with the next batch of the log, in order, and a bounded number of them is under way. */
import type { Store, WriteOp } from '../state/store.ts'

const underWayMax = 4
/** More rows than that, of an import, are written at once: to show them meanwhile would cost as much as to write them, and nobody waits for one of them. */
const manyMin = 1_000

export class LaterWrites {
  readonly #store: Pick<Store, 'write'>
  readonly #onFailure: (error: unknown) => void
  #underWay = 0

  /** @param onFailure a write was refused: what was promised to be written is not */
  constructor(store: Pick<Store, 'write'>, onFailure: (error: unknown) => void) {
    this.#store = store
    this.#onFailure = onFailure
  }

  /**
   * Neither promise rejects.
   * @returns `shown`: when reads see the writes, and nothing where they do at once. `written`: when there may be more
   */
  write(writes: readonly WriteOp[]): { readonly shown?: Promise<void>; readonly written: Promise<void> } {
    if (writes.length === 0) return { written: Promise.resolve() }
    if (writes.length > manyMin) {
      const written = this.#write(writes, { canWait: false })
      return { shown: written, written }
    }
    const isFull = this.#underWay + 1 >= underWayMax
    const written = this.#write(writes, { canWait: true, isFull })
    return { written: isFull ? written : Promise.resolve() }
  }

  async #write(writes: readonly WriteOp[], { canWait, isFull = false }: { canWait: boolean; isFull?: boolean }): Promise<void> {
    this.#underWay++
    try {
      const written = this.#store.write(writes, { sync: false, canWait })
      // Who waits now is who would write the next batch of the log, which this one would wait for: something urgent, then, with nothing in it.
      await (isFull ? Promise.all([written, this.#store.write([], { sync: false })]) : written)
    } catch (error) {
      this.#onFailure(error)
    } finally {
      this.#underWay--
    }
  }
}
