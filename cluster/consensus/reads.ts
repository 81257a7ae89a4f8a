/**
 * Read barriers of this peer: the leader, wherever it is, says up to which entry a read has to see, and the barrier is behind it. One question at a
 * time; whoever comes meanwhile shares the next one, so a thousand readers cost the leader no more than one. The other side is here too.
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import type { Clock } from '../../src/clock.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { type Abortable, deadline } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { NodeId, ReadState, Refusal } from '../raft/types.ts'
import { Commits } from './commits.ts'

export interface ReadsParts {
  readonly rpc: Pick<Rpc, 'self' | 'call' | 'handle'>
  readonly clock: Clock
  readonly log: Log
  readonly leader: () => NodeId | null
  /** Asks the own core. */
  readonly ask: (id: number) => Refusal | null
  readonly applied: () => number
  readonly noLeader: () => ClusterError
}

export interface ReadLimits {
  readonly timeoutMs: number
  /** Barriers that may wait at a time. */
  readonly countMax: number
}

const method = 'consensus/read'
const callMs = 3_000
/** Before a leader that does not know, or cannot be reached, is asked again. */
const pauseMs = 20
const answer = z.int().nonnegative()

type Question = PromiseWithResolvers<number>

export class Reads {
  readonly #parts: ReadsParts
  readonly #limits: ReadLimits
  /** Who waits for the leader's word. */
  readonly #open = new Set<Question>()
  /** What the own core was asked. */
  readonly #asked = new Map<number, Question>()
  /** Who waits until this peer has applied what the leader named. */
  readonly #behind = new Commits()
  #next = 1
  #count = 0
  #isAsking = false
  #reign = new AbortController()
  #end: ClusterError | undefined

  constructor(parts: ReadsParts, limits: ReadLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  serve(): void {
    this.#parts.rpc.handle(method, async (_from, _payload, { signal }) => encode(await this.#own(deadline(callMs, signal))))
  }

  /** @throws ClusterError `no_leader`, `timeout`, `overloaded`; what `fail` was given; `signal.reason` on abort */
  async barrier({ signal }: Abortable): Promise<void> {
    if (this.#end) throw this.#end
    if (this.#count >= this.#limits.countMax) {
      throw new ClusterError({ code: 'overloaded', retryAfterMs: 1_000 }, 'too many reads wait to be confirmed: ask again in a second')
    }
    const within = deadline(this.#limits.timeoutMs, signal)
    this.#count++
    try {
      const index = await this.#index(within)
      if (index > this.#parts.applied()) await this.#behind.wait(index, { signal: within })
    } catch (error) {
      signal?.throwIfAborted()
      if (!within.aborted || error instanceof ClusterError) throw error
      if (this.#parts.leader() === null) throw this.#parts.noLeader()
      throw new ClusterError({ code: 'timeout' }, 'nobody confirmed in time that this peer is up to date', { cause: error })
    } finally {
      this.#count--
    }
  }

  /** The core has confirmed these. */
  released(reads: readonly ReadState[]): void {
    for (const { id, index } of reads) {
      this.#asked.get(id)?.resolve(index)
      this.#asked.delete(id)
    }
  }

  applied(index: number): void {
    if (this.#behind.isAwaited) this.#behind.settle({ commit: index, isLeader: true }, () => this.#parts.noLeader())
  }

  /** Another leader, another term, or none: what was asked before is asked again. */
  newReign(): void {
    this.#reign.abort(new Error('the leader changed'))
    this.#reign = new AbortController()
    for (const { reject } of this.#asked.values()) reject(this.#parts.noLeader())
    this.#asked.clear()
  }

  /** Nobody waits any longer. */
  fail(error: ClusterError): void {
    for (const { reject } of this.#open) reject(error)
    this.#behind.rejectAll(error)
  }

  /** The peer stops. */
  stop(error: ClusterError): void {
    this.#end = error
    this.newReign()
    this.fail(error)
  }

  async #index(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted()
    const question = Promise.withResolvers<number>()
    const abort = () => question.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    this.#open.add(question)
    void this.#askAll()
    try {
      return await question.promise
    } finally {
      signal.removeEventListener('abort', abort)
      this.#open.delete(question)
    }
  }

  /** Never rejects. */
  async #askAll(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    while (this.#open.size > 0 && !this.#end) {
      const { signal } = this.#reign
      const asking = [...this.#open]
      try {
        const index = await this.#ask(signal)
        for (const question of asking) {
          this.#open.delete(question)
          question.resolve(index)
        }
      } catch (error) {
        this.#parts.log.debug({ reason: messageOf(error) }, 'read not confirmed yet')
        if (!signal.aborted) await this.#parts.clock.sleep(pauseMs, { signal }).catch(() => {})
      }
    }
    this.#isAsking = false
  }

  async #ask(signal: AbortSignal): Promise<number> {
    const { rpc, leader } = this.#parts
    const known = leader()
    if (known === null) throw this.#parts.noLeader()
    const within = deadline(callMs, signal)
    if (known === rpc.self) return this.#own(within)
    return answer.parse(decode(await rpc.call(known as PeerId, method, new Uint8Array(), { signal: within })))
  }

  /** By the core of this peer, if it leads. */
  async #own(signal: AbortSignal): Promise<number> {
    if (this.#end) throw this.#end
    signal.throwIfAborted()
    const id = this.#next++
    const question = Promise.withResolvers<number>()
    const abort = () => question.reject(signal.reason)
    this.#asked.set(id, question)
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (this.#parts.ask(id) !== null) throw this.#parts.noLeader()
      return await question.promise
    } finally {
      signal.removeEventListener('abort', abort)
      this.#asked.delete(id)
    }
  }
}
