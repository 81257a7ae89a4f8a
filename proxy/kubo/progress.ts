/**
 * Kubo's progress lines of one `pin/add`: twice a second from the beginning of the call on, also where nothing happened, and the last figures before the
 * answer. Figures grow over all arguments of the call.
 */
import type { FetchProgress } from '../../src/types.ts'

/** Kubo's own pace. */
const paceMs = 500
/** The Kubos that fetch tell their figures at the same pace, and begin a little later than the call: a line of ours waits for theirs. */
const behindMs = 100

export class ProgressLines implements Disposable {
  readonly #write: (progress: FetchProgress) => Promise<void>
  #timer: NodeJS.Timeout
  #before: FetchProgress = { nodes: 0, bytes: null }
  #current: FetchProgress = { nodes: 0, bytes: null }
  #isWriting = false

  constructor(write: (progress: FetchProgress) => Promise<void>) {
    this.#write = write
    this.#timer = setTimeout(() => {
      this.#timer = setInterval(() => void this.#tick(), paceMs)
      void this.#tick()
    }, paceMs + behindMs)
  }

  /** How far the argument is that is being pinned. Several peers fetch it, and one that has just begun does not take back what was told. */
  tell({ nodes, bytes }: FetchProgress): void {
    const { nodes: most, bytes: mostBytes } = this.#current
    this.#current = { nodes: Math.max(nodes, most), bytes: bytes === null ? mostBytes : Math.max(bytes, mostBytes ?? 0) }
  }

  /** The next argument begins. */
  next(): void {
    this.#before = this.#sum()
    this.#current = { nodes: 0, bytes: null }
  }

  /** The last figures, where there are any. */
  async end(): Promise<void> {
    clearInterval(this.#timer)
    const sum = this.#sum()
    if (sum.nodes > 0) await this.#write(sum)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** A client that does not read is not told the same thing over and over. */
  async #tick(): Promise<void> {
    if (this.#isWriting) return
    this.#isWriting = true
    await this.#write(this.#sum())
    this.#isWriting = false
  }

  #sum(): FetchProgress {
    const [before, current] = [this.#before, this.#current]
    const bytes = before.bytes === null && current.bytes === null ? null : (before.bytes ?? 0) + (current.bytes ?? 0)
    return { nodes: before.nodes + current.nodes, bytes }
  }
}
