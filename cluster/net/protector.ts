/**
 * The private network: everything on a connection, from the first byte, is encrypted with the secret that all peers share. Wire compatible
 * with libp2p's pre-shared-key network, so Go peers and clients that have the secret connect.
 *
 * Why not `@libp2p/pnet`: up to 3.0.27 its cipher stops working for the whole process after one message of about a megabyte
 * (https://github.com/libp2p/js-libp2p/pull/3585).
 *
 * @see https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
 */
import { randomBytes } from 'node:crypto'
import type { AbortOptions, ConnectionProtector, MessageStream, StreamMessageEvent } from '@libp2p/interface'
import { AbstractMessageStream, byteStream, type SendResult } from '@libp2p/utils'
import { xsalsa20 } from '@noble/ciphers/salsa.js'
import type { Uint8ArrayList } from 'uint8arraylist'
import { ClusterError } from '../../src/errors.ts'

const nonceBytes = 24
const blockBytes = 64

/**
 * The secret of `service.json`: 64 hexadecimal digits. An empty one means no private network.
 * @throws ClusterError `cannot_start`; the message does not show the secret
 */
export function parseSecret(text: string): Uint8Array | undefined {
  if (text === '') return undefined
  const isHex = /^([0-9a-f]{2})*$/i.test(text)
  if (!isHex) throw new ClusterError({ code: 'cannot_start' }, 'the cluster secret is not hexadecimal: expected 64 digits, as "openssl rand -hex 32" prints')
  const secret = Buffer.from(text, 'hex')
  if (secret.length !== 32) {
    throw new ClusterError({ code: 'cannot_start' }, `the cluster secret has ${secret.length} bytes: expected 32, that is 64 hexadecimal digits`)
  }
  return secret
}

export class SecretProtector implements ConnectionProtector {
  readonly #secret: Uint8Array

  /** @param secret 32 bytes */
  constructor(secret: Uint8Array) {
    this.#secret = secret
  }

  /** Gives each direction a nonce of its own, chosen by its sender and sent in clear. */
  async protect(connection: MessageStream, options?: AbortOptions): Promise<MessageStream> {
    const nonce = randomBytes(nonceBytes)
    const bytes = byteStream(connection)
    connection.send(nonce)
    const remoteNonce = await bytes.read({ ...options, bytes: nonceBytes })
    bytes.unwrap()
    return new ProtectedStream(connection, new KeyStream(this.#secret, nonce), new KeyStream(this.#secret, remoteNonce.subarray()))
  }
}

/** One direction of XSalsa20 as a stream: bytes may come in pieces of any size. */
export class KeyStream {
  readonly #key: Uint8Array
  readonly #nonce: Uint8Array
  #position = 0

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.#key = key
    this.#nonce = nonce
  }

  /**
   * Encrypts or decrypts what comes next; `data` is left as it is.
   * @throws Error after 256 GiB, where the cipher's block counter ends: the connection then breaks, and the next one has fresh nonces
   */
  apply(data: Uint8Array | Uint8ArrayList): Uint8Array {
    const skip = this.#position % blockBytes
    // The cipher starts at block boundaries only: what is left of the block that was begun is filled up, and dropped again.
    const block = new Uint8Array(skip + data.byteLength)
    let at = skip
    for (const piece of data instanceof Uint8Array ? [data] : data) {
      block.set(piece, at)
      at += piece.byteLength
    }
    xsalsa20(this.#key, this.#nonce, block, block, Math.floor(this.#position / blockBytes))
    this.#position += data.byteLength
    return block.subarray(skip)
  }
}

class ProtectedStream extends AbstractMessageStream {
  readonly #below: MessageStream
  readonly #outgoing: KeyStream

  constructor(below: MessageStream, outgoing: KeyStream, incoming: KeyStream) {
    const { log, inactivityTimeout, maxReadBufferLength, direction } = below
    super({ log, inactivityTimeout, maxReadBufferLength, direction })
    this.#below = below
    this.#outgoing = outgoing
    below.addEventListener('message', ({ data }: StreamMessageEvent) => {
      try {
        this.onData(incoming.apply(data))
      } catch (error) {
        this.abort(error as Error) // only the end of the key stream, an Error
      }
    })
    below.addEventListener('drain', () => this.safeDispatchEvent('drain'))
    below.addEventListener('remoteCloseWrite', () => this.onRemoteCloseWrite())
    below.addEventListener('close', event => {
      if (event.error === undefined) this.onTransportClosed()
      else if (event.local === true) this.abort(event.error)
      else this.onRemoteReset()
    })
  }

  sendData(data: Uint8ArrayList): SendResult {
    return { sentBytes: data.byteLength, canSendMore: this.#below.send(this.#outgoing.apply(data)) }
  }

  close(options?: AbortOptions): Promise<void> {
    return this.#below.close(options)
  }

  sendReset(error: Error): void {
    this.#below.abort(error)
  }

  sendPause(): void {
    this.#below.pause()
  }

  sendResume(): void {
    this.#below.resume()
  }
}
