/**
 * News of a commit that nobody waits for: kept back for a moment, because the next entries, or a heartbeat, say the same. Where clients come one
 * at a time that is half of all packets, and a batch of its own on every follower.
 */
import type { Clock } from '../../src/clock.ts'
import type { Message, NodeId } from '../raft/types.ts'

type News = Extract<Message, { type: 'commit' }>

/** Longer than one client takes from its answer to its next proposal, shorter than what anybody notices on another peer. */
const keptMs = 2

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
        this.#keep(message)
        return false
      }
      if ('commit' in message) this.#told(message.to, message.commit)
      return true
    })
  }

  #told(peer: NodeId, commit: number): void {
    if ((this.#kept.get(peer)?.commit ?? Number.POSITIVE_INFINITY) <= commit) this.#kept.delete(peer)
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
      if (kept.length > 0) this.#parts.send(kept)
    })
  }
}
