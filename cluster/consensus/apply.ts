/** Committed entries become changes of the state: in order, each once, in the batch that stores them. */
import type { Raft } from '../raft/raft.ts'
import type { Entry } from '../raft/types.ts'
import type { WriteOp } from '../state/store.ts'
import type { Operation, StateMachine } from './consensus.ts'
import { type Sessions, type Stamp, unstamp } from './sessions.ts'
import type { LogStorage } from './storage.ts'

/** Entries and bytes applied in one batch: bounds memory and the time a batch takes. */
const entriesMax = 1_000
const bytesMax = 4 << 20

export interface Step {
  /** The last entry of this step. */
  readonly index: number
  readonly writes: readonly WriteOp[]
  /** Every operation with its outcome, for those who wait. */
  readonly outcomes: readonly { readonly stamp: Stamp; readonly index: number; readonly result: Uint8Array }[]
  /** Call it once the writes are stored. */
  readonly committed: () => void
}

export class Applier {
  readonly #parts: { readonly machine: StateMachine; readonly sessions: Sessions; readonly storage: LogStorage; readonly raft: Raft }

  constructor(parts: { machine: StateMachine; sessions: Sessions; storage: LogStorage; raft: Raft }) {
    this.#parts = parts
  }

  /** What applying entries from `from` up to at most `to` changes. Nothing is stored yet. */
  async step(from: number, to: number): Promise<Step> {
    const { machine, sessions } = this.#parts
    const entries = await this.#entries(from, Math.min(to, from + entriesMax - 1))
    const fresh: { stamp: Stamp; operation: Operation }[] = []
    const repeated: { stamp: Stamp; index: number; result: Uint8Array }[] = []
    const seen = new Set<string>()
    for (const entry of entries) {
      if (entry.type !== 'normal') continue
      const { stamp, operation } = unstamp(entry.data)
      const name = `${stamp.origin}/${stamp.sequence}`
      const known = sessions.known(stamp)
      // A repetition within this step is answered by the first one, which is applied with it.
      if (known === undefined && !seen.has(name)) fresh.push({ stamp, operation: { index: entry.index, data: operation } })
      else if (known) repeated.push({ stamp, index: entry.index, result: known })
      seen.add(name)
    }
    // An empty operation changes nothing: it only has to be applied, which is what a read barrier waits for.
    const real = fresh.filter(({ operation }) => operation.data.length > 0)
    const applied = await machine.apply(real.map(({ operation }) => operation))
    const results = new Map(real.map(({ operation }, position) => [operation.index, applied.results[position] ?? new Uint8Array()]))
    const outcomes = fresh.map(({ stamp, operation: { index } }) => ({ stamp, index, result: results.get(index) ?? new Uint8Array() }))
    for (const { stamp, index, result } of outcomes) sessions.record(stamp, index, result)
    const index = entries.at(-1)?.index ?? from - 1
    return {
      index,
      writes: [...applied.writes, ...sessions.writes(), this.#parts.storage.applied(index)],
      outcomes: [...outcomes, ...repeated],
      committed: applied.committed
    }
  }

  /** From memory as far as it reaches, else from disk. */
  async #entries(from: number, to: number): Promise<readonly Entry[]> {
    const { raft, storage } = this.#parts
    const recent: Entry[] = []
    for (let index = from; index <= to; index++) {
      const entry = raft.cached(index)
      if (entry === undefined) break
      recent.push(entry)
    }
    return recent.length > 0 ? recent : storage.read(from, to, bytesMax)
  }
}
