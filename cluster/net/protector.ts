/**
 * The private network of libp2p, wire-compatible, so that Go peers and clients with the secret connect: each side sends 24 random bytes, then
 * everything is XSalsa20 under the shared secret, each direction one key stream over all it says.
 *
 * Our own because `@libp2p/pnet` up to 3.0.27 ends every private connection of the process after one message of about a megabyte.
 *
 * @see https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
 * @see https://github.com/libp2p/js-libp2p/pull/3585
 */
import { randomBytes } from 'node:crypto'
import type { AbortOptions, ConnectionProtector, MessageStream, StreamMessageEvent } from '@libp2p/interface'
import { AbstractMessageStream, byteStream, type SendResult } from '@libp2p/utils'
import { xsalsa20 } from '@noble/ciphers/salsa.js'

const nonceBytes = 24
const blockBytes = 64
/** What either side of any libp2p connection says first, with its length in front. */
const opening = Buffer.from('\x13/multistream/1.0.0\n')

/** Bytes as libp2p hands them on: one piece, or a list of pieces. */
type Bytes = { readonly byteLength: number } & (Uint8Array | Iterable<Uint8Array>)

/** What is known of the other side while a connection is made; told to whoever dials as progress. See dial.ts. */
export const progress = { connected: 'flotilla:connected', foreign: 'flotilla:foreign' } as const

/** @param secret 32 bytes */
export function protector(secret: Uint8Array): () => ConnectionProtector {
  return () => ({
    async protect(connection: MessageStream, options?: AbortOptions & { onProgress?: (event: Event) => void }): Promise<MessageStream> {
      const tell = (type: string) => options?.onProgress?.(new Event(type))
      tell(progress.connected)
      const nonce = randomBytes(nonceBytes)
      const bytes = byteStream(connection)
      connection.send(nonce)
      const theirs = await bytes.read({ ...options, bytes: nonceBytes })
      bytes.unwrap()
      const streams = { outgoing: new Keystream(secret, nonce), incoming: new Keystream(secret, theirs.subarray()) }
      return new ProtectedStream(connection, streams, () => tell(progress.foreign))
    }
  })
}

/** One direction: the bytes may come in pieces of any size. */
export class Keystream {
  readonly #key: Uint8Array
  readonly #nonce: Uint8Array
  #position: number

  /** @param position byte of the key stream to begin with */
  constructor(key: Uint8Array, nonce: Uint8Array, position = 0) {
    this.#key = key
    this.#nonce = nonce
    this.#position = position
  }

  /**
   * `data`, left as it is, combined with the next bytes of the stream.
   * @throws Error after 256 GiB, where the cipher's counter ends: the connection then breaks, and the next one has fresh nonces
   */
  apply(data: Bytes): Uint8Array {
    // The cipher begins at a block: what is used up of the block that was begun is filled, and dropped again.
    const skip = this.#position % blockBytes
    const blocks = new Uint8Array(skip + data.byteLength)
    let at = skip
    for (const piece of data instanceof Uint8Array ? [data] : data) {
      blocks.set(piece, at)
      at += piece.byteLength
    }
    xsalsa20(this.#key, this.#nonce, blocks, blocks, (this.#position - skip) / blockBytes)
    this.#position += data.byteLength
    return blocks.subarray(skip)
  }
}

class ProtectedStream extends AbstractMessageStream {
  readonly #connection: MessageStream
  readonly #outgoing: Keystream
  readonly #onForeign: () => void
  /** What is said in one turn of the event loop, over any of the streams inside: it leaves in one piece, for a packet costs more than what is in it. */
  #said: Uint8Array[] = []
  #hasRoom = true
  /** Bytes of the opening that have come, and were right. */
  #opened = 0
  #isRefused = false

  constructor(connection: MessageStream, { outgoing, incoming }: { outgoing: Keystream; incoming: Keystream }, onForeign: () => void) {
    const { log, inactivityTimeout, maxReadBufferLength, direction } = connection
    super({ log: log.newScope('psk'), inactivityTimeout, maxReadBufferLength, direction })
    this.#connection = connection
    this.#outgoing = outgoing
    this.#onForeign = onForeign
    connection.addEventListener('message', ({ data }: StreamMessageEvent) => {
      try {
        this.#receive(incoming.apply(data))
      } catch (error) {
        this.abort(error as Error) // only Errors are thrown there
      }
    })
    connection.addEventListener('drain', () => {
      this.#hasRoom = true
      this.safeDispatchEvent('drain')
    })
    connection.addEventListener('remoteCloseWrite', () => this.onRemoteCloseWrite())
    connection.addEventListener('close', ({ error, local }) => {
      if (error === undefined) this.onTransportClosed()
      else if (local === true) this.abort(error)
      else this.onRemoteReset()
    })
  }

  /** With another secret the other side's opening is noise. Told apart here at once, where multistream would wait for the rest of the noise. */
  #receive(bytes: Uint8Array): void {
    for (let at = 0; this.#opened < opening.length && at < bytes.length; at++) {
      if (bytes[at] !== opening[this.#opened++]) return this.#refuse()
    }
    this.onData(bytes)
  }

  /**
   * Whoever dialled with another secret gets the opening all the same, as Go's listeners send it in any case: to him it is noise, and that tells
   * him why, where a connection that only ends could be a peer that stops.
   */
  #refuse(): void {
    if (this.#isRefused) return
    this.#isRefused = true
    this.#onForeign()
    const error = new Error('the other side has another secret')
    this.#leave()
    if (this.direction === 'inbound') this.#connection.send(this.#outgoing.apply(opening))
    this.abort(error)
    // A reset could overtake the opening.
    void this.#connection.close({ signal: AbortSignal.timeout(1_000) }).catch(() => this.#connection.abort(error))
  }

  sendData(data: Bytes): SendResult {
    if (this.#said.length === 0) process.nextTick(() => this.#leave())
    if (data instanceof Uint8Array) this.#said.push(data)
    else this.#said.push(...data)
    return { sentBytes: data.byteLength, canSendMore: this.#hasRoom }
  }

  #leave(): void {
    if (this.#said.length === 0) return
    const byteLength = this.#said.reduce((sum, piece) => sum + piece.byteLength, 0)
    const said = Object.assign(this.#said, { byteLength })
    this.#said = []
    try {
      this.#hasRoom = this.#connection.send(this.#outgoing.apply(said))
    } catch (error) {
      this.abort(error as Error) // as above
    }
  }

  sendReset(error: Error): void {
    this.#said = []
    if (!this.#isRefused) this.#connection.abort(error)
  }

  sendPause(): void {
    this.#connection.pause()
  }

  sendResume(): void {
    this.#connection.resume()
  }

  async close(options?: AbortOptions): Promise<void> {
    this.#leave()
    await this.#connection.close(options)
  }
}
