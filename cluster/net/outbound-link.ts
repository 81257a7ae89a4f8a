/** This peer's side of a link: calls that wait for their answers, and messages. */
import type { Stream } from '@libp2p/interface'
import { ClusterError } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import { Frames } from './frames.ts'
import {
  decodeFault,
  decodeHello,
  encodeHello,
  type Hello,
  kinds,
  readHead,
  sendCancel,
  sendMessage,
  sendRequest,
  unreachablePeer
} from './link.ts'

interface Waiting {
  readonly resolve: (answer: Uint8Array) => void
  readonly reject: (error: unknown) => void
}

export class OutboundLink {
  readonly #peer: PeerId
  readonly #calls: Frames
  readonly #messages: Frames
  readonly #waiting = new Map<number, Waiting>()
  readonly #closed = Promise.withResolvers<string>()
  readonly #greeted = Promise.withResolvers<Hello>()
  #isGreeted = false
  #next = 1

  private constructor(peer: PeerId, { calls, messages }: { calls: Stream; messages: Stream }) {
    this.#peer = peer
    this.#calls = new Frames(calls, { onFrame: frame => this.#receive(frame), onClose: reason => this.close(reason) })
    this.#messages = new Frames(messages, { onFrame: () => this.close('it answered to a message'), onClose: reason => this.close(reason) })
    // Whoever waits for the greeting handles its failure; nobody may be waiting.
    this.#greeted.promise.catch(() => {})
  }

  /** @throws ClusterError `wrong_cluster`, `peer_unreachable` */
  static async open(peer: PeerId, streams: { calls: Stream; messages: Stream }, hello: Hello, signal: AbortSignal): Promise<OutboundLink> {
    const link = new OutboundLink(peer, streams)
    const greeting = encodeHello(hello)
    link.#calls.send(greeting)
    link.#messages.send(greeting)
    const abort = () => link.close('no greeting in time')
    signal.addEventListener('abort', abort, { once: true })
    const theirs = await link.#greeted.promise.finally(() => signal.removeEventListener('abort', abort))
    if (theirs.clusterId !== null && hello.clusterId !== null && theirs.clusterId !== hello.clusterId) {
      link.close('another cluster')
      throw new ClusterError(
        { code: 'wrong_cluster' },
        `peer ${peer} belongs to cluster ${theirs.clusterId}, this peer to ${hello.clusterId}: two clusters are not merged`
      )
    }
    return link
  }

  /** Resolves with the reason once the link is down; never rejects. */
  get closed(): Promise<string> {
    return this.#closed.promise
  }

  call(method: string, payload: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const id = this.#next++
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const abort = () => {
      if (!this.#waiting.delete(id)) return
      sendCancel(this.#calls, id)
      reject(signal?.reason)
    }
    const settle =
      <T>(end: (value: T) => void) =>
      (value: T) => {
        signal?.removeEventListener('abort', abort)
        end(value)
      }
    this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
    signal?.addEventListener('abort', abort, { once: true })
    if (!sendRequest(this.#calls, id, method, payload)) {
      this.#take(id)?.reject(unreachablePeer(this.#peer, 'the link is down, too slow, or the request too large'))
    }
    return promise
  }

  message(channel: string, payload: Uint8Array): boolean {
    return sendMessage(this.#messages, channel, payload)
  }

  close(reason: string): void {
    this.#calls.close(reason)
    this.#messages.close(reason)
    this.#greeted.reject(unreachablePeer(this.#peer, reason))
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(unreachablePeer(this.#peer, reason))
    this.#closed.resolve(reason)
  }

  #receive(frame: Buffer): void {
    try {
      if (!this.#isGreeted) {
        this.#isGreeted = true
        this.#greeted.resolve(decodeHello(frame))
        return
      }
      const { kind, id, body } = readHead(frame)
      // The answer to a call that was given up is of no use any more.
      if (kind === kinds.answer) this.#take(id)?.resolve(body)
      else if (kind === kinds.fault) this.#take(id)?.reject(decodeFault(body))
      else this.close('a frame of an unknown kind')
    } catch {
      this.close('a frame that cannot be read')
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }
}
