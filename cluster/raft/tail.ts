/** The newest entries of the log in memory, within a limit of memory, so that replication seldom reads from disk. */
import type { Entry } from './types.ts'

/** Stands where an entry is forgotten: an array that loses its first elements one by one would be copied again and again. */
const forgotten: Entry = { index: 0, term: 0, type: 'empty' }

export class Tail {
  readonly #bytesMax: number
  /** Contiguous from position `#head` on. */
  #entries: Entry[] = []
  #head = 0
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  push(entry: Entry): void {
    this.#entries.push(entry)
    this.#bytes += memoryOf(entry)
  }

  get(index: number): Entry | undefined {
    const first = this.#entries[this.#head]
    return first === undefined || index < first.index ? undefined : this.#entries[this.#head + index - first.index]
  }

  /** From `from` to `to`, both included; empty where the first one is not in memory. */
  slice(from: number, to: number): readonly Entry[] {
    const first = this.#entries[this.#head]
    if (first === undefined || from < first.index) return []
    const offset = this.#head - first.index
    return this.#entries.slice(offset + from, offset + to + 1)
  }

  /** From `from` on, as many as fit into `bytesMax`, but at least one if it is in memory. */
  page(from: number, bytesMax: number): readonly Entry[] {
    let to = from
    let bytes = 0
    for (let entry = this.get(to); entry !== undefined; entry = this.get(++to)) {
      bytes += sizeOf(entry)
      if (bytes > bytesMax && to > from) break
    }
    return this.slice(from, to - 1)
  }

  truncateFrom(index: number): void {
    for (let last = this.#entries.at(-1); last !== undefined && last !== forgotten && last.index >= index; last = this.#entries.at(-1)) {
      this.#entries.pop()
      this.#bytes -= memoryOf(last)
    }
  }

  clear(): void {
    this.#entries = []
    this.#head = this.#bytes = 0
  }

  /** Keeps to the limit. Entries behind `durable` stay whatever their size: they are nowhere else. */
  evict(durable: number): void {
    while (this.#bytes > this.#bytesMax) {
      const oldest = this.#entries[this.#head]
      if (oldest === undefined || oldest.index > durable) break
      this.#bytes -= memoryOf(oldest)
      this.#entries[this.#head++] = forgotten
    }
    // Half is forgotten: one copy for so many entries costs nothing worth counting.
    if (this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }
}

/** Bytes an entry counts for in the limits of what is sent: its data and a little for the rest. */
export function sizeOf(entry: Entry): number {
  return 32 + (entry.type === 'normal' ? entry.data.length : entry.type === 'configuration' ? 256 * entry.configuration.members.length : 0)
}

/** About what an entry takes in memory: its data, the bytes it is sent and written as, and what a runtime needs for an object and two buffers. */
function memoryOf(entry: Entry): number {
  return 600 + 2 * sizeOf(entry)
}
