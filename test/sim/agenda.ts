/** What happens when: a heap ordered by time, and by the order of entry where times are equal. Time is a whole number without a unit. */
interface Item {
  readonly at: number
  readonly order: number
  readonly work: () => void
}

export class Agenda {
  #now = 0
  #entered = 0
  readonly #heap: Item[] = []

  get now(): number {
    return this.#now
  }

  after(delay: number, work: () => void): void {
    const item = { at: this.#now + delay, order: this.#entered++, work }
    let at = this.#heap.length
    this.#heap.push(item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = this.#heap[parent] as Item
      if (!isBefore(item, above)) break
      this.#heap[at] = above
      at = parent
    }
    this.#heap[at] = item
  }

  /** Goes to the next item and does it. */
  step(): void {
    const first = this.#heap[0]
    const last = this.#heap.pop()
    if (first === undefined || last === undefined) throw new Error('nothing is left to do: the clocks have stopped')
    if (first !== last) this.#sink(last)
    this.#now = first.at
    first.work()
  }

  #sink(item: Item): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Item, heap[child] as Item)) child++
      if (!isBefore(heap[child] as Item, item)) break
      heap[at] = heap[child] as Item
      at = child
    }
    heap[at] = item
  }
}

function isBefore(one: Item, other: Item): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
