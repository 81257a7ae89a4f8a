/**
 * Frames over one long stream: four bytes of length, then the frame. What is written in one turn of the event loop leaves in one piece,
 * which is what makes many small frames cheap; what waits is bounded; a reader may stop the writer.
 *
 * A frame of length zero is the end. A stream that ends without it was broken: to libp2p a killed peer looks like a clean end.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { updateWindowByHalves } from './window.ts'

/** A larger frame is not sent, and breaks the stream when it is received. */
export const frameBytesMax = 16 << 20
/** Every frame's head begins with these bytes, left free for its length. */
export const lengthBytes = 4

/** Handed to the stream in one piece: large enough to be cheap, small enough that another stream of the connection gets its turn. */
const writeBytesMax = 128 << 10
/** Frames up to this size need no permission. */
const smallBytes = 64 << 10

export interface FramesHandlers {
  /** The frame is a view of memory that nobody writes to again. @throws Error for a frame that makes no sense: the stream is then broken off */
  readonly onFrame: (frame: Buffer) => void
  /** Called once; `isClean` where the other side said the end. */
  readonly onClose: (reason: string, isClean: boolean) => void
  /** Something arrived, or what we sent is being taken: the other side lives. */
  readonly onSignOfLife?: () => void
}

export interface FramesSettings {
  /** Bytes that may wait to be sent. A single frame may wait in any case. */
  readonly queueBytesMax: number
  /** While more than this waits to be sent, nothing is read: a peer that does not take its answers gets to ask no more. */
  readonly pauseAboveBytes?: number
  /** Whether the other side may send frames of more than 64 KiB now. Default: it may. */
  readonly mayBeLarge?: () => boolean
}

export class Frames {
  readonly #stream: Stream
  readonly #handlers: FramesHandlers
  readonly #settings: FramesSettings
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #isScheduled = false
  #isBlocked = false
  #isPaused = false
  #isClosed = false
  /** Of the frame that is arriving: what came of its length, or, once that is known, of itself. */
  #parts: Buffer[] = []
  #partBytes = 0
  /** Its length; -1 before that is known. */
  #wanted = -1

  constructor(stream: Stream, handlers: FramesHandlers, settings: FramesSettings) {
    this.#stream = stream
    this.#handlers = handlers
    this.#settings = settings
    updateWindowByHalves(stream)
    stream.addEventListener('message', ({ data }: StreamMessageEvent) => {
      handlers.onSignOfLife?.()
      for (const chunk of data instanceof Uint8Array ? [data] : data) this.#receive(chunk)
    })
    // The event, never `onDrain()`: from the second time on that one resolves at once (@libp2p/utils 7.4.1).
    stream.addEventListener('drain', () => {
      handlers.onSignOfLife?.()
      this.#isBlocked = false
      this.#flush()
    })
    stream.addEventListener('remoteCloseWrite', () => this.close('it ended the stream without saying so'))
    stream.addEventListener('close', () => this.close('the connection broke'))
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Bytes that wait to be sent, here and in the stream. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#stream.writeBufferLength
  }

  /**
   * Queues one frame. `payload` must not change until it has left.
   * @param head with {@link lengthBytes} free bytes in front
   * @returns false where the stream is closed, too much waits already, or the frame is too large
   */
  send(head: Buffer, payload?: Uint8Array): boolean {
    const size = head.length + (payload?.length ?? 0)
    if (this.#isClosed || size - lengthBytes > frameBytesMax) return false
    const waiting = this.waitingBytes
    if (waiting > 0 && waiting + size > this.#settings.queueBytesMax) return false
    head.writeUInt32BE(size - lengthBytes, 0)
    this.#queue.push(head)
    if (payload !== undefined && payload.length > 0) this.#queue.push(payload)
    this.#queuedBytes += size
    if (!this.#isScheduled) {
      this.#isScheduled = true
      atTheEndOfTheTurn(() => {
        this.#isScheduled = false
        this.#flush()
      })
    }
    this.#pauseOrResume()
    return true
  }

  /** Says the end: what waits still leaves, nothing more is read. */
  end(reason: string): void {
    if (this.#isClosed) return
    const rest = [...this.#queue, Buffer.alloc(lengthBytes)]
    this.#finish(reason, true)
    try {
      for (const piece of rest) this.#stream.send(piece)
    } catch {
      return // already broken
    }
    this.#leave()
  }

  /** Breaks the stream off; what waits is dropped. */
  close(reason: string): void {
    if (this.#isClosed) return
    this.#finish(reason, false)
    this.#stream.abort(new Error(reason))
  }

  #finish(reason: string, isClean: boolean): void {
    this.#isClosed = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#parts = []
    this.#handlers.onClose(reason, isClean)
  }

  /** Lets what the stream holds leave, for a second at most: a frozen peer must not keep this one from stopping. */
  #leave(): void {
    const broken = (error: unknown) => this.#stream.abort(error instanceof Error ? error : new Error('not closed in time'))
    void this.#stream.close({ signal: AbortSignal.timeout(1_000) }).catch(broken)
  }

  // ---- sending ----

  #flush(): void {
    let at = 0
    while (at < this.#queue.length && !this.#isBlocked && !this.#isClosed) {
      const { data, next } = this.#batch(at)
      at = next
      this.#queuedBytes -= data.length
      try {
        this.#isBlocked = !this.#stream.send(data)
      } catch {
        this.close('the connection broke')
      }
    }
    if (this.#isClosed) return
    this.#queue = at === this.#queue.length ? [] : this.#queue.slice(at)
    this.#pauseOrResume()
  }

  /** Pieces from `at` on as one, up to the size of a write. Of a larger piece the beginning, and the rest stays in the queue. */
  #batch(at: number): { readonly data: Uint8Array; readonly next: number } {
    const first = this.#queue[at] as Uint8Array // at < length
    if (first.length > writeBytesMax) {
      this.#queue[at] = first.subarray(writeBytesMax)
      return { data: first.subarray(0, writeBytesMax), next: at }
    }
    let bytes = first.length
    let next = at + 1
    for (let piece = this.#queue[next]; piece !== undefined && bytes + piece.length <= writeBytesMax; piece = this.#queue[next]) {
      bytes += piece.length
      next++
    }
    return { data: next === at + 1 ? first : Buffer.concat(this.#queue.slice(at, next), bytes), next }
  }

  #pauseOrResume(): void {
    const { pauseAboveBytes } = this.#settings
    if (pauseAboveBytes === undefined || this.#isClosed || this.#stream.readStatus === 'closed') return
    const isTooMuch = this.waitingBytes > (this.#isPaused ? pauseAboveBytes / 2 : pauseAboveBytes)
    if (isTooMuch === this.#isPaused) return
    this.#isPaused = isTooMuch
    if (isTooMuch) this.#stream.pause()
    else this.#stream.resume()
  }

  // ---- receiving ----

  #receive(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let at = 0
    while (!this.#isClosed) {
      const missing = (this.#wanted === -1 ? lengthBytes : this.#wanted) - this.#partBytes
      if (bytes.length - at < missing) {
        // Kept in pieces until it is whole: a length alone claims no memory, and no byte is copied more than once.
        if (at < bytes.length) this.#parts.push(bytes.subarray(at))
        this.#partBytes += bytes.length - at
        return
      }
      const last = bytes.subarray(at, at + missing)
      at += missing
      const whole = this.#parts.length === 0 ? last : Buffer.concat([...this.#parts, last])
      if (this.#parts.length > 0) this.#parts = []
      this.#partBytes = 0
      if (this.#wanted === -1) this.#begin(whole.readUInt32BE(0))
      else this.#take(whole)
    }
  }

  #begin(size: number): void {
    if (size === 0) {
      this.#finish('it ended the link', true)
      this.#leave()
    } else if (size > frameBytesMax) {
      this.close(`a frame of ${size} bytes is larger than ${frameBytesMax}`)
    } else if (size > smallBytes && this.#settings.mayBeLarge?.() === false) {
      this.close(`a frame of ${size} bytes from a peer that is no member`)
    } else {
      this.#wanted = size
    }
  }

  #take(frame: Buffer): void {
    this.#wanted = -1
    try {
      this.#handlers.onFrame(frame)
    } catch {
      this.close('a frame that makes no sense')
    }
  }
}

let due: (() => void)[] = []

/** All of them one behind the other, so that what goes over one connection can leave it in one piece. */
function atTheEndOfTheTurn(flush: () => void): void {
  due.push(flush)
  if (due.length > 1) return
  setImmediate(() => {
    const now = due
    due = []
    for (const flush of now) flush()
  })
}
