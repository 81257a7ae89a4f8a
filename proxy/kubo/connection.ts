/**
 * One client's connection: finds the requests in it, one after the other, and has each one passed on or answered here. Answers leave in the order of the
 * requests: what is answered here waits until everything that was passed on before has its answer.
 */
import type { OnReadOpts, Socket } from 'node:net'
import { closeLingering } from '../http/closing.ts'
import { Body, type Content } from './body.ts'
import { endOfHead, headBytesMax, headTooLarge, isRefusal, type Refusal, type RequestHead, readHead } from './head.ts'
import { Passage } from './pass.ts'
import { Reply } from './reply.ts'

export type Decision =
  | { readonly kind: 'pass'; readonly head: string | null; readonly rewrite: ((answerHead: string) => string) | undefined }
  | { readonly kind: 'serve'; readonly serve: (exchange: Exchange) => Promise<void> }

export interface ConnectionParts {
  readonly client: Socket
  readonly decide: (head: RequestHead) => Decision
  readonly connect: (onread: OnReadOpts) => Socket
  /** What a client is told where Kubo cannot be reached. */
  readonly unreachable: (reply: Reply, error: unknown) => void
  readonly onFailure: (error: unknown) => void
}

/** Takes the body of a request that is answered here. One of `raw` and `content` is wanted. */
export interface BodyTaker {
  /** The bytes as they came, framing included. @returns whether there is room for more */
  readonly raw?: (bytes: Buffer) => boolean
  readonly content?: Content
  /** `isWhole`: it came to its end. */
  readonly end: (isWhole: boolean) => void
}

/** A request that is answered here. */
export interface Exchange {
  readonly head: RequestHead
  readonly reply: Reply
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal
  /** The bytes of the body come from now on; without this they are never read. */
  takeBody(taker: BodyTaker): void
  /** There is room again. */
  resumeBody(): void
}

/** Bytes of later requests that are read ahead while one is answered: this is how the end of a client is noticed. */
const aheadBytesMax = 64 << 10
/** Heads beyond this are not kept. */
const repeatedHeadMax = 1 << 10
/** How long an answer may stay in flight once we have closed. */
const lingerMs = 2_000

interface Serving {
  readonly exchange: Exchange
  readonly gone: AbortController
  taker: BodyTaker | null
  isFull: boolean
}

export class Connection {
  readonly #parts: ConnectionParts
  readonly #client: Socket
  #passage: Passage | null = null
  /** Bytes of a head that is not complete, growing in place. */
  #head: Buffer | null = null
  #headLength = 0
  /** Clients say the same head over and over: it is read once. */
  #lastHead: RequestHead | null = null
  #body: Body | null = null
  #serving: Serving | null = null
  /** Waits until everything before it has been answered. */
  #next: (() => void) | null = null
  #ahead: Buffer[] = []
  #aheadBytes = 0
  #isLast = false
  #isPost = false
  #hasEnded = false
  #isOver = false

  constructor(parts: ConnectionParts) {
    this.#parts = parts
    const client = parts.client
    this.#client = client
    client.setNoDelay(true)
    client.on('data', (bytes: Buffer) => this.#read(bytes))
    client.on('drain', () => this.#passage?.resume())
    client.on('end', () => this.#ended())
    client.on('error', () => {})
    client.on('close', () => this.#closed())
  }

  /** Between two requests, with nothing under way. */
  get isIdle(): boolean {
    return this.#serving === null && this.#next === null && this.#body === null && (this.#passage?.isAtRest ?? true)
  }

  // ---- reading ----

  #read(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length && !this.#isOver) {
      if (this.#mustHold()) {
        this.#hold(at === 0 ? bytes : bytes.subarray(at))
        return
      }
      at = this.#body ? this.#readBody(this.#body, bytes, at) : this.#readHead(bytes, at)
    }
    this.#flow()
  }

  /** Nobody takes the next byte yet: a body nobody asked for, or requests behind one that is answered here. */
  #mustHold(): boolean {
    if (this.#next) return true
    return this.#serving !== null && (this.#body === null || this.#serving.taker === null)
  }

  #hold(bytes: Buffer): void {
    this.#ahead.push(bytes)
    this.#aheadBytes += bytes.length
    this.#flow()
  }

  /** Goes on with what was read ahead. */
  #unhold(): void {
    const ahead = this.#ahead
    this.#ahead = []
    this.#aheadBytes = 0
    for (const bytes of ahead) this.#read(bytes)
    this.#flow()
    if (this.#hasEnded && !this.#isOver && this.isIdle) this.#close()
  }

  #flow(): void {
    const isFull = this.#aheadBytes >= aheadBytesMax || (this.#serving ? this.#serving.isFull : (this.#passage?.isFull ?? false))
    if (isFull) this.#client.pause()
    else if (this.#client.isPaused()) this.#client.resume()
  }

  #readHead(bytes: Buffer, from: number): number {
    let start = from
    // Go forgives old clients a line end or two behind a POST.
    if (this.#isPost && this.#head === null) for (let count = 0; count < 4 && isLineEnd(bytes[start]); count++) start++
    if (start === bytes.length) return start
    if (this.#isLast) return bytes.length
    if (this.#head !== null) return this.#readMoreHead(this.#head, bytes, start)
    const end = endOfHead(bytes, start)
    if (end === -1) {
      this.#head = Buffer.allocUnsafe(Math.max(4_096, 2 * (bytes.length - start)))
      this.#headLength = bytes.copy(this.#head, 0, start)
      if (this.#headLength > headBytesMax) this.#refuse(headTooLarge)
      return bytes.length
    }
    this.#begin(bytes.toString('latin1', start, end), start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end))
    return end
  }

  #readMoreHead(head: Buffer, bytes: Buffer, from: number): number {
    const before = this.#headLength
    const length = before + bytes.length - from
    let room = head
    if (length > room.length) {
      room = Buffer.allocUnsafe(2 * length)
      head.copy(room, 0, 0, before)
    }
    bytes.copy(room, before, from)
    const end = endOfHead(room.subarray(0, length), 0, Math.max(0, before - 2))
    if (end === -1 && length <= headBytesMax) {
      this.#head = room
      this.#headLength = length
      return bytes.length
    }
    this.#head = null
    if (end === -1) this.#refuse(headTooLarge)
    else this.#begin(room.toString('latin1', 0, end), Buffer.from(room.subarray(0, end)))
    return end === -1 ? bytes.length : end - before + from
  }

  #readBody(body: Body, bytes: Buffer, from: number): number {
    const taker = this.#serving?.taker
    const end = body.read(bytes, from, taker?.content)
    const raw = from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end)
    if (this.#serving === null) this.#passage?.write(raw)
    else if (taker?.raw?.(raw) === false) this.#serving.isFull = true
    if (body.isDone) {
      this.#body = null
      taker?.end(true)
    } else if (body.isBroken) {
      // Kubo gets to see what is wrong with it, and nothing behind it; without more to come it ends the call.
      this.#isLast = true
      this.#body = null
      taker?.end(false)
      if (this.#serving === null) this.#passage?.end()
    }
    return end
  }

  // ---- deciding ----

  #begin(text: string, bytes: Buffer): void {
    const head = this.#lastHead?.text === text ? this.#lastHead : readHead(text)
    if (isRefusal(head)) {
      this.#refuse(head)
      return
    }
    this.#lastHead = text.length <= repeatedHeadMax ? head : null
    this.#isLast = head.isLast
    this.#isPost = head.method === 'POST'
    const body = new Body(head.framing)
    this.#body = body.isDone ? null : body
    const decision = this.#parts.decide(head)
    if (decision.kind === 'serve') this.#whenAtRest(() => this.#serve(head, decision.serve))
    else this.#pass(head, decision, bytes)
  }

  #pass(head: RequestHead, { head: text, rewrite }: Extract<Decision, { kind: 'pass' }>, bytes: Buffer): void {
    this.#passage ??= new Passage({
      client: this.#client,
      connect: this.#parts.connect,
      onRest: () => this.#atRest(),
      onRoom: () => this.#flow(),
      onEnd: error => this.#kuboEnded(error)
    })
    this.#passage.ask({ method: head.method, rewrite })
    this.#passage.write(text === null ? bytes : Buffer.from(text, 'latin1'))
  }

  #refuse({ status, body }: Refusal): void {
    this.#isLast = true
    this.#whenAtRest(() => {
      this.#client.write(`HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${body}`)
      this.#close()
    })
  }

  /** Runs `act` when everything that was passed on has been answered, and never where Kubo closes before. */
  #whenAtRest(act: () => void): void {
    if (this.#passage === null || (this.#passage.isAtRest && !this.#passage.isClosing)) act()
    else this.#next = act
  }

  #atRest(): void {
    const next = this.#next
    if (next === null || this.#passage?.isClosing) return
    this.#next = null
    next()
    if (!this.#mustHold()) this.#unhold()
  }

  // ---- answering here ----

  #serve(head: RequestHead, serve: (exchange: Exchange) => Promise<void>): void {
    const gone = new AbortController()
    const reply = this.#reply(head, mustClose => this.#served(serving, mustClose))
    const exchange: Exchange = {
      head,
      reply,
      signal: gone.signal,
      takeBody: taker => {
        if (this.#serving !== serving || this.#body === null || this.#hasEnded) {
          taker.end(this.#body === null && !this.#hasEnded)
          return
        }
        serving.taker = taker
        this.#unhold()
      },
      resumeBody: () => {
        serving.isFull = false
        if (this.#serving === serving) this.#flow()
      }
    }
    const serving: Serving = { exchange, gone, taker: null, isFull: false }
    this.#serving = serving
    serve(exchange).catch(error => {
      this.#parts.onFailure(error)
      reply.breakOff()
    })
    if (this.#hasEnded) gone.abort(canceled)
  }

  #reply({ isOld, isLast }: RequestHead, onEnd: (mustClose: boolean) => void): Reply {
    return new Reply({
      client: this.#client,
      isOld,
      isLast,
      isBodyRead: () => this.#body === null && !(this.#isLast && !isLast),
      onEnd
    })
  }

  #served(serving: Serving, mustClose: boolean): void {
    if (this.#serving !== serving) return
    this.#serving = null
    // Work that its answer did not wait for ends with it.
    serving.gone.abort(canceled)
    if (mustClose || this.#hasEnded) this.#close()
    else this.#unhold()
  }

  // ---- ends ----

  /** The client sends no more; it may still listen. */
  #ended(): void {
    this.#hasEnded = true
    this.#passage?.end()
    const serving = this.#serving
    serving?.gone.abort(canceled)
    if (this.#body !== null) serving?.taker?.end(false)
    if (serving === null && this.#next === null && this.#passage === null) this.#close()
  }

  #kuboEnded(error: Error | null): void {
    const passage = this.#passage
    this.#passage = null
    passage?.close()
    // What is answered here does not need that connection; the next call opens a new one.
    if (this.#serving !== null || this.#isOver) return
    if (error !== null && passage?.isUntouched) {
      const reply = new Reply({ client: this.#client, isOld: false, isLast: true, isBodyRead: () => true, onEnd: () => this.#close() })
      this.#parts.unreachable(reply, error)
    } else if (error !== null && passage?.wouldLookFinished) this.#client.resetAndDestroy()
    else this.#close()
  }

  #close(): void {
    this.#isOver = true
    this.#ahead = []
    this.#passage?.close()
    closeLingering(this.#client, lingerMs)
  }

  #closed(): void {
    this.#isOver = true
    this.#passage?.close()
    this.#next = null
    this.#ahead = []
    const serving = this.#serving
    this.#serving = null
    serving?.gone.abort(canceled)
    if (this.#body !== null) serving?.taker?.end(false)
  }

  /** Cuts what is still under way. */
  cut(): void {
    this.#client.destroy()
  }

  /** Closes as soon as nothing is under way. */
  closeWhenIdle(): void {
    if (this.isIdle && !this.#isOver) this.#close()
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === 13 || byte === 10
}

/** In Kubo's words: a client that leaves cancels what it asked for. One for all, as every answer ends with it. */
const canceled = new Error('context canceled')
