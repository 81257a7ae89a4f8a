/** Writes that nobody has to wait for: they go with the next batch of the log, in order, and a bounded number of them is under way. */
import type { Store, WriteOp } from '../state/store.ts'

const underWayMax = 4

export class LaterWrites {
  readonly #store: Pick<Store, 'write'>
  readonly #onFailure: (error: unknown) => void
  #underWay = 0

  /** @param onFailure a write was refused: what was promised to be written is not */
  constructor(store: Pick<Store, 'write'>, onFailure: (error: unknown) => void) {
    this.#store = store
    this.#onFailure = onFailure
  }

  /** Reads see `writes` from now on. Resolves when there may be more; never rejects. */
  async write(writes: readonly WriteOp[]): Promise<void> {
    if (writes.length === 0) return
    this.#underWay++
    const isFull = this.#underWay >= underWayMax
    const written = this.#write(writes, isFull)
    if (isFull) await written
  }

  async #write(writes: readonly WriteOp[], isFull: boolean): Promise<void> {
    try {
      const written = this.#store.write(writes, { sync: false, canWait: true })
      // Who waits now is who would write the next batch of the log, which this one would wait for: something urgent, then, with nothing in it.
      await (isFull ? Promise.all([written, this.#store.write([], { sync: false })]) : written)
    } catch (error) {
      this.#onFailure(error)
    } finally {
      this.#underWay--
    }
  }
}
