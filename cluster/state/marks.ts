/** What the state was at the indexes of the last changes: another peer says it as of an index that this one has left behind already. */

interface Mark {
  readonly index: number
  readonly hash: bigint
}

/** Changes that are remembered: more than a busy cluster makes between a report and its arrival. */
const marksMax = 8_192

export class Marks {
  /** By index, ascending. */
  #marks: Mark[] = []

  /** The state as it was found: nothing is known of before. */
  reset(mark: Mark): void {
    this.#marks = [mark]
  }

  add({ index, hash }: Mark): void {
    if (this.#marks.at(-1)?.index === index) this.#marks.pop()
    this.#marks.push({ index, hash })
    if (this.#marks.length > 2 * marksMax) this.#marks.splice(0, marksMax)
  }

  /** After everything up to `index` was applied; `undefined` for what is longer ago. `index` is none that this peer has not applied. */
  at(index: number): bigint | undefined {
    let [low, high] = [0, this.#marks.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#marks[middle]?.index ?? 0) <= index) low = middle + 1
      else high = middle
    }
    return this.#marks[low - 1]?.hash
  }
}
