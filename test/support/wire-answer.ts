/** Reads HTTP answers off a byte stream without mending anything: order, case, chunks and trailers as they came. */

export interface WireAnswer {
  /** Such as `HTTP/1.1 200 OK`. */
  readonly statusLine: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
  /** How many chunks the body came in; null where it was not chunked. */
  readonly chunks: number | null
  readonly trailers: readonly (readonly [name: string, value: string])[]
  /** The end of the body was seen: the last chunk, or as many bytes as were promised. */
  readonly isComplete: boolean
}

type Pairs = (readonly [string, string])[]

export class WireAnswers {
  /** Finished ones; 1xx are among {@link interim}. */
  readonly answers: WireAnswer[] = []
  readonly interim: string[] = []
  readonly #isBodiless: (index: number) => boolean
  #pending: Buffer = Buffer.alloc(0)
  #current: { statusLine: string; headers: Pairs } | undefined
  #framing: { kind: 'length'; left: number } | { kind: 'chunked'; left: number; isLast: boolean } | { kind: 'close' } | undefined
  #body: Buffer[] = []
  #chunks = 0
  #trailers: Pairs = []

  /** @param isBodiless whether the answer of this number is to a HEAD */
  constructor({ isBodiless = () => false }: { isBodiless?: (index: number) => boolean } = {}) {
    this.#isBodiless = isBodiless
  }

  push(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes])
    while (this.#step()) {
      // Until it needs more bytes.
    }
  }

  /** The head of an answer whose body is still coming. */
  get head(): string | undefined {
    return this.#current?.statusLine
  }

  /** Ends only with the connection. */
  get isCloseDelimited(): boolean {
    return this.#framing?.kind === 'close'
  }

  get bodySoFar(): Buffer {
    return Buffer.concat(this.#body)
  }

  /** The stream is over. @returns bytes that belong to no answer */
  end(): Buffer {
    if (this.#current !== undefined) {
      if (this.#framing?.kind !== 'close') this.#body.push(this.#framing?.kind === 'length' ? this.#pending : Buffer.alloc(0))
      this.#finish(this.#framing?.kind === 'close')
      return Buffer.alloc(0)
    }
    return this.#pending
  }

  #step(): boolean {
    if (this.#current === undefined) return this.#readHead()
    const framing = this.#framing
    if (framing?.kind === 'chunked') return this.#readChunk(framing)
    if (framing?.kind === 'length') {
      const part = this.#take(framing.left)
      framing.left -= part.length
      if (framing.left === 0) this.#finish(true)
      return framing.left === 0
    }
    this.#take(this.#pending.length)
    return false
  }

  #readHead(): boolean {
    const end = this.#pending.indexOf('\r\n\r\n')
    if (end === -1) return false
    const [statusLine = '', ...lines] = this.#pending.subarray(0, end).toString('latin1').split('\r\n')
    this.#pending = this.#pending.subarray(end + 4)
    const status = Number(statusLine.split(' ')[1])
    if (status >= 100 && status < 200) {
      this.interim.push([statusLine, ...lines].join('\n'))
      return true
    }
    const headers = lines.map(pair)
    const value = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1]
    this.#current = { statusLine, headers }
    const length = value('content-length')
    if (this.#isBodiless(this.answers.length) || status === 204 || status === 304) this.#finish(true)
    else if (value('transfer-encoding')?.toLowerCase() === 'chunked') this.#framing = { kind: 'chunked', left: 0, isLast: false }
    else if (length !== undefined && Number(length) === 0) this.#finish(true)
    else this.#framing = length === undefined ? { kind: 'close' } : { kind: 'length', left: Number(length) }
    return true
  }

  #readChunk(framing: { left: number; isLast: boolean }): boolean {
    if (framing.left > 0) {
      const part = this.#take(framing.left)
      framing.left -= part.length
      // The line end behind the bytes comes off together with the next size line.
      if (framing.left === 0) framing.left = -1
      return part.length > 0 && framing.left === -1
    }
    const line = this.#line(framing.left === -1 ? 2 : 0)
    if (line === undefined) return false
    if (framing.isLast) {
      if (line === '') this.#finish(true)
      else this.#trailers.push(pair(line))
      return true
    }
    framing.left = Number.parseInt(line, 16)
    if (framing.left === 0) framing.isLast = true
    else this.#chunks++
    return true
  }

  #line(skip: number): string | undefined {
    const end = this.#pending.indexOf('\r\n', skip)
    if (end === -1) return undefined
    const line = this.#pending.subarray(skip, end).toString('latin1')
    this.#pending = this.#pending.subarray(end + 2)
    return line
  }

  #take(count: number): Buffer {
    const part = this.#pending.subarray(0, count)
    this.#pending = this.#pending.subarray(part.length)
    if (part.length > 0) this.#body.push(part)
    return part
  }

  #finish(isComplete: boolean): void {
    const { statusLine, headers } = this.#current ?? { statusLine: '', headers: [] }
    const chunks = this.#framing?.kind === 'chunked' ? this.#chunks : null
    this.answers.push({ statusLine, headers, body: Buffer.concat(this.#body), chunks, trailers: this.#trailers, isComplete })
    this.#current = undefined
    this.#framing = undefined
    this.#body = []
    this.#chunks = 0
    this.#trailers = []
  }
}

function pair(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  return colon === -1 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()]
}
