/** Raft's messages over the calls between peers: one channel, no answers, and losing some is allowed. */
import type { Clock } from '../../src/clock.ts'
import { messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Message, NodeId } from '../raft/types.ts'
import { decodeMessage, encodeMessage } from './codec.ts'
import { CommitNews } from './commit-news.ts'

const channel = 'raft'

export class RaftTransport {
  readonly #rpc: Pick<Rpc, 'self' | 'send' | 'receive'>
  readonly #log: Log
  readonly #news: CommitNews

  constructor({ rpc, clock, log }: { readonly rpc: Pick<Rpc, 'self' | 'send' | 'receive'>; readonly clock: Clock; readonly log: Log }) {
    this.#rpc = rpc
    this.#log = log
    this.#news = new CommitNews({ clock, send: news => void this.#sendNow(news) })
  }

  /** Sends what can be sent now. @returns whom an append did not leave for: the leader must not count on it */
  send(messages: readonly Message[]): readonly NodeId[] {
    return this.#sendNow(this.#news.sift(messages))
  }

  /** `peer` has to learn of the commit of `index` as soon as it happens: a client of its own waits for that. */
  awaitCommit(peer: PeerId, index: number): void {
    this.#news.await(peer, index)
  }

  newReign(): void {
    this.#news.newReign()
  }

  #sendNow(messages: readonly Message[]): readonly NodeId[] {
    const missed: NodeId[] = []
    for (const message of messages) {
      const wasTaken = this.#rpc.send(message.to as PeerId, channel, encodeMessage(message))
      if (!wasTaken && message.type === 'append') missed.push(message.to)
    }
    return missed
  }

  /** Every message is one of the peer at the other end of its connection: its name is not in the bytes, so it cannot claim to be another. */
  receive(handle: (message: Message) => void): void {
    this.#rpc.receive(channel, (from, payload) => {
      let message: Message
      try {
        message = decodeMessage(payload, { from, to: this.#rpc.self })
      } catch (error) {
        this.#log.warn({ peer: from, reason: messageOf(error) }, 'raft message refused')
        return
      }
      handle(message)
    })
  }
}
