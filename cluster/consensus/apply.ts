/** Committed entries become changes of the state: in order, each once, in the batch that stores them. */
import type { Raft } from '../raft/raft.ts'
import type { Entry } from '../raft/types.ts'
import type { Space } from '../state/spaces.ts'
import type { WriteOp } from '../state/store.ts'
import type { Applied, Operation, StateMachine } from './consensus.ts'
import { markerWrites } from './marker.ts'
import { type Outcome, type Sessions, type Stamp, unstamp } from './sessions.ts'
import type { LogStorage } from './storage.ts'

/** Entries and bytes applied in one batch, one entry at least: bounds memory, and the time in which the peer does nothing else. */
const entriesMax = 1_000
const bytesMax = 128 << 10

export interface Step {
  /** The last entry of this step. */
  readonly index: number
  readonly writes: readonly WriteOp[]
  /** Every operation with its outcome, for those who wait. */
  readonly outcomes: readonly { readonly stamp: Stamp; readonly outcome: Outcome }[]
  /** Call it once reads of the store see the writes. Must be called before the next step. */
  readonly committed: () => void
}

interface Fresh {
  readonly stamp: Stamp
  readonly operation: Operation
}

export interface ApplierParts {
  readonly machine: Pick<StateMachine, 'apply'>
  readonly sessions: Sessions
  readonly storage: LogStorage
  readonly state: { readonly current: Pick<Space, 'writes'> }
  readonly raft: Pick<Raft, 'cached' | 'termAt'>
}

const nothing = new Uint8Array()

export class Applier {
  readonly #parts: ApplierParts

  constructor(parts: ApplierParts) {
    this.#parts = parts
  }

  /**
   * What applying entries from `from` up to at most `to` changes. Nothing is stored yet. It applies at least one entry.
   * @throws Error where the log or an operation cannot be read: the peer cannot go on
   */
  async step(from: number, to: number): Promise<Step> {
    const { sessions, state } = this.#parts
    const entries = await this.#entries(from, Math.min(to, from + entriesMax - 1))
    const { fresh, repeated } = this.#admit(entries)
    const { applied, outcomes } = await this.#apply(fresh)
    for (const { stamp, outcome } of outcomes) sessions.record(stamp, outcome)
    const index = from + entries.length - 1
    return {
      index,
      writes: state.current.writes([...applied.writes, ...sessions.writes(), ...markerWrites(entries)]),
      outcomes: [...outcomes, ...repeated],
      committed: applied.committed
    }
  }

  #admit(entries: readonly Entry[]): { fresh: Fresh[]; repeated: { stamp: Stamp; outcome: Outcome }[] } {
    const fresh: Fresh[] = []
    const repeated: { stamp: Stamp; outcome: Outcome }[] = []
    for (const entry of entries) {
      if (entry.type !== 'normal') continue
      const { stamp, operation } = unstamp(entry.data)
      const admission = this.#parts.sessions.admit(stamp, entry.index)
      if (admission === 'new') fresh.push({ stamp, operation: { index: entry.index, data: operation } })
      // Who waits for one that is running is answered with the first.
      else if (admission !== 'running' && admission !== null) repeated.push({ stamp, outcome: admission })
    }
    return { fresh, repeated }
  }

  async #apply(fresh: readonly Fresh[]): Promise<{ applied: Applied; outcomes: { stamp: Stamp; outcome: Outcome }[] }> {
    // An empty operation changes nothing: it is in logs of peers whose read barriers were entries.
    const real = fresh.filter(({ operation }) => operation.data.length > 0).map(({ operation }) => operation)
    const applied = real.length === 0 ? nothingApplied : await this.#parts.machine.apply(real)
    let next = 0
    const outcomes = fresh.map(({ stamp, operation: { index, data } }) => {
      const result = data.length > 0 ? applied.results[next++] : nothing
      if (result === undefined) throw new Error('the state machine answers every operation')
      return { stamp, outcome: { index, result } }
    })
    return { applied, outcomes }
  }

  /** From memory as far as it reaches, else from disk. */
  async #entries(from: number, to: number): Promise<readonly Entry[]> {
    const { raft, storage } = this.#parts
    const recent: Entry[] = []
    for (let index = from, bytes = 0; index <= to && bytes < bytesMax; index++) {
      const entry = raft.cached(index)
      if (entry === undefined) break
      recent.push(entry)
      if (entry.type === 'normal') bytes += entry.data.length
    }
    if (recent.length > 0) return recent
    const stored = await storage.read(from, to, bytesMax)
    // Entries that are being replaced by this very batch are still on disk as they were: what is not the core's is not applied.
    const replaced = stored.findIndex(({ index, term }) => raft.termAt(index) !== term)
    if (replaced === 0) throw new Error(`entry ${from} on disk is not the one that was agreed`)
    return replaced === -1 ? stored : stored.slice(0, replaced)
  }
}

const nothingApplied: Applied = { writes: [], results: [], committed: () => {} }
