/**
 * The proposals of this peer that are not answered yet. A proposal is answered when this peer has applied it; until then it is given again to
 * every new leader, which is safe because the sessions apply it once.
 */
import type { Clock } from '../../src/clock.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Abortable } from '../../src/lifetime.ts'
import type { Proposed } from './consensus.ts'
import { type Stamp, stamp } from './sessions.ts'

export interface ProposalLimits {
  readonly timeoutMs: number
  readonly countMax: number
  readonly bytesMax: number
}

export interface Unsent {
  readonly sequence: number
  /** Stamped. */
  readonly data: Uint8Array
}

interface Waiting extends Unsent {
  readonly sinceMs: number
  /** The first handing-over that was not refused: since then it may be in a log. 0 for none. */
  handing: number
  readonly resolve: (proposed: Proposed) => void
  readonly reject: (error: unknown) => void
  readonly signal: AbortSignal | undefined
  readonly abort: () => void
}

/** The newest may be this far ahead of the oldest that waits: what the sessions of all peers have to remember. */
const windowMax = 16_384

export class Proposals {
  readonly #origin: string
  readonly #clock: Clock
  readonly #limits: ProposalLimits
  /** In the order of their numbers, which is the order of their age. */
  readonly #waiting = new Map<number, Waiting>()
  /** Those that no leader of now has, oldest first; what is answered meanwhile stays in here until it is come across. */
  #unsent: number[] = []
  #next = 1
  #bytes = 0
  #handings = 0

  constructor({ origin, clock }: { readonly origin: string; readonly clock: Clock }, limits: ProposalLimits) {
    this.#origin = origin
    this.#clock = clock
    this.#limits = limits
  }

  /** Rejects with ClusterError `overloaded`, `outcome_unknown`, or what `expire` or `rejectAll` were given; with `signal.reason` on abort. */
  add(operation: Uint8Array, { signal }: Abortable): Promise<Proposed> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const sequence = this.#next
    const oldest = this.#waiting.keys().next().value ?? sequence
    const isFull = this.#waiting.size >= this.#limits.countMax || sequence - oldest >= windowMax
    // One proposal fits whatever its size, or it never would.
    if (isFull || (this.#bytes > 0 && this.#bytes + operation.length > this.#limits.bytesMax)) return Promise.reject(overloaded())
    this.#next++
    const data = stamp({ origin: this.#origin, sequence, answeredBelow: oldest }, operation)
    const { promise, resolve, reject } = Promise.withResolvers<Proposed>()
    const abort = () => this.#take(sequence)?.reject(signal?.reason)
    this.#waiting.set(sequence, { sequence, data, sinceMs: this.#clock.monotonicMs(), handing: 0, resolve, reject, signal, abort })
    this.#bytes += data.length
    this.#unsent.push(sequence)
    // Without a leader nobody comes across those that were aborted.
    if (this.#unsent.length > 2 * this.#limits.countMax) this.#unsent = this.#unsent.filter(sequence => this.#waiting.has(sequence))
    signal?.addEventListener('abort', abort, { once: true })
    return promise
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0
  }

  /** What a leader has to be given, oldest first, at least one if there is any. Each goes back by `refused` unless the leader took it. */
  takeUnsent({ countMax, bytesMax }: { readonly countMax: number; readonly bytesMax: number }): readonly Unsent[] {
    const taken: Waiting[] = []
    let bytes = 0
    let seen = 0
    for (const sequence of this.#unsent) {
      const waiting = this.#waiting.get(sequence)
      if (waiting !== undefined) {
        bytes += waiting.data.length
        if (taken.length > 0 && (taken.length >= countMax || bytes > bytesMax)) break
        taken.push(waiting)
      }
      seen++
    }
    this.#unsent.splice(0, seen)
    return taken
  }

  /** They are being given to a leader. From now on nobody can say that they are in no log, unless that leader has `refused` them. */
  handed(proposals: readonly Unsent[]): number {
    const handing = ++this.#handings
    for (const { sequence } of proposals) {
      const waiting = this.#waiting.get(sequence)
      if (waiting?.handing === 0) waiting.handing = handing
    }
    return handing
  }

  /** The leader did not take these of that handing-over. */
  refused(handing: number, proposals: readonly Unsent[]): void {
    for (const { sequence } of proposals) {
      const waiting = this.#waiting.get(sequence)
      // An earlier leader may have it all the same.
      if (waiting?.handing === handing) waiting.handing = 0
    }
    this.giveBack(proposals)
  }

  /** They have to be given to a leader again. */
  giveBack(proposals: readonly Unsent[]): void {
    if (proposals.length > 0) this.#unsent = merged(this.#unsent, proposals)
  }

  /** Another leader: whatever is not applied may be lost with the old one. */
  resendAll(): void {
    this.#unsent = [...this.#waiting.keys()]
  }

  /** An operation was applied; if it is ours, who proposed it gets the answer. */
  answer({ origin, sequence }: Stamp, proposed: Proposed): void {
    if (origin === this.#origin) this.#take(sequence)?.resolve(proposed)
  }

  /** The state was replaced by a later one: it knows what became of them on the way. */
  answerFrom(outcome: (stamp: Pick<Stamp, 'origin' | 'sequence'>) => Proposed | undefined): void {
    for (const sequence of [...this.#waiting.keys()]) {
      const found = outcome({ origin: this.#origin, sequence })
      if (found) this.#take(sequence)?.resolve(found)
    }
  }

  /** Gives up on those that have waited for `timeoutMs`. */
  expire(timeoutMs: number, noLeader: () => ClusterError): void {
    const nowMs = this.#clock.monotonicMs()
    for (const { sinceMs, sequence, handing } of this.#waiting.values()) {
      if (nowMs - sinceMs < timeoutMs) return
      this.#take(sequence)?.reject(handing > 0 ? unknown() : noLeader())
    }
  }

  /** Nobody can be asked any more: those that are in no log fail with `error`, of the others nobody will learn here. */
  rejectAll(error: ClusterError): void {
    for (const { sequence, handing } of [...this.#waiting.values()]) this.#take(sequence)?.reject(handing > 0 ? unknown(error) : error)
    this.#unsent = []
  }

  #take(sequence: number): Waiting | undefined {
    const waiting = this.#waiting.get(sequence)
    this.#waiting.delete(sequence)
    this.#bytes -= waiting?.data.length ?? 0
    waiting?.signal?.removeEventListener('abort', waiting.abort)
    return waiting
  }
}

/** Both are ascending; what is in both, for a new leader came in between, is in the result once. */
function merged(unsent: readonly number[], proposals: readonly Unsent[]): number[] {
  return [...new Set([...proposals.map(({ sequence }) => sequence), ...unsent])].sort((a, b) => a - b)
}

function overloaded(): ClusterError {
  return new ClusterError({ code: 'overloaded', retryAfterMs: 1_000 }, 'too many changes wait to be agreed: ask again in a second')
}

function unknown(cause?: unknown): ClusterError {
  const message = 'the change was handed to a leader, but nobody confirmed it in time: it may still happen, and it is safe to ask again'
  return new ClusterError({ code: 'outcome_unknown' }, message, { cause })
}
