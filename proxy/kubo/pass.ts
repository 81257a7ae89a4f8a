/**
 * Pass-through: every byte of a call that is not ours reaches Kubo and comes back. Raw headers in order and case, trailers, early refusals, aborts
 * in both directions. By hand on node:http and not by http-proxy, which normalises paths, merges repeated headers and answers 100 by itself.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { messageOf } from '../../src/errors.ts'
import { kuboFailure } from './answer.ts'
import type { Origins } from './origins.ts'
import type { Upstream } from './upstream.ts'

export function pass(
  client: IncomingMessage,
  answer: ServerResponse,
  { upstream, origins }: { upstream: Upstream; origins: Origins }
): void {
  const headers = origins.toKubo(client.rawHeaders)
  const hasBody = client.headers['content-length'] !== undefined || client.headers['transfer-encoding'] !== undefined
  // Without a length Node would send an empty body in chunks, and Kubo would then close the connection.
  if (!hasBody && client.method !== 'GET' && client.method !== 'HEAD') headers.push('Content-Length', '0')
  const outgoing = upstream.open(client.method ?? 'GET', client.url ?? '/', headers)

  outgoing.on('continue', () => answer.writeContinue())
  outgoing.on('response', incoming => relay(incoming, client, answer, origins))
  outgoing.on('error', error => {
    if (answer.headersSent) answer.destroy()
    else if (!answer.destroyed) kuboFailure(answer, 502, `Kubo does not answer: ${messageOf(error)}`)
  })
  answer.on('close', () => {
    if (!answer.writableFinished) outgoing.destroy()
  })
  client.on('error', () => outgoing.destroy())
  client.pipe(outgoing)
}

function relay(incoming: IncomingMessage, client: IncomingMessage, answer: ServerResponse, origins: Origins): void {
  const isOld = client.httpVersion === '1.0'
  const headers = origins.toClient(incoming.rawHeaders)
  answer.sendDate = false
  // Only what Kubo said about the connection is passed on.
  answer.removeHeader('connection')
  // An HTTP/1.0 client knows neither chunks nor trailers: it reads to the end of the connection.
  answer.writeHead(
    incoming.statusCode ?? 502,
    incoming.statusMessage ?? '',
    (isOld ? without(headers, /^(transfer-encoding|trailer)$/i) : headers) as never
  )
  answer.flushHeaders()
  incoming.on('data', chunk => {
    if (answer.write(chunk)) return
    incoming.pause()
    answer.once('drain', () => incoming.resume())
  })
  incoming.on('end', () => {
    if (!isOld && incoming.rawTrailers.length > 0) answer.addTrailers(pairs(incoming.rawTrailers))
    answer.end()
  })
  // A broken answer must not look like a finished one.
  incoming.on('error', () => answer.destroy())
  incoming.on('aborted', () => answer.destroy())
}

function without(headers: readonly string[], name: RegExp): string[] {
  return headers.filter((_, position) => !name.test(headers[position - (position % 2)] ?? ''))
}

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((name, position): [string, string][] => (position % 2 === 0 ? [[name, flat[position + 1] ?? '']] : []))
}
