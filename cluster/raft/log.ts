/**
 * The log as the core sees it: the terms of all entries (as runs), the bytes of the recent ones, and how far it is handed out and durable.
 * Entries up to `committed` are never replaced.
 */
import { assert } from './assert.ts'
import { Tail } from './tail.ts'
import type { Entry, Restored } from './types.ts'

interface Run {
  readonly index: number
  readonly term: number
}

export class RaftLog {
  readonly #runs: Run[]
  readonly #tail: Tail
  #truncated: Run
  #lastIndex: number
  #durable: number
  /** Last entry given out for writing. */
  #handed: number
  /** Last entry of the outstanding write that is still part of this log; `null` where nothing is being written. */
  #writing: number | null = null

  constructor(restored: Restored, cacheBytesMax: number) {
    this.#truncated = restored.truncated
    this.#runs = [...restored.terms]
    this.#tail = new Tail(cacheBytesMax)
    this.#lastIndex = this.#durable = this.#handed = restored.lastIndex
  }

  /** The entry before the first one kept. */
  get truncated(): Run {
    return this.#truncated
  }

  get lastIndex(): number {
    return this.#lastIndex
  }

  get lastTerm(): number {
    return this.#runs.at(-1)?.term ?? this.truncated.term
  }

  get durable(): number {
    return this.#durable
  }

  get handed(): number {
    return this.#handed
  }

  /** `undefined` where the index is compacted or beyond the end. */
  termAt(index: number): number | undefined {
    if (index === this.truncated.index) return this.truncated.term
    if (index < this.truncated.index || index > this.#lastIndex) return undefined
    return this.#runs[this.#runAt(index)]?.term
  }

  /** A last entry with (term, index) at least as new as ours (Raft paper, 5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#lastIndex)
  }

  /** The last index up to `index` whose term is at most `term`: where two logs may agree, found run by run, not entry by entry. */
  lastUpToTerm(index: number, term: number): Run {
    let at = Math.min(index, this.#lastIndex)
    while (at > this.truncated.index) {
      const run = this.#runs[this.#runAt(at)]
      assert(run !== undefined, 'every entry has a term')
      if (run.term <= term) return { index: at, term: run.term }
      at = run.index - 1
    }
    return this.truncated
  }

  /** Adds entries behind the last one. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.#lastIndex + 1, 'entries are contiguous')
      assert(entry.term >= this.lastTerm, 'terms never fall')
      if (entry.term !== this.#runs.at(-1)?.term) this.#runs.push({ index: entry.index, term: entry.term })
      this.#lastIndex = entry.index
      this.#tail.push(entry)
    }
  }

  /** Drops the entries from `index` on. */
  truncateFrom(index: number, committed: number): void {
    assert(index > committed, 'committed entries are never replaced')
    while (this.#runs.length > 0 && (this.#runs.at(-1)?.index ?? 0) >= index) this.#runs.pop()
    this.#tail.truncateFrom(index)
    this.#lastIndex = index - 1
    this.#handed = Math.min(this.#handed, index - 1)
    this.#durable = Math.min(this.#durable, index - 1)
    // What an outstanding write brings of the dropped entries is not part of this log any more.
    if (this.#writing !== null) this.#writing = Math.min(this.#writing, index - 1)
  }

  /** Forgets the entries up to `index`. */
  compact(index: number): void {
    const term = this.termAt(index)
    assert(term !== undefined && index <= this.#durable, 'only what is on disk is forgotten')
    const next = this.termAt(index + 1)
    const kept = this.#runs.filter(run => run.index > index + 1)
    // The run that goes on behind `index` begins there now.
    if (next !== undefined) kept.unshift({ index: index + 1, term: next })
    this.#runs.splice(0, this.#runs.length, ...kept)
    this.#truncated = { index, term }
  }

  /** The state as of `last` has come from elsewhere: entries behind it stay where the log has `last` too. Nothing may be being written. */
  restore(last: Run): void {
    assert(this.#writing === null, 'nothing is being written')
    const isContinued = this.termAt(last.index) === last.term
    this.#durable = isContinued ? Math.max(this.#durable, last.index) : last.index
    this.#handed = isContinued ? Math.max(this.#handed, last.index) : last.index
    if (isContinued) return this.compact(last.index)
    this.#runs.length = 0
    this.#tail.clear()
    this.#lastIndex = last.index
    this.#truncated = last
  }

  /** The entries to write next. */
  handOut(): readonly Entry[] {
    const entries = this.#tail.slice(this.#handed + 1, this.#lastIndex)
    assert(entries.length === this.#lastIndex - this.#handed, 'entries that are not written yet are in memory')
    this.#handed = this.#writing = this.#lastIndex
    return entries
  }

  /** The outstanding write is durable. */
  written(): void {
    if (this.#writing !== null) this.#durable = Math.max(this.#durable, this.#writing)
    this.#writing = null
    this.#tail.evict(this.#durable)
  }

  cached(index: number): Entry | undefined {
    return this.#tail.get(index)
  }

  /** Recent entries from `index` on, at least one if it is in memory; empty where it must be read from disk. */
  recent(index: number, bytesMax: number): readonly Entry[] {
    return this.#tail.page(index, bytesMax)
  }

  /** Position of the run that `index` belongs to. */
  #runAt(index: number): number {
    let low = 0
    let high = this.#runs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#runs[middle]?.index ?? 0) <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}
