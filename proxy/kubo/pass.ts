/**
 * Pass-through: a client's connection has one of its own to Kubo, and bytes go from one to the other as they are. Only heads of requests are read (they
 * decide), and the ends of answers are watched. So trailers, early refusals, `100 Continue`, HTTP/1.0, half-closed clients, resets and endless streams
 * are right by construction: whatever Kubo does, the client sees.
 */
import type { OnReadOpts, Socket } from 'node:net'
import { Answers, type Asked } from './answers.ts'
import { Landing } from './landing.ts'
import { Relay } from './relay.ts'

export interface PassageParts {
  readonly client: Socket
  /** A new connection to Kubo; what it says goes to `onread`, or comes as `data` where such a connection knows of no `onread`. */
  readonly connect: (onread: OnReadOpts) => Socket
  /** Every request that was sent has its answer. */
  readonly onRest: () => void
  /** There is room again for what comes from the client. */
  readonly onRoom: () => void
  /** Kubo has closed its side: nothing more comes. `error` where it broke. */
  readonly onEnd: (error: Error | null) => void
}

export class Passage {
  readonly #upstream: Socket
  readonly #client: Socket
  readonly #landing: Landing
  readonly #toKubo: Relay
  readonly #answers: Answers
  #isOver = false

  constructor({ client, connect, onRest, onRoom, onEnd }: PassageParts) {
    this.#client = client
    const take = (bytes: Buffer) => {
      this.#answers.read(bytes)
      if (!this.#answers.isAtRest) return true
      onRest()
      return false
    }
    this.#landing = new Landing({ take, isSent: () => client.writableLength === 0 })
    const upstream = connect(this.#landing.onread)
    this.#upstream = upstream
    this.#toKubo = new Relay(upstream)
    this.#answers = new Answers({ forward: bytes => this.#forward(bytes) })
    const end = (error: Error | null) => {
      if (this.#isOver) return
      this.#isOver = true
      onEnd(error)
    }
    upstream.on('data', take)
    upstream.on('drain', () => {
      this.#toKubo.giveBack()
      onRoom()
    })
    upstream.on('end', () => end(null))
    upstream.on('error', end)
    upstream.on('close', () => end(null))
  }

  get isAtRest(): boolean {
    return this.#answers.isAtRest
  }

  /** Kubo takes no more requests here. */
  get isClosing(): boolean {
    return this.#answers.isClosing || this.#isOver
  }

  /** Kubo has never said anything here: the answer that is due can still be another one. */
  get isUntouched(): boolean {
    return this.#upstream.bytesRead === 0
  }

  /** The client would take the end of the connection for the end of the answer. */
  get wouldLookFinished(): boolean {
    return this.#answers.endsWithConnection
  }

  get isFull(): boolean {
    return this.#toKubo.isFull
  }

  ask(asked: Asked): void {
    this.#answers.ask(asked)
  }

  /** @param bytes must not be looked at any more */
  write(bytes: Buffer): void {
    this.#toKubo.send(bytes)
    this.#toKubo.giveBack()
  }

  /** The client sends no more. */
  end(): void {
    this.#upstream.end()
  }

  /** The client has room again. */
  resume(): void {
    this.#landing.giveBack()
    if (this.#upstream.isPaused()) this.#upstream.resume()
  }

  /** The client is gone, or the connection has done its duty. */
  close(): void {
    this.#isOver = true
    this.#upstream.destroy()
  }

  #forward(bytes: Buffer): void {
    this.#client.write(bytes)
    // What a write returns is no help: it says so, too, of large pieces that have left at once.
    if (this.#client.writableLength >= this.#client.writableHighWaterMark) this.#upstream.pause()
  }
}
