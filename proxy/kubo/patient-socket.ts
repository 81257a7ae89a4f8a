/**
 * Connections to Kubo that outlive a failed write. Kubo may answer before an upload has ended, and then resets the connection. A Node socket
 * dies of the first write that fails, and takes the answer that already lies in the kernel with it
 * (https://github.com/nodejs/node/issues/12339): measured, 12 of 30 answers to failed uploads of 0.4 MB got lost, and all at 8 MB.
 */
import { Agent } from 'node:http'
import { Socket, type SocketConstructorOpts } from 'node:net'

export type KuboTarget = { readonly host: string; readonly port: number } | { readonly path: string }

/** How long an answer may keep us waiting after a write has failed. */
const patienceMs = 1_000

type Written = (error?: Error | null) => void

export class PatientSocket extends Socket {
  #failure: Error | null = null

  static open(target: KuboTarget, options?: SocketConstructorOpts): PatientSocket {
    const socket = new PatientSocket(options)
    socket.setNoDelay(true)
    socket.connect(target)
    return socket
  }

  override _write(chunk: unknown, encoding: BufferEncoding, written: Written): void {
    if (this.#failure) written()
    else super._write(chunk, encoding, error => this.#written(error, written))
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], written: Written): void {
    if (this.#failure) written()
    // The types of Node say that a stream may have no such method; a socket has.
    else super._writev?.(chunks, error => this.#written(error, written))
  }

  override _final(ended: Written): void {
    if (this.#failure) ended()
    else super._final(error => this.#written(error, ended))
  }

  /** A failed write counts as done: from now on the upload is dropped, and what can still be read is read. */
  #written(error: Error | null | undefined, written: Written): void {
    if (error && !this.destroyed && !this.connecting) {
      this.#failure = error
      this.#giveUpLater(error, this.bytesRead)
      written()
    } else written(error)
  }

  #giveUpLater(error: Error, bytesRead: number): void {
    const timer = setTimeout(() => {
      // A slow client pauses the reading: its answer is still here.
      if (this.isPaused() || this.bytesRead > bytesRead) this.#giveUpLater(error, this.bytesRead)
      else this.destroy(error)
    }, patienceMs)
    this.once('close', () => clearTimeout(timer))
  }
}

/** Keeps idle connections without limit of time, as Kubo does, and opens as many as there are calls. */
export class KuboAgent extends Agent {
  readonly #target: KuboTarget

  constructor(target: KuboTarget) {
    super({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 64, scheduling: 'lifo' })
    this.#target = target
  }

  override createConnection(): Socket {
    return PatientSocket.open(this.#target)
  }
}
