/**
 * The answers on a connection to Kubo, followed while they pass: where one ends, so that the door knows when the connection is at rest. The bytes go on
 * as they come, before or while they are understood; only the head of an answer that names a translated origin is held until it is complete.
 */
import { Body } from './body.ts'
import { endOfHead, type Framing } from './head.ts'

export interface AnswerHead {
  readonly status: number
  /** Bytes as Latin-1, with its empty line. */
  readonly text: string
}

/** A request that was sent. */
export interface Asked {
  readonly method: string
  /** Changes the head on its way; the others go on as they come. */
  readonly rewrite?: ((head: string) => string) | undefined
}

export interface AnswerListener {
  /** Every byte, in order; they are looked at once more afterwards. */
  readonly forward?: (bytes: Buffer) => void
  /** Also of `100 Continue` and the like. */
  readonly head?: (head: AnswerHead) => void
  /** The content of the answer's body. */
  readonly content?: (bytes: Buffer) => void
  /** One answer is complete. */
  readonly end?: (trailers: string) => void
}

/** Kubo's heads are some hundred bytes; beyond this it is not Kubo. */
const headBytesMax = 1 << 20

export class Answers {
  readonly #listener: AnswerListener
  readonly #asked: Asked[] = []
  #body: Body | 'until the end' | null = null
  #head: Buffer | null = null
  #isLost = false
  #isClosing = false

  constructor(listener: AnswerListener) {
    this.#listener = listener
  }

  /** A request is on its way: an answer will come. */
  ask(asked: Asked): void {
    this.#asked.push(asked)
  }

  /** Every answer has come to its end. */
  get isAtRest(): boolean {
    return this.#asked.length === 0 && this.#body === null && this.#head === null && !this.#isLost
  }

  /** Kubo said that it closes, or what it says is not understood: no more requests here. */
  get isClosing(): boolean {
    return this.#isClosing || this.#isLost
  }

  /** The end of the connection would be taken for the end of the answer. */
  get endsWithConnection(): boolean {
    return this.#body === 'until the end' || this.#isLost
  }

  read(bytes: Buffer): void {
    // The client waits for them: where no head is to be changed, they leave before they are understood.
    const isPlain = this.#asked.every(({ rewrite }) => rewrite === undefined)
    if (isPlain) this.#forward(bytes)
    let at = 0
    /** What is not forwarded yet begins here. */
    let kept = isPlain ? bytes.length : 0
    while (at < bytes.length && !this.#isLost) {
      const body = this.#body
      if (body === 'until the end') {
        this.#listener.content?.(bytes.subarray(at))
        at = bytes.length
      } else if (body) {
        at = body.read(bytes, at, this.#listener.content)
        if (body.isBroken) this.#isLost = true
        else if (body.isDone) this.#finish(body.trailers)
      } else {
        const rewrite = this.#asked[0]?.rewrite
        if (rewrite && this.#head === null && at > kept) this.#forward(bytes.subarray(kept, at))
        const { head, end } = this.#takeHead(bytes, at)
        if (rewrite) {
          if (head !== undefined) this.#forward(Buffer.from(rewrite(head), 'latin1'))
          kept = end
        }
        at = end
        if (head !== undefined) this.#begin(head)
      }
    }
    if (kept === 0) this.#forward(bytes)
    else if (kept < bytes.length) this.#forward(bytes.subarray(kept))
  }

  #forward(bytes: Buffer): void {
    this.#listener.forward?.(bytes)
  }

  /** The head is a copy: the bytes it came in are free. */
  #takeHead(bytes: Buffer, from: number): { head: string | undefined; end: number } {
    const before = this.#head
    const joined = before === null ? bytes : Buffer.concat([before, bytes.subarray(from)])
    const start = before === null ? from : 0
    const end = endOfHead(joined, start, before === null ? from : Math.max(0, before.length - 3))
    if (end !== -1) {
      this.#head = null
      return { head: joined.toString('latin1', start, end), end: before === null ? end : end - before.length + from }
    }
    this.#head = Buffer.from(joined.subarray(start))
    if (this.#head.length > headBytesMax) this.#isLost = true
    return { head: undefined, end: bytes.length }
  }

  #begin(text: string): void {
    const read = readAnswerHead(text)
    const asked = this.#asked[0]
    if (read === null || asked === undefined) {
      this.#isLost = true
      return
    }
    const { status, isClosing, framing } = read
    this.#listener.head?.({ status, text })
    if (status < 200) return
    if (isClosing) this.#isClosing = true
    const isEmpty = asked.method === 'HEAD' || status === 204 || status === 304
    if (isEmpty || (framing?.kind === 'length' && framing.bytes === 0)) this.#finish('')
    else this.#body = framing === null ? 'until the end' : new Body(framing)
  }

  #finish(trailers: string): void {
    this.#body = null
    this.#asked.shift()
    this.#listener.end?.(trailers)
  }
}

interface ReadAnswerHead {
  readonly status: number
  readonly isClosing: boolean
  /** `null`: the body ends with the connection. */
  readonly framing: Framing | null
}

/** Within a second Kubo says the same head over and over: it is read once. */
let lastText = ''
let lastRead: ReadAnswerHead | null = null

/** @returns `null` where it is none */
function readAnswerHead(text: string): ReadAnswerHead | null {
  if (text === lastText) return lastRead
  const [, version, code] = /^HTTP\/1\.([01]) (\d{3})/.exec(text) ?? []
  const [, fate] = /\r\nconnection:[ \t]*(close|keep-alive)[ \t]*\r\n/i.exec(text) ?? []
  const [, length] = /\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n/i.exec(text) ?? []
  const isChunked = /\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n/i.test(text)
  const framing: Framing | null = isChunked ? { kind: 'chunked' } : length === undefined ? null : { kind: 'length', bytes: Number(length) }
  lastText = text
  // HTTP/1.0 closes unless it says otherwise, and Kubo does say so to clients that ask for it.
  const isClosing = (fate ?? (version === '0' ? 'close' : '')).toLowerCase() === 'close'
  lastRead = version === undefined ? null : { status: Number(code), isClosing, framing }
  return lastRead
}
