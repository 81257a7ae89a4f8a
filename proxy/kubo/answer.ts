/** Answers of our own in Kubo's shape: headers, JSON documents a line, and errors before or behind the first one. */
import type { ServerResponse } from 'node:http'
import { ClusterError, isFault, messageOf } from '../../src/errors.ts'

/** `{"Message","Code","Type"}`: what Kubo's clients look for. */
export function kuboFailure(answer: ServerResponse, status: number, message: string, code = 0): void {
  const body = `${goJson({ Message: message, Code: code, Type: 'error' })}\n`
  answer.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
  answer.end(body)
}

/** As Go prints JSON. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The answer of an intercepted command: its head leaves with the first line, a later error in the trailer. */
export class CommandAnswer {
  readonly #answer: ServerResponse
  readonly #isStream: boolean
  readonly #isText: boolean
  readonly #headers: Readonly<Record<string, string>>

  constructor(
    answer: ServerResponse,
    { isStream, isText, headers }: { isStream: boolean; isText: boolean; headers: Readonly<Record<string, string>> }
  ) {
    this.#answer = answer
    this.#isStream = isStream
    this.#isText = isText
    this.#headers = headers
  }

  get isText(): boolean {
    return this.#isText
  }

  /** One document, or with `encoding=text` what Kubo would print. @returns when there is room for the next */
  async line(json: unknown, text = ''): Promise<void> {
    this.#begin()
    const hasRoom = this.#answer.write(this.#isText ? text : `${goJson(json)}\n`)
    if (hasRoom || this.#answer.destroyed) return
    await new Promise<void>(resolve => {
      const done = () => {
        this.#answer.off('drain', done)
        this.#answer.off('close', done)
        resolve()
      }
      this.#answer.on('drain', done)
      this.#answer.on('close', done)
    })
  }

  end(): void {
    this.#begin()
    this.#answer.end()
  }

  /** 500 with Kubo's JSON, or the trailer when lines were sent. */
  fail(error: unknown): void {
    if (this.#answer.destroyed) return
    const message = wordsOf(error)
    if (!this.#answer.headersSent) {
      const { status, code } = isFault(error, 'kubo_error')
        ? { status: error.fault.status, code: error.fault.kuboCode }
        : { status: 500, code: 0 }
      if (this.#isText) {
        this.#answer.writeHead(500, { ...this.#headers, 'Content-Type': 'text/plain' })
        this.#answer.end(message)
      } else kuboFailure(this.#answer, status === 200 ? 500 : status, message, code)
      return
    }
    // A header holds no line breaks, and Node sends it as Latin-1: the bytes of UTF-8 pass through as they are.
    this.#answer.addTrailers({ 'X-Stream-Error': Buffer.from(message.replace(/[\r\n]+/g, ' ')).toString('latin1') })
    this.#answer.end()
  }

  #begin(): void {
    if (this.#answer.headersSent) return
    this.#answer.writeHead(200, {
      ...this.#headers,
      'Content-Type': this.#isText ? 'text/plain' : 'application/json',
      ...(this.#answer.req.httpVersion === '1.0' ? {} : { Trailer: 'X-Stream-Error' }),
      ...(this.#isStream ? { 'X-Chunked-Output': '1' } : {})
    })
    this.#answer.flushHeaders()
  }
}

/** Tools match on Kubo's words where there are any. */
function wordsOf(error: unknown): string {
  if (error instanceof ClusterError && error.code === 'pin_failed')
    return error.message.startsWith('pin: ') ? error.message : `pin: ${error.message}`
  if (error instanceof Error && error.name === 'TimeoutError') return 'context deadline exceeded'
  return messageOf(error)
}
