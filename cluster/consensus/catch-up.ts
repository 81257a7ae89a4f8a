/**
 * After a start the log on disk may end in entries that were acknowledged before, also to clients of this very peer, and whose changes are not in
 * the state yet. Which of them are agreed only a leader can say: until they are applied, or replaced, this peer would answer out of the past.
 */
export class CatchUp {
  #tail = 0
  #isDone = false
  readonly #done = Promise.withResolvers<void>()

  get isDone(): boolean {
    return this.#isDone
  }

  /** Resolves once it is done; never where nobody comes to lead. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  /** @param tail the last entry of the log at the start */
  begin(tail: number): void {
    this.#tail = tail
  }

  /** @param lastIndex of the log now, which is shorter where a leader has replaced its end @returns whether it is done, and was not before */
  look(applied: number, lastIndex: () => number): boolean {
    if (this.#isDone || applied < Math.min(this.#tail, lastIndex())) return false
    this.#isDone = true
    this.#done.resolve()
    return true
  }
}
