/**
 * The proposals of this peer that are not answered yet. A proposal is answered when this peer has applied it; until then it is sent again to
 * whoever leads, which is safe because the sessions apply it once.
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

interface Waiting {
  readonly sequence: number
  readonly data: Uint8Array
  readonly sinceMs: number
  /** Given to a leader at least once, so it may be in a log. */
  wasHanded: boolean
  /** Not to be sent again before this peer learns of another leader, or `resendMs` are over. */
  handedMs: number
  readonly resolve: (proposed: Proposed) => void
  readonly reject: (error: unknown) => void
}

/** A proposal that was accepted and then forgotten by everybody is sent again after this time. */
const resendMs = 2_000

export class Proposals {
  readonly #origin: string
  readonly #clock: Clock
  readonly #limits: ProposalLimits
  /** In the order of their numbers, which is the order of their age. */
  readonly #waiting = new Map<number, Waiting>()
  #next = 1
  #bytes = 0

  constructor({ origin, clock }: { origin: string; clock: Clock }, limits: ProposalLimits) {
    this.#origin = origin
    this.#clock = clock
    this.#limits = limits
  }

  /** @throws ClusterError `overloaded` */
  add(operation: Uint8Array, { signal }: Abortable): Promise<Proposed> {
    signal?.throwIfAborted()
    if (this.#waiting.size >= this.#limits.countMax || this.#bytes + operation.length > this.#limits.bytesMax) throw overloaded()
    const sequence = this.#next++
    const answeredBelow = this.#waiting.keys().next().value ?? sequence
    const data = stamp({ origin: this.#origin, sequence, answeredBelow }, operation)
    const { promise, resolve, reject } = Promise.withResolvers<Proposed>()
    const abort = () => this.#take(sequence)?.reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    const settled = () => signal?.removeEventListener('abort', abort)
    this.#waiting.set(sequence, {
      sequence,
      data,
      sinceMs: this.#clock.monotonicMs(),
      wasHanded: false,
      handedMs: Number.NEGATIVE_INFINITY,
      resolve: proposed => {
        settled()
        resolve(proposed)
      },
      reject: error => {
        settled()
        reject(error)
      }
    })
    this.#bytes += data.length
    return promise
  }

  /** What has to be given to the leader now, oldest first; counts as handed from here on. */
  takeUnsent(countMax: number): readonly { readonly sequence: number; readonly data: Uint8Array }[] {
    const nowMs = this.#clock.monotonicMs()
    const unsent: Waiting[] = []
    for (const waiting of this.#waiting.values()) {
      if (unsent.length >= countMax) break
      if (nowMs - waiting.handedMs >= resendMs) unsent.push(waiting)
    }
    for (const waiting of unsent) {
      waiting.handedMs = nowMs
      waiting.wasHanded = true
    }
    return unsent
  }

  /** They reached nobody, or a peer that does not lead. `isKnownLost`: they are in no log. */
  putBack(sequences: readonly number[], { isKnownLost }: { isKnownLost: boolean }): void {
    for (const sequence of sequences) {
      const waiting = this.#waiting.get(sequence)
      if (waiting === undefined) continue
      waiting.handedMs = Number.NEGATIVE_INFINITY
      if (isKnownLost) waiting.wasHanded = false
    }
  }

  /** Another leader: whatever is not applied may be lost with the old one. */
  resendAll(): void {
    for (const waiting of this.#waiting.values()) waiting.handedMs = Number.NEGATIVE_INFINITY
  }

  /** This peer applied a proposal of its own. */
  answer({ origin, sequence }: Stamp, proposed: Proposed): void {
    if (origin === this.#origin) this.#take(sequence)?.resolve(proposed)
  }

  /** Gives up on those that are too old. */
  expire(noLeader: () => ClusterError): void {
    const nowMs = this.#clock.monotonicMs()
    for (const waiting of this.#waiting.values()) {
      if (nowMs - waiting.sinceMs < this.#limits.timeoutMs) return
      this.#take(waiting.sequence)?.reject(waiting.wasHanded ? unknown() : noLeader())
    }
  }

  /** The peer stops: nobody will answer. */
  rejectAll(error: unknown): void {
    for (const sequence of [...this.#waiting.keys()]) this.#take(sequence)?.reject(error)
  }

  #take(sequence: number): Waiting | undefined {
    const waiting = this.#waiting.get(sequence)
    this.#waiting.delete(sequence)
    this.#bytes -= waiting?.data.length ?? 0
    return waiting
  }
}

export function overloaded(): ClusterError {
  return new ClusterError({ code: 'overloaded', retryAfterMs: 1_000 }, 'too many changes wait to be agreed: ask again in a second')
}

function unknown(): ClusterError {
  return new ClusterError(
    { code: 'outcome_unknown' },
    'the change was handed to a leader, but nobody confirmed it in time: it may still happen, and it is safe to ask again'
  )
}
