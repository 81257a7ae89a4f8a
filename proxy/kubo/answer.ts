/**
 * Answers that Kubo would give but the cluster does: Kubo's headers, values written as Go writes them, an error as status 500 before the first value
 * and as a trailer behind it.
 */
import { ClusterError, type Fault, messageOf } from '../../src/errors.ts'
import type { Format } from './call.ts'
import { type Header, headerText, type Reply } from './reply.ts'

export interface AnswerParts {
  readonly format: Format
  /** Many values, each written as it comes: Kubo marks such answers with a header. */
  readonly isStream: boolean
  /** On every answer of a command, names as Kubo writes them. */
  readonly headers: readonly Header[]
}

const contentTypes: Readonly<Record<Format, string>> = { json: 'application/json', text: 'text/plain', xml: 'application/xml' }
/** Values that come in one turn of the event loop leave together, up to this. */
const batchMax = 16 << 10

export class CommandAnswer {
  readonly #reply: Reply
  readonly #parts: AnswerParts
  readonly #added: Header[] = []
  #pending = ''
  #isScheduled = false

  constructor(reply: Reply, parts: AnswerParts) {
    this.#reply = reply
    this.#parts = parts
  }

  get format(): Format {
    return this.#parts.format
  }

  /** The head has left: an error can only be a trailer. */
  get hasBegun(): boolean {
    return this.#reply.hasBegun
  }

  /** One value, or with `encoding=text` what Kubo would print. Resolves when there is room for the next. */
  async line(value: unknown, text: string): Promise<void> {
    await this.write(this.#parts.format === 'json' ? goJson(value) : text)
  }

  /** One value that is already in the answer's format. */
  async write(text: string): Promise<void> {
    this.begin()
    this.#pending += text
    if (this.#pending.length >= batchMax) {
      this.#flush()
      await this.#reply.drained()
    } else if (!this.#isScheduled) {
      this.#isScheduled = true
      setImmediate(() => {
        this.#isScheduled = false
        this.#flush()
      })
    }
  }

  /** Many values at once, as bytes in the answer's format. Resolves when there is room for more. */
  async chunk(bytes: Buffer): Promise<void> {
    this.begin()
    this.#flush()
    if (!this.#reply.writeBytes(bytes)) await this.#reply.drained()
  }

  /** To be said before the head leaves. */
  addHeader(header: Header): void {
    this.#added.push(header)
  }

  /** The head leaves at once. */
  begin(): void {
    this.#begin(200)
  }

  end(): void {
    this.begin()
    this.#flush()
    this.#reply.end()
  }

  /** Ends the answer with an error; a client that is gone is told nothing. */
  fail(error: unknown): void {
    const reply = this.#reply
    const { message, status, kuboCode } = failureOf(error)
    if (!reply.hasBegun) {
      this.#begin(status, { isFailure: true })
      reply.write(failureText(message, { format: this.#parts.format, kuboCode }))
      reply.end()
      return
    }
    this.#flush()
    // An HTTP/1.0 client knows no trailers: a cut connection is all it can be told.
    if (reply.isOld) reply.breakOff()
    else reply.end([['X-Stream-Error', headerText(message)]])
  }

  #flush(): void {
    if (this.#pending !== '') this.#reply.write(this.#pending)
    this.#pending = ''
  }

  #begin(status: number, { isFailure = false } = {}): void {
    if (this.#reply.hasBegun) return
    const { headers, isStream, format } = this.#parts
    const marks: Header[] = isStream && !isFailure ? [['X-Chunked-Output', '1']] : []
    this.#reply.begin(status, [...headers, ...this.#added, ['Content-Type', contentTypes[format]], ['Trailer', 'X-Stream-Error'], ...marks])
  }
}

/** `{"Message","Code","Type"}`, which Kubo's clients need to read any error at all, also one that is the door's own. */
export function sendFailure(reply: Reply, error: unknown): void {
  const { message, status, kuboCode } = failureOf(error)
  reply.send(status, [['Content-Type', 'application/json']], failureText(message, { format: 'json', kuboCode }))
}

/** A refusal before the command runs, as Kubo words it. */
export function sendText(reply: Reply, status: number, text: string, cors: readonly Header[] = []): void {
  reply.send(status, [...cors, ['Content-Type', 'text/plain; charset=utf-8'], ['X-Content-Type-Options', 'nosniff']], text)
}

/** JSON as Go's encoder writes it, with its line end. Fields that are `undefined` are left out. */
export function goJson(value: unknown): string {
  return `${JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, unsafe => `\\u${unsafe.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`
}

export function xmlText(text: string): string {
  const escapes: Readonly<Record<string, string>> = { '"': '&#34;', "'": '&#39;', '&': '&amp;', '<': '&lt;', '>': '&gt;' }
  return text.replace(/["'&<>]/g, sign => escapes[sign] ?? sign)
}

function failureText(message: string, { format, kuboCode }: { format: Format; kuboCode: number }): string {
  switch (format) {
    case 'text':
      return message
    case 'xml':
      return `<Error><Message>${xmlText(message)}</Message><Code>${kuboCode}</Code></Error>`
    case 'json':
      return goJson({ Message: message, Code: kuboCode, Type: 'error' })
  }
}

function failureOf(error: unknown): { readonly message: string; readonly status: number; readonly kuboCode: number } {
  const fault: Fault | null = error instanceof ClusterError ? error.fault : null
  return { message: messageOf(error), status: statusOf(fault), kuboCode: fault?.code === 'kubo_error' ? fault.kuboCode : 0 }
}

/** Kubo says 500 to nearly everything; what the cluster adds is told apart where a client may want to come again. */
function statusOf(fault: Fault | null): number {
  switch (fault?.code) {
    case 'kubo_error':
      return fault.status >= 400 ? fault.status : 500
    case 'kubo_unreachable':
      return 502
    case 'no_leader':
    case 'overloaded':
    case 'not_ready':
      return 503
    default:
      return 500
  }
}
