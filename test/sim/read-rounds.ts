/**
 * What a leader may know when it confirms a read: that a majority answered heartbeats that left after the read was asked for. Late answers to
 * earlier ones prove nothing, and whether they did harm is a matter of luck; so it is checked by the order of events.
 */
import type { Message, NodeId, ReadState } from '../../cluster/raft/types.ts'
import type { Watched } from './seen.ts'
import { check } from './violation.ts'

/** What was seen of one life of a peer. */
interface Seen {
  /** When each round of heartbeats began. */
  readonly began: Map<number, number>
  readonly asked: Map<number, { readonly at: number; readonly committed: number }>
  /** Beginning of the latest round that each peer answered. */
  readonly answered: Map<NodeId, number>
}

export class ReadRounds {
  readonly #seen = new Map<NodeId, Seen>()
  #now = 0

  started(id: NodeId): void {
    this.#seen.set(id, { began: new Map(), asked: new Map(), answered: new Map() })
  }

  /** @param committed anywhere, by now */
  asked(id: NodeId, read: number, committed: number): void {
    this.#seen.get(id)?.asked.set(read, { at: ++this.#now, committed })
  }

  sent({ type, from, to, ...message }: Message): void {
    if (type === 'heartbeat' && 'token' in message) {
      const began = this.#seen.get(from)?.began
      if (!began?.has(message.token)) began?.set(message.token, ++this.#now)
    }
    if (type === 'heartbeat_reply' && 'token' in message) {
      const leader = this.#seen.get(to)
      const began = leader?.began.get(message.token)
      if (began !== undefined) leader?.answered.set(from, Math.max(began, leader.answered.get(from) ?? 0))
    }
  }

  released({ id, name }: Watched, { id: read, index }: ReadState, voters: readonly NodeId[]): void {
    const seen = this.#seen.get(id)
    const asked = seen?.asked.get(read)
    check(asked !== undefined, 'I20 read safety', `${name} confirms a read that nobody asked for`)
    seen?.asked.delete(read)
    const supporters = voters.filter(voter => voter === id || (seen?.answered.get(voter) ?? 0) > asked.at)
    check(supporters.length > voters.length / 2, 'I20 read safety', `${name} confirms a read by the word of [${supporters}] alone`)
    const detail = `${name} says that a read need not see more than ${index}, ${asked.committed} were committed when it was asked`
    check(index >= asked.committed, 'I20 read safety', detail)
  }
}
