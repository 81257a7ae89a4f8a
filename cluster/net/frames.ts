/**
 * Frames over one long stream: 4 bytes of length, then the frame. Writes of one turn of the event loop leave in one piece, which is what makes
 * many small messages cheap; what waits is bounded. A stream that ends without an end frame was broken: a killed peer looks like a clean end.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'

/** Larger frames are not sent, and break the stream when received. */
export const frameBytesMax = 16 << 20
/** Bytes that wait to be sent, beyond which frames are refused. */
const queueBytesMax = 64 << 20
/** Written to the stream in one piece. */
const writeBytesMax = 256 << 10

export interface FramesHandlers {
  readonly onFrame: (frame: Buffer) => void
  /** Called once. */
  readonly onClose: (reason: string) => void
}

export class Frames {
  readonly #stream: Stream
  readonly #handlers: FramesHandlers
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #isScheduled = false
  #isBlocked = false
  #isClosed = false
  #partial: Buffer = Buffer.alloc(0)

  constructor(stream: Stream, handlers: FramesHandlers) {
    this.#stream = stream
    this.#handlers = handlers
    stream.addEventListener('message', (event: StreamMessageEvent) => this.#receive(event.data.subarray()))
    // The event, never `onDrain()`: that one resolves at once from the second time on.
    stream.addEventListener('drain', () => {
      this.#isBlocked = false
      this.#flush()
    })
    stream.addEventListener('remoteCloseWrite', () => this.close('the other side ended the stream'))
    stream.addEventListener('close', () => this.close('the connection broke'))
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Queues a frame made of `parts`. @returns false where the stream is closed, or too much waits already */
  send(...parts: readonly Uint8Array[]): boolean {
    const length = parts.reduce((bytes, part) => bytes + part.length, 0)
    if (this.#isClosed || length > frameBytesMax || this.#queuedBytes + this.#stream.writeBufferLength > queueBytesMax) return false
    const head = Buffer.allocUnsafe(4)
    head.writeUInt32BE(length)
    this.#queue.push(head, ...parts)
    this.#queuedBytes += 4 + length
    if (!this.#isScheduled) {
      this.#isScheduled = true
      queueMicrotask(() => this.#flush())
    }
    return true
  }

  /** Ends the stream; frames that wait are dropped. */
  close(reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#stream.abort(new Error(reason))
    this.#handlers.onClose(reason)
  }

  #flush(): void {
    this.#isScheduled = false
    while (this.#queue.length > 0 && !this.#isBlocked && !this.#isClosed) {
      let bytes = 0
      const end = this.#queue.findIndex(({ length }) => (bytes += length) > writeBytesMax)
      const pieces = this.#queue.splice(0, end === -1 ? this.#queue.length : Math.max(1, end))
      const data = pieces.length === 1 ? (pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(pieces)
      this.#queuedBytes -= data.length
      try {
        this.#isBlocked = !this.#stream.send(data)
      } catch {
        this.close('the stream was closed')
      }
    }
  }

  #receive(data: Uint8Array): void {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    this.#partial = this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes])
    while (this.#partial.length >= 4 && !this.#isClosed) {
      const length = this.#partial.readUInt32BE(0)
      if (length > frameBytesMax) return this.close(`a frame of ${length} bytes is larger than ${frameBytesMax}`)
      if (this.#partial.length < 4 + length) return
      const frame = this.#partial.subarray(4, 4 + length)
      this.#partial = this.#partial.subarray(4 + length)
      this.#handlers.onFrame(frame)
    }
  }
}
