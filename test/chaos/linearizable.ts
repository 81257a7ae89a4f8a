/**
 * Whether a history can be explained by operations that happen one at a time, each at one moment between its call and its answer.
 *
 * The search of Wing and Gong with the memory of Lowe: operations are placed one after the other; what was placed, and what is agreed then, is
 * remembered, so that no such situation is looked at twice. CIDs are searched apart. An operation of unknown outcome never ends: it may be
 * placed anywhere after its call, or nowhere.
 *
 * Testing for linearizability, G. Lowe (2017); P-compositionality, A. Horn and D. Kroening (2015).
 */
import type { Cid } from '../../src/types.ts'
import { byKey, isKnown, type Operation, step, type Value } from './history.ts'

export interface Verdict {
  /** `undecided` where the search needed more memory than it may have. */
  readonly verdict: 'linearizable' | 'violation' | 'undecided'
  readonly key: Cid
  readonly operations: readonly Operation[]
  /** The longest explanation that was found: in this order. */
  readonly placed: readonly Operation[]
}

/** Situations remembered for one CID; each takes about 100 bytes. */
const situationsMax = 1_000_000

/** @returns a verdict for each CID that is not plainly linearizable */
export function check(operations: readonly Operation[], limits: { readonly situationsMax?: number } = {}): Verdict[] {
  const verdicts: Verdict[] = []
  for (const [key, all] of byKey(operations)) {
    const search = new Search(all.filter(mayMatter(all)), limits.situationsMax ?? situationsMax)
    const verdict = search.run()
    if (verdict !== 'linearizable') verdicts.push({ verdict, key, operations: all, placed: search.longest })
  }
  return verdicts
}

/**
 * A pin of unknown outcome that nobody ever saw explains nothing: whatever is between it and the next change saw another one, so there is
 * nothing between them. Leaving it out halves the work for each.
 */
function mayMatter(operations: readonly Operation[]): (operation: Operation) => boolean {
  const seen = new Set<Value | undefined>(operations.map(operation => (operation.kind === 'pin' ? undefined : operation.found)))
  // An unpin that found nobody knows what may have found any of them; but it ends in "not pinned", as it would without.
  return operation => operation.kind !== 'pin' || isKnown(operation) || seen.has(operation.name)
}

const none = -1

class Search {
  readonly #operations: readonly Operation[]
  readonly #situationsMax: number
  /** Calls and answers in the order of time, linked; those of operations that are placed are taken out. Operation i: call 2i, answer 2i + 1. */
  readonly #next: Int32Array
  readonly #before: Int32Array
  readonly #head: number
  readonly #placed: number[] = []
  /** What was agreed before each of the placed ones. */
  readonly #values: Value[] = []
  readonly #bits: Uint16Array
  readonly #seen = new Set<string>()
  /** Those that ended and are not placed yet. */
  #left: number
  #longest: readonly number[] = []

  constructor(operations: readonly Operation[], situationsMax: number) {
    this.#operations = operations
    this.#situationsMax = situationsMax
    this.#left = operations.filter(isKnown).length
    this.#bits = new Uint16Array(Math.ceil(operations.length / 16))
    this.#head = 2 * operations.length
    this.#next = new Int32Array(this.#head + 1).fill(none)
    this.#before = new Int32Array(this.#head + 1).fill(none)
    const events = operations.flatMap((operation, at) => [
      { entry: 2 * at, ms: operation.calledAt },
      ...(isKnown(operation) ? [{ entry: 2 * at + 1, ms: operation.returnedAt }] : [])
    ])
    // In the same instant a call comes before an answer: nothing says that the answer was first.
    events.sort((a, b) => a.ms - b.ms || (a.entry & 1) - (b.entry & 1))
    let last = this.#head
    for (const { entry } of events) {
      this.#next[last] = entry
      this.#before[entry] = last
      last = entry
    }
  }

  get longest(): readonly Operation[] {
    return this.#longest.map(at => this.#operations[at] as Operation)
  }

  run(): Verdict['verdict'] {
    let value: Value = null
    let entry = this.#after(this.#head)
    while (this.#left > 0) {
      const isAnswer = entry === none || (entry & 1) === 1
      if (isAnswer) {
        // Something that ended here has not been placed, and everything before it was tried.
        const back = this.#back()
        if (back === undefined) return 'violation'
        value = back.value
        entry = back.entry
        continue
      }
      const at = entry >> 1
      const after = this.#try(at, value)
      if (after === undefined) {
        entry = this.#after(entry)
        continue
      }
      if (this.#seen.size >= this.#situationsMax) return 'undecided'
      this.#place(at, value)
      value = after
      entry = this.#after(this.#head)
    }
    return 'linearizable'
  }

  /** What is agreed when operation `at` is placed now; `undefined` where it cannot be, or where that was looked at before. */
  #try(at: number, value: Value): Value | undefined {
    const operation = this.#operations[at] as Operation
    // An unpin that nobody knows of, of what is not pinned, changes nothing: it can as well be placed nowhere.
    if (operation.kind === 'unpin' && !isKnown(operation) && value === null) return undefined
    const after = step(value, operation)
    if (after === undefined) return undefined
    this.#flip(at)
    const situation = `${String.fromCharCode(...this.#bits)}${after === null ? '' : ` ${after}`}`
    this.#flip(at)
    if (this.#seen.has(situation)) return undefined
    this.#seen.add(situation)
    return after
  }

  #place(at: number, value: Value): void {
    this.#placed.push(at)
    this.#values.push(value)
    this.#flip(at)
    this.#takeOut(2 * at)
    if (!isKnown(this.#operations[at] as Operation)) return
    this.#takeOut(2 * at + 1)
    this.#left--
    if (this.#placed.length > this.#longest.length) this.#longest = [...this.#placed]
  }

  /** Takes the last one back, to go on behind its call; `undefined` where there is none left. */
  #back(): { readonly value: Value; readonly entry: number } | undefined {
    for (;;) {
      const at = this.#placed.pop()
      if (at === undefined) return undefined
      const value = this.#values.pop() as Value
      const operation = this.#operations[at] as Operation
      if (isKnown(operation)) {
        this.#putBack(2 * at + 1)
        this.#left++
      }
      this.#putBack(2 * at)
      this.#flip(at)
      // What could be read and was read changed nothing: if there is an explanation at all, there is one that begins with this read.
      if (operation.kind !== 'get') return { value, entry: this.#after(2 * at) }
    }
  }

  #flip(at: number): void {
    this.#bits[at >> 4] = (this.#bits[at >> 4] as number) ^ (1 << (at & 15))
  }

  #after(entry: number): number {
    return this.#next[entry] as number
  }

  #takeOut(entry: number): void {
    const before = this.#before[entry] as number
    const next = this.#after(entry)
    this.#next[before] = next
    if (next !== none) this.#before[next] = before
  }

  /** Only in the reverse order of taking out: the neighbours are those of then. */
  #putBack(entry: number): void {
    const next = this.#after(entry)
    this.#next[this.#before[entry] as number] = entry
    if (next !== none) this.#before[next] = entry
  }
}
