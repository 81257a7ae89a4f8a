/**
 * What each peer says of its copy of a pin: this peer's tracker, or a question to another one. Answers the same question for others.
 * Observed, never agreed: every answer may be out of date when it arrives.
 */
import type { Clock } from '../src/clock.ts'
import { messageOf } from '../src/errors.ts'
import { type Abortable, deadline, Limit } from '../src/lifetime.ts'
import type { Cid, PeerId, Pin } from '../src/types.ts'
import type { LocalStatus, Tracker } from './ipfs/tracker-api.ts'
import {
  type CopyStatus,
  decodeCopyStatus,
  decodePage,
  decodePageQuestion,
  decodeStatusQuestion,
  encodeCopyStatus,
  encodePage,
  encodePageQuestion,
  encodeStatusQuestion,
  fingerprint,
  methods,
  type StatusQuestion
} from './messages.ts'
import type { Rpc } from './net/rpc.ts'
import type { Pinset } from './state/pinset.ts'

export interface CopiesParts {
  readonly rpc: Pick<Rpc, 'self' | 'call' | 'handle'>
  readonly pinset: Pick<Pinset, 'get' | 'watch'>
  readonly tracker: Pick<Tracker, 'status' | 'onChange'>
  readonly clock: Clock
}

/** A peer's copy as it is shown: its own word, or why there is none. */
export type Copy = LocalStatus | (Omit<LocalStatus, 'status'> & { readonly status: 'cluster_error' | 'remote' })

export interface CopyOptions extends Abortable {
  readonly known?: string
  readonly waitMs?: number
  readonly isBlind?: boolean
}

/** A peer that is up answers within milliseconds; one that takes longer than this is shown as not answering. */
const answerMs = 5_000

export class Copies {
  readonly #parts: CopiesParts

  constructor(parts: CopiesParts) {
    this.#parts = parts
  }

  /** Serves the questions of other members. */
  start(): void {
    const { rpc } = this.#parts
    rpc.handle(methods.status, async (_from, payload, { signal }) =>
      encodeCopyStatus(await this.#answer(decodeStatusQuestion(payload), signal))
    )
    rpc.handle(methods.page, async (_from, payload) => encodePage(await this.#page(decodePageQuestion(payload))))
  }

  /**
   * `peer`'s word on its copy of `pin`. With `known`, waits until there is something new or `waitMs` are over.
   * A peer that has not heard of this version yet has it as good as queued.
   */
  async of(peer: PeerId, pin: Pick<Pin, 'cid' | 'version'>, options: CopyOptions = {}): Promise<Copy> {
    const { known = '', waitMs = 0, isBlind = false } = options
    const question: StatusQuestion = { cid: pin.cid, version: pin.version, known, waitMs, isBlind }
    try {
      const isOwn = peer === this.#parts.rpc.self
      const copy = await (isOwn ? this.#answer(question, options.signal) : this.#ask(peer, question, options.signal))
      return copy === 'not_applied' ? this.#notApplied() : copy
    } catch (error) {
      options.signal?.throwIfAborted()
      return this.silent(error)
    }
  }

  /** `peer`'s word on many pins it should hold, in the order of `cids`; one answer a CID. */
  async ofMany(peer: PeerId, cids: readonly Cid[], { signal }: Abortable = {}): Promise<readonly Copy[]> {
    try {
      const { rpc } = this.#parts
      if (peer === rpc.self) return await this.#page(cids)
      return decodePage(await rpc.call(peer, methods.page, encodePageQuestion(cids), { signal: deadline(answerMs, signal) }))
    } catch (error) {
      signal?.throwIfAborted()
      const silent = this.silent(error)
      return cids.map(() => silent)
    }
  }

  /** The copy of a peer that gives no answer. */
  silent(reason: unknown): Copy {
    return {
      status: 'cluster_error',
      error: messageOf(reason),
      attemptCount: 0,
      priorityPin: false,
      timestamp: this.#parts.clock.wallMs(),
      progress: null
    }
  }

  /** The copy of a peer that is not among the holders. */
  remote(): Copy {
    return { status: 'remote', error: '', attemptCount: 0, priorityPin: false, timestamp: this.#parts.clock.wallMs(), progress: null }
  }

  #notApplied(): Copy {
    return { status: 'pin_queued', error: '', attemptCount: 0, priorityPin: true, timestamp: this.#parts.clock.wallMs(), progress: null }
  }

  async #ask(peer: PeerId, question: StatusQuestion, signal: AbortSignal | undefined): Promise<CopyStatus> {
    using limit = new Limit([signal], { ms: answerMs + question.waitMs })
    const answer = await this.#parts.rpc.call(peer, methods.status, encodeStatusQuestion(question), { signal: limit.signal })
    return decodeCopyStatus(answer)
  }

  async #answer(question: StatusQuestion, signal: AbortSignal | undefined): Promise<CopyStatus> {
    signal?.throwIfAborted()
    const { pinset, tracker, clock } = this.#parts
    let isOver = question.waitMs === 0
    let woken = Promise.withResolvers<void>()
    const wake = () => woken.resolve()
    const late = () => {
      isOver = true
      wake()
    }
    using _late = isOver ? null : clock.every(question.waitMs, late)
    signal?.addEventListener('abort', wake)
    try {
      for (;;) {
        // Listen before looking: what changes in between must not be missed.
        woken = Promise.withResolvers<void>()
        using _tracked = tracker.onChange(question.cid, wake, question)
        using _agreed = pinset.watch(question.cid, wake)
        const copy = await this.#look(question)
        if (isOver || fingerprint(copy) !== question.known) return copy
        await woken.promise
        signal?.throwIfAborted()
      }
    } finally {
      signal?.removeEventListener('abort', wake)
    }
  }

  async #look({ cid, version }: StatusQuestion): Promise<CopyStatus> {
    if (version === 0) return this.#parts.tracker.status(cid, null)
    const pin = await this.#parts.pinset.get(cid)
    if (pin === undefined || pin.version < version) return 'not_applied'
    return this.#parts.tracker.status(cid, holds(this.#parts.rpc.self, pin) ? pin : null)
  }

  async #page(cids: readonly Cid[]): Promise<LocalStatus[]> {
    return Promise.all(cids.map(cid => this.#parts.tracker.status(cid, { version: 0 })))
  }
}

/** Whether `peer` is among the holders of `pin`. */
export function holds(peer: PeerId, pin: Pick<Pin, 'allocations' | 'type'>): boolean {
  return pin.type !== 'meta-pin' && (pin.allocations.length === 0 || pin.allocations.includes(peer))
}
