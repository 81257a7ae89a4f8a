/** The three answers of the REST API: one JSON document, a stream of lines, a failure. */
import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { errorToJson } from '../../src/wire.ts'
import { faultHeader, faultToHeader, streamErrorTrailer, toHeaderText } from '../../src/wire-fault.ts'
import type { Json } from '../../src/wire-fields.ts'
import { statusOf } from './faults.ts'

/** Bytes of lines that are gathered before they are written. */
const flushAt = 64 * 1024

/** Written to the socket directly: a reply of the framework would add a character set, and time on the hot path. */
export function sendJson(reply: FastifyReply, status: number, document: Json | readonly unknown[]): void {
  const body = Buffer.from(`${JSON.stringify(document)}\n`)
  reply.hijack()
  reply.raw.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body)
}

export function sendEmpty(reply: FastifyReply): void {
  reply.hijack()
  reply.raw.writeHead(204, { 'Content-Type': 'application/json' }).end()
}

/** One sentence as `{"code","message"}`. What is no fault is a bug: the log gets it, the client only the way to find it there. */
export function sendError(reply: FastifyReply, error: unknown): void {
  const { log, id } = reply.request.raw
  if (reply.raw.destroyed) {
    // Nobody is there to be told: most likely this error is that the client left.
    reply.hijack()
    return
  }
  if (error instanceof ClusterError) {
    const status = statusOf(error.fault)
    reply.raw.setHeader(faultHeader, faultToHeader(error.fault))
    if (error.fault.code === 'overloaded') {
      reply.raw.setHeader('Retry-After', String(Math.max(1, Math.ceil(error.fault.retryAfterMs / 1_000))))
    }
    log.debug({ fault: error.fault, reason: error.message }, 'refused')
    sendJson(reply, status, errorToJson(status, error.message))
    return
  }
  // The framework's own refusals, such as a body beyond the limit, carry a status.
  const status = (error as { statusCode?: unknown } | null)?.statusCode
  if (typeof status === 'number' && status >= 400 && status < 500) {
    sendJson(reply, status, errorToJson(status, messageOf(error)))
    return
  }
  log.error({ err: error }, 'request failed')
  sendJson(reply, 500, errorToJson(500, `internal error: the log of this peer has more under request ${id}`))
}

/**
 * Sends `items` as one JSON document a line, each within one turn of the event loop and never faster than the client reads.
 * Nothing to send is 204. A failure before the first line is thrown, for a normal answer; a later one ends in the trailer.
 */
export async function sendLines<T>(reply: FastifyReply, items: AsyncIterable<T>, toJson: (item: T) => Json): Promise<void> {
  const iterator = items[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done) {
    sendEmpty(reply)
    return
  }
  reply.hijack()
  const response = reply.raw
  response.writeHead(200, { 'Content-Type': 'application/json', Trailer: 'X-Stream-Error' })
  const lines = new Lines(response)
  try {
    for (let item: IteratorResult<T, unknown> = first; !item.done; item = await iterator.next()) {
      await lines.write(`${JSON.stringify(toJson(item.value))}\n`)
      if (response.destroyed) {
        await iterator.return?.()
        return
      }
    }
    await lines.flush()
    response.addTrailers({ [streamErrorTrailer]: '' })
  } catch (error) {
    // A client that left aborts the iteration: nobody is there to be told.
    if (response.destroyed) return
    reply.request.raw.log.warn({ err: error }, 'stream failed after its first line')
    await lines.flush()
    response.addTrailers({
      [streamErrorTrailer]: toHeaderText(messageOf(error)),
      ...(error instanceof ClusterError && { [faultHeader]: faultToHeader(error.fault) })
    })
  }
  response.end()
}

/** Gathers lines that come in the same turn of the event loop into one chunk. */
class Lines {
  readonly #response: ServerResponse
  #pending = ''
  #isScheduled = false

  constructor(response: ServerResponse) {
    this.#response = response
  }

  async write(line: string): Promise<void> {
    this.#pending += line
    if (this.#pending.length >= flushAt || this.#response.writableNeedDrain) return this.flush()
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      if (!this.#response.destroyed) this.#send()
    })
  }

  /** Writes what is gathered; resolves when the client has room for more, or is gone. */
  async flush(): Promise<void> {
    this.#send()
    const response = this.#response
    if (!response.writableNeedDrain || response.destroyed) return
    await new Promise<void>(resolve => {
      const go = () => {
        response.off('drain', go).off('close', go)
        resolve()
      }
      response.on('drain', go).on('close', go)
    })
  }

  #send(): void {
    if (this.#pending !== '') this.#response.write(this.#pending)
    this.#pending = ''
  }
}
