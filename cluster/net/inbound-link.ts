/** The serving side of one stream: one handler a method, members only unless a method is open, every call cancelled with its stream. */
import type { Stream } from '@libp2p/interface'
import { ClusterError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import { Frames, frameBytesMax } from './frames.ts'
import { answerHead, faultFrame, type Hello, helloFrame, kinds, pongFrame, readHead, readHello, readNamed, strangeness } from './link.ts'
import type { CallHandler, MessageHandler } from './rpc.ts'

/** Calls of one stream that may be under way at once, and the bytes of their payloads. */
const callsMax = 4_096
const callBytesMax = 4 * frameBytesMax
/** Answers that wait to be sent: above the first number no more calls are read, above the second the stream is broken off. */
const answerPauseBytes = 4 << 20
const answerQueueBytesMax = 8 * frameBytesMax
/** A stream must greet before this many beats. */
const greetingBeats = 16

/** What a peer offers to the streams that come in. */
export interface Services {
  hello(): Hello
  isMember(peer: PeerId): boolean
  method(name: string): { readonly handler: CallHandler; readonly isOpen: boolean } | undefined
  channel(name: string): MessageHandler | undefined
  refused(peer: PeerId, reason: string): void
  closed(link: InboundLink): void
}

export class InboundLink {
  readonly peer: PeerId
  readonly #services: Services
  readonly #log: Log
  readonly #frames: Frames
  readonly #running = new Map<number, Running>()
  #runningBytes = 0
  #hello: Hello | undefined
  #beats = 0

  constructor({ peer, stream, services, log }: { peer: PeerId; stream: Stream; services: Services; log: Log }) {
    this.peer = peer
    this.#services = services
    this.#log = log
    this.#frames = new Frames(
      stream,
      { onFrame: frame => this.#receive(frame), onClose: (reason, isClean) => this.#closed(reason, isClean) },
      { queueBytesMax: answerQueueBytesMax, pauseAboveBytes: answerPauseBytes, mayBeLarge: () => services.isMember(peer) }
    )
  }

  /** Called at a steady pace: a stream that never says who it is, is not kept. */
  beat(): void {
    if (this.#hello === undefined && this.#beats++ > greetingBeats) this.close('it did not greet')
  }

  /** This peer has come to belong to a cluster: a caller of another one is sent away. */
  judge(): void {
    if (this.#hello !== undefined) this.#admit(this.#hello)
  }

  end(reason: string): void {
    this.#frames.end(reason)
  }

  close(reason: string): void {
    this.#frames.close(reason)
  }

  /** @throws Error for a frame that makes no sense: the stream is then broken off */
  #receive(frame: Buffer): void {
    const { kind, id, body } = readHead(frame)
    if (kind !== kinds.hello && this.#hello === undefined) throw new Error('a peer that did not greet')
    switch (kind) {
      case kinds.hello:
        this.#greet(readHello(body))
        break
      case kinds.request:
        this.#run(id, readNamed(body))
        break
      case kinds.message:
        this.#deliver(readNamed(body))
        break
      case kinds.cancel:
        this.#running.get(id)?.cancel(new Error('the caller gave up'))
        break
      case kinds.ping:
        this.#frames.send(pongFrame())
        break
      default:
        throw new Error('a frame of an unknown kind')
    }
  }

  /** The greeting is answered in any case: each side judges for itself, and says in its own words what does not fit. */
  #greet(hello: Hello): void {
    const isFirst = this.#hello === undefined
    this.#hello = hello
    if (isFirst) this.#frames.send(helloFrame(this.#services.hello()))
    this.#admit(hello)
  }

  #admit(hello: Hello): void {
    const strange = strangeness(this.peer, hello, this.#services.hello().clusterId)
    if (strange === undefined) return
    this.#services.refused(this.peer, strange.message)
    this.#frames.end('it does not fit')
  }

  /** A message to nobody, or of a peer that is no member (yet), is dropped: its sender does not count on it. */
  #deliver({ name: channel, payload }: Named): void {
    if (!this.#services.isMember(this.peer)) return
    try {
      this.#services.channel(channel)?.(this.peer, payload)
    } catch (error) {
      this.#log.error({ peer: this.peer, channel, err: error }, 'message handler failed')
    }
  }

  #run(id: number, { name, payload }: Named): void {
    const handler = this.#admitted(id, name, payload.length)
    if (handler === undefined) return
    const running = new Running()
    this.#running.set(id, running)
    this.#runningBytes += payload.length
    const done = () => {
      this.#running.delete(id)
      this.#runningBytes -= payload.length
    }
    let answer: Promise<Uint8Array>
    try {
      answer = handler(this.peer, payload, running)
    } catch (error) {
      answer = Promise.reject(error)
    }
    void answer.then(
      bytes => {
        done()
        this.#answer(id, name, bytes)
      },
      error => {
        done()
        // A caller that gave up or is gone is not told.
        if (running.isCancelled) return
        if (!(error instanceof ClusterError) && !isTimeout(error))
          this.#log.error({ peer: this.peer, method: name, err: error }, 'call handler failed')
        this.#fault(id, error)
      }
    )
  }

  /** The handler of a call; `undefined` where the caller was told why not. @throws Error for a number that is in use */
  #admitted(id: number, name: string, bytes: number): CallHandler | undefined {
    if (this.#running.has(id)) throw new Error('the number of a call that is under way')
    const method = this.#services.method(name)
    const isMember = this.#services.isMember(this.peer)
    // What there is to be called is not told to strangers.
    if (!isMember && method?.isOpen !== true) {
      this.#fault(id, new ClusterError({ code: 'not_a_member' }, `peer ${this.peer} is not a member of this cluster`))
    } else if (method === undefined) {
      this.#fault(
        id,
        new ClusterError({ code: 'not_ready' }, `the peer does not serve ${name}: it is still starting, or runs another release`)
      )
    } else if (this.#running.size >= callsMax || this.#runningBytes + bytes > callBytesMax) {
      this.#fault(id, new ClusterError({ code: 'overloaded', retryAfterMs: 1_000 }, 'too many calls of one peer are under way'))
    } else {
      return method.handler
    }
    return undefined
  }

  #answer(id: number, name: string, bytes: Uint8Array): void {
    if (this.#frames.isClosed || this.#frames.send(answerHead(id), bytes)) return
    if (bytes.length > frameBytesMax - 64) {
      const message = `the answer to ${name} has ${bytes.length} bytes: peers take at most ${frameBytesMax} bytes at once`
      this.#log.error({ peer: this.peer, method: name, bytes: bytes.length }, 'answer too large')
      this.#fault(id, new ClusterError({ code: 'refused' }, message))
    } else this.#frames.close('it does not take its answers')
  }

  #fault(id: number, error: unknown): void {
    if (!this.#frames.isClosed && !this.#frames.send(faultFrame(id, error))) this.#frames.close('it does not take its answers')
  }

  #closed(reason: string, isClean: boolean): void {
    this.#log.debug({ peer: this.peer, reason, isClean, calls: this.#running.size }, 'inbound stream closed')
    for (const running of this.#running.values()) running.cancel(new Error(`the caller is gone: ${reason}`))
    this.#services.closed(this)
  }
}

/** What a request or a message is for, and what it carries. */
type Named = ReturnType<typeof readNamed>

/** A call under way. Most handlers never look at the signal: it is made when they do. */
class Running {
  #abort: AbortController | undefined
  #reason: Error | undefined

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#reason !== undefined) this.#abort.abort(this.#reason)
    return this.#abort.signal
  }

  get isCancelled(): boolean {
    return this.#reason !== undefined
  }

  cancel(reason: Error): void {
    this.#reason ??= reason
    this.#abort?.abort(this.#reason)
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}
