/**
 * An answer of the door's own, on a client's connection, as Go's server would write it: headers sorted by name, then the date and the framing; chunks
 * and trailers where the client knows them, the end of the connection where it does not.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

export type Header = readonly [name: string, value: string]

export interface ReplyParts {
  readonly client: Socket
  /** HTTP/1.0. */
  readonly isOld: boolean
  /** The client asked for the connection to end with this answer. */
  readonly isLast: boolean
  /** Whether the request has been read to its end; what follows an unread body is no request. */
  readonly isBodyRead: () => boolean
  /** The answer is complete, or has been broken off; `mustClose`: the connection ends with it. */
  readonly onEnd: (mustClose: boolean) => void
}

export class Reply {
  readonly #parts: ReplyParts
  #state: 'none' | 'chunked' | 'until the end' | 'over' = 'none'
  #mustClose = false
  #status = 0

  constructor(parts: ReplyParts) {
    this.#parts = parts
  }

  /** The head has left: an error can only be a trailer. */
  get hasBegun(): boolean {
    return this.#state !== 'none'
  }

  /** 0 before the head has left. */
  get status(): number {
    return this.#status
  }

  /** Nobody hears it any more. */
  get isOver(): boolean {
    return this.#state === 'over' || this.#parts.client.destroyed || !this.#parts.client.writable
  }

  get isOld(): boolean {
    return this.#parts.isOld
  }

  /** `100 Continue`: the body is wanted. */
  wantBody(): void {
    if (!this.hasBegun && !this.isOver && !this.#parts.isOld) this.#parts.client.write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  /** A whole answer at once. */
  send(status: number, headers: readonly Header[], body: Buffer | string): void {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    this.#writeHead(status, headers, `Content-Length: ${bytes.length}\r\n`)
    this.#parts.client.write(bytes)
    this.#finish()
  }

  /** The head of an answer that comes bit by bit. */
  begin(status: number, headers: readonly Header[]): void {
    const { isOld } = this.#parts
    this.#writeHead(status, headers, isOld ? '' : 'Transfer-Encoding: chunked\r\n')
    this.#state = isOld ? 'until the end' : 'chunked'
  }

  /** One chunk. @returns whether there is room for more */
  write(text: string): boolean {
    const { client } = this.#parts
    if (this.isOver || text === '') return true
    return client.write(this.#state === 'chunked' ? `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n` : text)
  }

  /** As {@link write}. `bytes` must not change any more. */
  writeBytes(bytes: Buffer): boolean {
    const { client } = this.#parts
    if (this.isOver || bytes.length === 0) return true
    if (this.#state !== 'chunked') return client.write(bytes)
    // One call of the system for all three.
    client.cork()
    client.write(`${bytes.length.toString(16)}\r\n`, 'latin1')
    client.write(bytes)
    const hasRoom = client.write('\r\n', 'latin1')
    client.uncork()
    return hasRoom
  }

  /** Resolves when there is room, or nobody is there any more. */
  async drained(): Promise<void> {
    const { client } = this.#parts
    if (!client.writableNeedDrain || client.destroyed) return
    await new Promise<void>(resolve => {
      const done = () => {
        client.off('drain', done).off('close', done)
        resolve()
      }
      client.on('drain', done).on('close', done)
    })
  }

  /** @param trailers for HTTP/1.1 clients; others cannot read any */
  end(trailers: readonly Header[] = []): void {
    if (this.#state === 'chunked' && !this.isOver) {
      this.#parts.client.write(`0\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`, 'latin1')
    }
    this.#finish()
  }

  /** A broken answer must not look like a finished one. */
  breakOff(): void {
    if (this.#state === 'over') return
    const { client } = this.#parts
    const looksFinished = this.#state !== 'chunked'
    this.#state = 'over'
    if (looksFinished) client.resetAndDestroy()
    this.#parts.onEnd(true)
  }

  #writeHead(status: number, headers: readonly Header[], framing: string): void {
    const { client, isOld, isLast, isBodyRead } = this.#parts
    if (this.hasBegun || this.isOver) return
    const sorted = [...headers]
    const isUnread = !isBodyRead()
    if (isUnread) sorted.push(['Connection', 'close'])
    sorted.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    const lines = sorted.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const closing = isLast && !isUnread && !isOld ? 'Connection: close\r\n' : ''
    const [length, coding] = framing.startsWith('Content-Length') ? [framing, ''] : ['', framing]
    this.#status = status
    this.#state = 'until the end'
    this.#mustClose = isUnread || isLast || isOld
    // One packet for what is written in one turn.
    client.cork()
    process.nextTick(() => client.uncork())
    const start = `HTTP/1.${isOld ? 0 : 1} ${status} ${STATUS_CODES[status] ?? ''}\r\n`
    client.write(`${start}${lines}Date: ${httpDate()}\r\n${length}${closing}${coding}\r\n`, 'latin1')
  }

  #finish(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#parts.onEnd(this.#mustClose)
  }
}

let date = ''
let dateSecond = 0

function httpDate(): string {
  const second = Math.floor(Date.now() / 1_000)
  if (second !== dateSecond) {
    dateSecond = second
    date = new Date(second * 1_000).toUTCString()
  }
  return date
}

/** Text for a header or trailer: UTF-8 goes raw, as Go sends it, and a line break becomes a space. */
export function headerText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not get into a head
  return Buffer.from(text.replace(/[\u0000-\u0008\u000a-\u001f\u007f]+/g, ' '), 'utf8').toString('latin1')
}
