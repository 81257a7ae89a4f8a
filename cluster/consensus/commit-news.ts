/**
 * News of a commit that nobody waits for: kept back for a moment, because the next entries, or a heartbeat, say the same. Where clients come one
 * at a time that is half of all packets, and a batch of its own on every follower. Where no entries have come soon after the last news, none are
 * waited for: the followers may have work to do.
 */
import type { Clock } from '../../src/clock.ts'
import type { Message, NodeId } from '../raft/types.ts'

type News = Extract<Message, { type: 'commit' }>

/** Longer than one client takes from its answer to its next proposal, shorter than what anybody notices on another peer. */
const keptMs = 2
/** So many news in a row must have waited for nothing before the next ones do not wait. */
const vainMax = 3

export interface CommitNewsParts {
  readonly clock: Clock
  /** Sends what was kept back. */
  readonly send: (news: readonly News[]) => void
}

export class CommitNews {
  readonly #parts: CommitNewsParts
  readonly #kept = new Map<NodeId, News>()
  /** Who waits for the commit of this index, and so for an answer to a client of its own. */
  readonly #awaited = new Map<NodeId, number>()
  #isTimed = false
  /** News in a row that were followed by no entries while they waited, or would have. */
  #vain = 0
  /** When news that did not wait were sent last, on the monotonic clock. */
  #hastyMs = Number.NEGATIVE_INFINITY

  constructor(parts: CommitNewsParts) {
    this.#parts = parts
  }

  /** `peer` has to learn of the commit of `index` as soon as it happens. */
  await(peer: NodeId, index: number): void {
    this.#awaited.set(peer, index)
  }

  /** Another leader or term: what was promised to be told is told by whoever leads now. */
  newReign(): void {
    this.#awaited.clear()
  }

  /** @returns the messages that leave now */
  sift(messages: readonly Message[]): readonly Message[] {
    return messages.filter(message => {
      if (message.type === 'commit' && !this.#awaited.has(message.to)) {
        if (this.#vain < vainMax) {
          this.#keep(message)
          return false
        }
        this.#hastyMs = this.#parts.clock.monotonicMs()
      }
      if (message.type === 'append' && this.#parts.clock.monotonicMs() - this.#hastyMs < keptMs) this.#vain = 0
      if ('commit' in message) this.#told(message)
      return true
    })
  }

  #told({ type, to: peer, commit }: Message & { readonly commit: number }): void {
    if ((this.#kept.get(peer)?.commit ?? Number.POSITIVE_INFINITY) <= commit) {
      this.#kept.delete(peer)
      if (type === 'append') this.#vain = 0
    }
    if ((this.#awaited.get(peer) ?? Number.POSITIVE_INFINITY) <= commit) this.#awaited.delete(peer)
  }

  #keep(news: News): void {
    this.#kept.set(news.to, news)
    if (this.#isTimed) return
    this.#isTimed = true
    void this.#parts.clock.sleep(keptMs).then(() => {
      this.#isTimed = false
      const kept = [...this.#kept.values()]
      this.#kept.clear()
      if (kept.length === 0) return
      this.#vain++
      this.#parts.send(kept)
    })
  }
}
