/**
 * Export and import of what is agreed. An import is cut into entries of the log that hold many pins each, several of which are under way at a time;
 * what is not agreed yet is asked for again, as agreeing on the same pins twice changes nothing.
 */
import type { ReadOptions } from '../src/api.ts'
import type { Clock } from '../src/clock.ts'
import { ClusterError, isFault } from '../src/errors.ts'
import type { Abortable } from '../src/lifetime.ts'
import type { Cid, ImportOptions, ImportProgress, PeerId, Pin, StateExport } from '../src/types.ts'
import { allocate, type Candidate } from './allocator.ts'
import type { Consensus } from './consensus/consensus.ts'
import { type Factors, factorsOf } from './factors.ts'
import { decodeResult, encodeOperation, type Merged } from './state/operations.ts'
import type { Pinset } from './state/pinset.ts'
import { recordOf } from './state/record.ts'

export interface TransferParts {
  readonly consensus: Pick<Consensus, 'propose' | 'readBarrier'>
  readonly pinset: Pick<Pinset, 'get' | 'cut'>
  readonly clock: Clock
  /** Every member, as the monitor sees it. */
  readonly candidates: () => readonly Candidate[]
  /** @throws ClusterError `not_ready` */
  readonly requireState: () => void
}

/** Of one entry, whichever comes first. Applying an entry must not keep the peer from its heartbeats. */
const entryPinsMax = 500
const entryBytesMax = 192 << 10
/** Entries under way: enough that the disk of the leader never waits for the next. */
const entriesMax = 4
const progressMs = 500
/** Without a leader, or with one that is overloaded, an import waits this long for the next entry to be agreed. */
const patienceMs = 60_000
const retryMs = 200

export class Transfer {
  readonly #parts: TransferParts
  readonly #defaults: Factors

  constructor(parts: TransferParts, defaults: Factors) {
    this.#parts = parts
    this.#defaults = defaults
  }

  async export({ consistency, signal }: ReadOptions = {}): Promise<StateExport> {
    const { consensus, pinset, requireState } = this.#parts
    requireState()
    if (consistency === 'linearizable') await consensus.readBarrier({ signal })
    signal?.throwIfAborted()
    const { index, pins } = await pinset.cut()
    return { index, pins: stoppedBy(pins, signal) }
  }

  async *import(pins: AsyncIterable<Pin>, { signal, ...options }: ImportOptions & Abortable = {}): AsyncIterable<ImportProgress> {
    const { clock, requireState } = this.#parts
    requireState()
    const factors = options.replicationMin === undefined ? undefined : factorsOf(options, this.#defaults)
    const stop = new AbortController()
    const ended = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
    const tally = { added: 0, replaced: 0, unchanged: 0 }
    const progress = (done: boolean): ImportProgress => ({ pins: tally.added + tally.replaced + tally.unchanged, ...tally, done })
    let outcome: { readonly error?: unknown } | undefined
    const work = this.#merge(pins, { existing: options.existing ?? 'replace', factors, tally, signal: ended }).then(
      () => (outcome = {}),
      error => (outcome = { error })
    )
    try {
      for (;;) {
        await Promise.race([work, clock.sleep(progressMs, { signal: ended }).catch(() => {})])
        if (outcome !== undefined && 'error' in outcome) throw outcome.error
        signal?.throwIfAborted()
        yield progress(outcome !== undefined)
        if (outcome !== undefined) return
      }
    } finally {
      stop.abort(new Error('nobody waits for this import any more'))
      await work
    }
  }

  async #merge(pins: AsyncIterable<Pin>, { existing, factors, tally, signal }: Merge): Promise<void> {
    const running = new Set<Promise<void>>()
    let batch: Pin[] = []
    let bytes = 0
    let failure: { readonly error: unknown } | undefined
    const send = () => {
      const entry = this.#agree(batch, { existing, factors, signal })
        .then(merged => {
          for (const key of ['added', 'replaced', 'unchanged'] as const) tally[key] += merged[key]
        })
        .catch(error => (failure ??= { error }))
        .then(() => void running.delete(entry))
      running.add(entry)
      batch = []
      bytes = 0
    }
    try {
      for await (const pin of pins) {
        signal.throwIfAborted()
        if (failure) throw failure.error
        batch.push(pin)
        bytes += sizeOf(pin)
        if (batch.length >= entryPinsMax || bytes >= entryBytesMax) send()
        while (running.size >= entriesMax) await Promise.race(running)
      }
      if (batch.length > 0) send()
    } finally {
      await Promise.all(running)
    }
    if (failure) throw failure.error
  }

  async #agree(batch: readonly Pin[], { existing, factors, signal }: Omit<Merge, 'tally'>): Promise<Merged> {
    const candidates = this.#parts.candidates()
    const pins = await Promise.all(batch.map(pin => this.#placed(pin, { factors, candidates })))
    return this.#propose(encodeOperation({ type: 'merge', records: pins.map(recordOf), existing }), { signal })
  }

  /** Until it is agreed, or nobody has agreed for too long. */
  async #propose(operation: Uint8Array, { signal }: { readonly signal: AbortSignal }): Promise<Merged> {
    const { consensus, clock } = this.#parts
    const sinceMs = clock.monotonicMs()
    for (;;) {
      try {
        const outcome = decodeResult((await consensus.propose(operation, { signal })).result)
        if (outcome.status !== 'merged') throw new Error('an import was answered as another operation')
        return outcome
      } catch (error) {
        const isPassing = (['no_leader', 'outcome_unknown', 'overloaded'] as const).some(code => isFault(error, code))
        if (!isPassing || clock.monotonicMs() - sinceMs > patienceMs) throw error
        await clock.sleep(retryMs, { signal })
      }
    }
  }

  /**
   * The pin with the holders it gets here: those it comes with who are members, else those it has already, and where they are too few others as for a
   * new pin.
   */
  async #placed(
    pin: Pin,
    { factors, candidates }: { readonly factors: Factors | undefined; readonly candidates: readonly Candidate[] }
  ): Promise<Pin> {
    if (pin.type !== 'pin') return pin
    const { min, max } = factors ?? factorsOf(pin, this.#defaults)
    const placed = (allocations: readonly PeerId[]) => ({ ...pin, replicationMin: min, replicationMax: max, allocations })
    if (min === -1) return placed([])
    const isEnough = (holders: readonly PeerId[]) => holders.length >= min && holders.length <= max
    const members = (holders: readonly PeerId[] = []) => holders.filter(id => candidates.some(candidate => candidate.id === id)).toSorted()
    const given = members(pin.allocations)
    if (isEnough(given)) return placed(given)
    const present = members((await this.#parts.pinset.get(pin.cid))?.allocations)
    if (isEnough(present)) return placed(present)
    return placed(chosen([...new Set([...given, ...present])], { cid: pin.cid, min, max, candidates }))
  }
}

interface Merge {
  readonly existing: 'replace' | 'keep'
  readonly factors: Factors | undefined
  readonly tally: { added: number; replaced: number; unchanged: number }
  readonly signal: AbortSignal
}

/** Fewer than the minimum where there are no more: a backup can be restored to a cluster that has not grown yet. Never none, as that means all. */
function chosen(
  current: readonly PeerId[],
  { cid, min, max, candidates }: Factors & { readonly cid: Cid; readonly candidates: readonly Candidate[] }
): readonly PeerId[] {
  const holders = allocate({
    cid,
    replicationMin: 0,
    replicationMax: max,
    current,
    isUnchanged: false,
    preferred: current,
    // Also peers whose Kubo has not said yet how much space it has: a cluster that has just started is filled as well.
    candidates: candidates.map(candidate => ({ ...candidate, freeBytes: candidate.freeBytes ?? 1 }))
  })
  if (holders.length > 0) return holders
  throw new ClusterError(
    { code: 'not_enough_peers', wanted: min, available: 0 },
    'no member can take a pin now: all are full, or not reached'
  )
}

async function* stoppedBy<T>(items: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncIterable<T> {
  for await (const item of items) {
    signal?.throwIfAborted()
    yield item
  }
}

/** Bytes of its record, about. */
function sizeOf({ name, allocations, metadata, origins }: Pin): number {
  const texts = [name, ...allocations, ...origins, ...Object.entries(metadata).flat()]
  return texts.reduce((bytes, text) => bytes + 3 + text.length, 100)
}
