/**
 * libp2p's private network, wire-compatible: each side sends 24 random bytes, then everything is XSalsa20 under the shared key, the keystream
 * running on over all messages. Our own because the published module exhausts its memory after one large message.
 *
 * @see https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
 */
import { randomBytes } from 'node:crypto'
import type { AbortOptions, ConnectionProtector, MessageStream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { AbstractMessageStream, type SendResult } from '@libp2p/utils'
import { xsalsa20 } from '@noble/ciphers/salsa.js'

const nonceBytes = 24
const blockBytes = 64
/** Both sides send their nonce at once: a side that does not is not one of ours. */
const nonceMs = 5_000

/** @param secret 32 bytes */
export function protector(secret: Uint8Array): () => ConnectionProtector {
  return () => ({
    async protect(connection: MessageStream, options?: AbortOptions): Promise<MessageStream> {
      const mine = randomBytes(nonceBytes)
      connection.send(mine)
      const { nonce, rest } = await receiveNonce(connection, options?.signal)
      return new ProtectedStream(connection, { outgoing: new Keystream(secret, mine), incoming: new Keystream(secret, nonce), rest })
    }
  })
}

/** The keystream of one direction. It ends after 256 GiB; the connection then breaks and is made anew. */
export class Keystream {
  readonly #key: Uint8Array
  readonly #nonce: Uint8Array
  #position = 0

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.#key = key
    this.#nonce = nonce
  }

  /** `data` combined with the next bytes of the stream. */
  apply(data: Uint8Array): Uint8Array {
    const skip = this.#position % blockBytes
    const counter = (this.#position - skip) / blockBytes
    this.#position += data.length
    if (skip === 0) return xsalsa20(this.#key, this.#nonce, data, undefined, counter)
    // The cipher begins at a block: bytes of the block that are used up already are passed over.
    const padded = new Uint8Array(skip + data.length)
    padded.set(data, skip)
    return xsalsa20(this.#key, this.#nonce, padded, undefined, counter).subarray(skip)
  }
}

function receiveNonce(connection: MessageStream, signal: AbortSignal | undefined): Promise<{ nonce: Uint8Array; rest: Uint8Array }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ nonce: Uint8Array; rest: Uint8Array }>()
  let received = Buffer.alloc(0)
  const onMessage = ({ data }: StreamMessageEvent) => {
    received = Buffer.concat([received, data.subarray()])
    if (received.length >= nonceBytes) {
      // What follows waits in the connection until the protected stream listens.
      connection.pause()
      resolve({ nonce: received.subarray(0, nonceBytes), rest: received.subarray(nonceBytes) })
    }
  }
  const onClose = () => reject(new Error('the connection was closed before the private network was agreed'))
  const onAbort = () => reject(new Error('no answer of the private network in time'))
  const timer = setTimeout(onAbort, nonceMs)
  connection.addEventListener('message', onMessage)
  connection.addEventListener('close', onClose)
  signal?.addEventListener('abort', onAbort, { once: true })
  return promise.finally(() => {
    clearTimeout(timer)
    connection.removeEventListener('message', onMessage)
    connection.removeEventListener('close', onClose)
    signal?.removeEventListener('abort', onAbort)
  })
}

class ProtectedStream extends AbstractMessageStream {
  readonly #connection: MessageStream
  readonly #outgoing: Keystream

  constructor(connection: MessageStream, { outgoing, incoming, rest }: { outgoing: Keystream; incoming: Keystream; rest: Uint8Array }) {
    super({ log: connection.log.newScope('psk'), direction: connection.direction })
    this.#connection = connection
    this.#outgoing = outgoing
    connection.addEventListener('message', ({ data }: StreamMessageEvent) => this.onData(incoming.apply(data.subarray())))
    connection.addEventListener('drain', () => this.safeDispatchEvent('drain'))
    connection.addEventListener('remoteCloseWrite', () => this.onRemoteCloseWrite())
    connection.addEventListener('close', ({ error }: StreamCloseEvent) => this.onTransportClosed(error))
    if (rest.length > 0) this.push(incoming.apply(rest))
    connection.resume()
  }

  sendData(data: { subarray(): Uint8Array; byteLength: number }): SendResult {
    const canSendMore = this.#connection.send(this.#outgoing.apply(data.subarray()))
    return { sentBytes: data.byteLength, canSendMore }
  }

  sendReset(error: Error): void {
    this.#connection.abort(error)
  }

  sendPause(): void {
    this.#connection.pause()
  }

  sendResume(): void {
    this.#connection.resume()
  }

  async close(options?: AbortOptions): Promise<void> {
    await this.#connection.close(options)
  }
}
