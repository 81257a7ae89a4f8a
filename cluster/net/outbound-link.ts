/**
 * This peer's side of a link: its calls and messages to one other peer, over two streams of one connection, so that a heartbeat never waits
 * behind a large answer. The other peer has a link of its own in the other direction.
 */
import type { Stream } from '@libp2p/interface'
import { ClusterError } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import { Frames, frameBytesMax, lengthBytes } from './frames.ts'
import {
  cancelFrame,
  type Hello,
  helloFrame,
  kinds,
  messageHead,
  pingFrame,
  readFault,
  readHead,
  readHello,
  requestHead,
  strangeness,
  unreachablePeer
} from './link.ts'

/** Requests that may wait to be sent: two of the largest. */
const callQueueBytesMax = 2 * frameBytesMax
/** Messages that may wait: what does not leave soon is better sent anew, as it is then. */
const messageQueueBytesMax = 8 << 20

interface Waiting {
  readonly resolve: (answer: Uint8Array) => void
  readonly reject: (error: unknown) => void
}

export interface OutboundLinkParts {
  readonly peer: PeerId
  readonly calls: Stream
  readonly messages: Stream
}

export class OutboundLink {
  readonly #peer: PeerId
  readonly #calls: Frames
  readonly #messages: Frames
  readonly #waiting = new Map<number, Waiting>()
  readonly #closed = Promise.withResolvers<string>()
  readonly #greeted = Promise.withResolvers<void>()
  readonly #greetings = new Set<Frames>()
  #hello: Hello | undefined
  #clusterId: string | null
  #silentBeats = 0
  #next = 1

  private constructor({ peer, calls, messages }: OutboundLinkParts, clusterId: string | null) {
    this.#peer = peer
    this.#clusterId = clusterId
    this.#calls = this.#frames(calls, callQueueBytesMax)
    this.#messages = this.#frames(messages, messageQueueBytesMax)
    // Whoever waits for the greeting handles its failure; nobody may be waiting.
    this.#greeted.promise.catch(() => {})
  }

  /** @throws ClusterError `wrong_cluster`, `refused` for another version of the protocol, `peer_unreachable` */
  static async open(parts: OutboundLinkParts, hello: Hello, signal: AbortSignal): Promise<OutboundLink> {
    const link = new OutboundLink(parts, hello.clusterId)
    link.greet(hello)
    const late = () => link.close('it accepts the streams, but does not greet in time')
    if (signal.aborted) late()
    signal.addEventListener('abort', late, { once: true })
    await link.#greeted.promise.finally(() => signal.removeEventListener('abort', late))
    return link
  }

  /** Resolves with the reason once the link is down; never rejects. */
  get closed(): Promise<string> {
    return this.#closed.promise
  }

  /** How the other peer introduced itself. */
  get hello(): Hello | undefined {
    return this.#hello
  }

  /** Says who this peer is: first of all, and again when it has come to belong to a cluster. */
  greet(hello: Hello): void {
    this.#clusterId = hello.clusterId
    this.#calls.send(helloFrame(hello))
    this.#messages.send(helloFrame(hello))
    if (this.#hello !== undefined) this.#check(this.#hello)
  }

  /** @throws as `Rpc.call` does */
  call(method: string, payload: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const head = requestHead(this.#next, method)
    if (head.length - lengthBytes + payload.length > frameBytesMax) {
      const message = `a call of ${payload.length} bytes is too large: peers take at most ${frameBytesMax} bytes at once`
      return Promise.reject(new ClusterError({ code: 'invalid' }, message))
    }
    if (this.#calls.isClosed) return Promise.reject(unreachablePeer(this.#peer, 'the link to it was just lost'))
    if (!this.#calls.send(head, payload)) {
      const message = `peer ${this.#peer} takes calls more slowly than they are made`
      return Promise.reject(new ClusterError({ code: 'overloaded', retryAfterMs: 1_000 }, message))
    }
    return this.#answer(this.#next++, signal)
  }

  message(channel: string, payload: Uint8Array): boolean {
    return this.#messages.send(messageHead(channel), payload)
  }

  /**
   * Called at a steady pace. Beats are counted, not milliseconds: a pause of this process is one late beat, and no silence of the peer.
   * @returns false when the peer was silent for `silentBeatsMax` beats; the link is broken off then
   */
  beat(silentBeatsMax: number): boolean {
    if (this.#silentBeats++ >= silentBeatsMax) {
      this.close('it has stopped answering')
      return false
    }
    if (this.#messages.waitingBytes === 0) this.#messages.send(pingFrame())
    return true
  }

  /** Ends the link in good order: what waits still leaves. Calls without an answer fail. */
  end(reason: string): void {
    this.#calls.end(reason)
    this.#messages.end(reason)
  }

  close(reason: string): void {
    this.#fail(unreachablePeer(this.#peer, reason), reason)
  }

  #frames(stream: Stream, queueBytesMax: number): Frames {
    const frames: Frames = new Frames(
      stream,
      {
        onFrame: frame => this.#receive(frames, frame),
        onClose: reason => this.close(reason),
        onSignOfLife: () => {
          this.#silentBeats = 0
        }
      },
      { queueBytesMax }
    )
    return frames
  }

  #answer(id: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    if (signal === undefined) {
      this.#waiting.set(id, { resolve, reject })
      return promise
    }
    const abort = () => {
      this.#waiting.delete(id)
      this.#calls.send(cancelFrame(id))
      reject(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    this.#waiting.set(id, {
      resolve: answer => {
        signal.removeEventListener('abort', abort)
        resolve(answer)
      },
      reject: error => {
        signal.removeEventListener('abort', abort)
        reject(error)
      }
    })
    return promise
  }

  /** @throws Error for a frame that makes no sense */
  #receive(frames: Frames, frame: Buffer): void {
    const { kind, id, body } = readHead(frame)
    if (kind === kinds.answer) this.#take(id)?.resolve(body)
    else if (kind === kinds.pong) return
    else if (kind === kinds.hello) this.#meet(frames, readHello(body))
    else if (kind === kinds.fault) {
      // Read first: if that throws, the call is still there to fail with the stream.
      const error = readFault(body, this.#peer)
      this.#take(id)?.reject(error)
    } else throw new Error('a frame of an unknown kind')
  }

  #meet(frames: Frames, hello: Hello): void {
    this.#hello = hello
    this.#greetings.add(frames)
    if (this.#check(hello) && this.#greetings.size === 2) this.#greeted.resolve()
  }

  /** The other side judges too; whoever finds the other one strange ends the link. */
  #check({ version, clusterId }: Hello): boolean {
    const strange = strangeness(this.#peer, { version, clusterId }, this.#clusterId)
    if (strange !== undefined) this.#fail(strange, 'it does not fit')
    return strange === undefined
  }

  #fail(error: Error, reason: string): void {
    this.#greeted.reject(error)
    this.#closed.resolve(reason)
    this.#calls.close(reason)
    this.#messages.close(reason)
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(error)
  }

  /** The answer to a call that was given up is of no use any more: then there is nothing to take. */
  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }
}
