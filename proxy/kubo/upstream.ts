/** The Kubo behind the door: connections that carry what passes through, and small calls of the door's own. */
import { type Agent, type IncomingMessage, request as openHttp } from 'node:http'
import { request as openHttps, Agent as TlsAgent } from 'node:https'
import type { OnReadOpts, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { kuboAddress } from '../../src/address.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { linesOf } from './lines.ts'
import { KuboAgent, type KuboTarget, PatientSocket } from './patient-socket.ts'

/** Answers to the door's own calls are a line; this is where one is no longer believed. */
const replyBytesMax = 64 << 20

export interface KuboReply {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: Buffer
}

export interface KuboCall {
  readonly query?: URLSearchParams | undefined
  /** Headers of the client on whose behalf this is, names and values in turn. */
  readonly headers?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
}

export class Upstream implements Disposable {
  readonly #target: KuboTarget
  readonly #agent: Agent
  readonly #tlsName: string | null
  /** The port of Kubo's API, for translating origins; `null` on a Unix socket. */
  readonly port: number | null
  /** The address for people. */
  readonly shown: string
  /** What the door says of itself instead of the client's own word; `null` leaves that as it is. */
  readonly authorization: string | null
  /** Behind https there may be a server for many names, so it is told which one is meant; `null` leaves the client's word. */
  readonly host: string | null

  /** @param node a multiaddress or a URL @throws ClusterError `invalid` */
  constructor(node: string, authorization: string | null) {
    const { origin, socketPath } = kuboAddress(node)
    const url = new URL(origin)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const isTls = url.protocol === 'https:'
    const port = Number(url.port || (isTls ? 443 : 80))
    this.#target = socketPath === null ? { host, port } : { path: socketPath }
    this.#tlsName = isTls ? host : null
    this.port = socketPath === null ? port : null
    this.shown = socketPath === null ? origin : `unix:${socketPath}`
    this.host = isTls ? url.host : null
    this.authorization = authorization
    this.#agent = isTls ? new TlsAgent({ keepAlive: true, maxFreeSockets: 64 }) : new KuboAgent(this.#target)
  }

  /**
   * A connection of its own; it reads on when Kubo has closed its side, and when a write has failed.
   * @param onread what it says goes there; not where it is encrypted, then it comes as `data`
   */
  connect(onread?: OnReadOpts): Socket {
    if (this.#tlsName === null) return PatientSocket.open(this.#target, { allowHalfOpen: true, onread })
    // Kubo itself speaks no TLS: what stands in front of it decides how an early refusal arrives.
    return connectTls({ ...this.#target, servername: this.#tlsName, allowHalfOpen: true, ALPNProtocols: ['http/1.1'] } as never)
  }

  /**
   * Runs a command without a body and collects its answer.
   * @throws ClusterError `kubo_unreachable`; the reason of `signal`
   */
  async post(command: string, call: KuboCall = {}): Promise<KuboReply> {
    try {
      const answer = await this.#send(command, call)
      return { status: answer.statusCode ?? 0, headers: answer.rawHeaders, body: await bodyOf(answer) }
    } catch (error) {
      call.signal?.throwIfAborted()
      throw this.unreachable(error)
    }
  }

  /** Runs a command that answers one JSON value. @throws ClusterError `kubo_error` with Kubo's words, and as {@link post} */
  async json(command: string, call: KuboCall = {}): Promise<unknown> {
    return jsonOf(await this.text(command, call))
  }

  /** As {@link json}, before it is read. */
  async text(command: string, call: KuboCall = {}): Promise<string> {
    const { status, body } = await this.post(command, call)
    const text = body.toString('utf8')
    if (status !== 200) throw kuboFailure(status, jsonOf(text), text)
    return text
  }

  /**
   * Runs a command that answers a stream of JSON values, one a line.
   * @throws ClusterError as {@link json}, also in the middle, where Kubo says so in its trailer
   */
  async *lines(command: string, call: KuboCall = {}): AsyncGenerator<unknown, void, undefined> {
    let answer: IncomingMessage | undefined
    try {
      answer = await this.#send(command, call)
      if (answer.statusCode !== 200) {
        const text = (await bodyOf(answer)).toString('utf8')
        throw kuboFailure(answer.statusCode ?? 0, jsonOf(text), text)
      }
      for await (const line of linesOf(answer)) yield jsonOf(line.toString('utf8'))
      const failure = answer.trailers['x-stream-error']
      if (failure !== undefined) throw kuboFailure(500, undefined, Buffer.from(failure, 'latin1').toString('utf8'))
    } catch (error) {
      call.signal?.throwIfAborted()
      throw this.unreachable(error)
    } finally {
      answer?.destroy()
    }
  }

  async #send(command: string, { query, headers = [], signal }: KuboCall): Promise<IncomingMessage> {
    signal?.throwIfAborted()
    const path = `/api/v0/${command}${query?.size ? `?${query}` : ''}`
    const authorization = this.authorization === null ? [] : ['Authorization', this.authorization]
    for (;;) {
      const request = (this.#tlsName === null ? openHttp : openHttps)({
        ...('path' in this.#target ? { socketPath: this.#target.path } : this.#target),
        agent: this.#agent,
        method: 'POST',
        path,
        headers: ['Host', this.host ?? 'kubo', ...headers, ...authorization, 'Content-Length', '0'],
        setHost: false,
        ...(signal && { signal })
      })
      try {
        return await new Promise((resolve, reject) => {
          request.on('response', resolve).on('error', reject).end()
        })
      } catch (error) {
        // Kubo, on its way down, had closed a connection that lay in the pool: it has not seen the request, a new one tells whether it is back.
        const isStale = request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
        if (!isStale) throw error
      }
    }
  }

  /** What the network threw, as a fault with a sentence. */
  unreachable(error: unknown): ClusterError {
    if (error instanceof ClusterError) return error
    return new ClusterError({ code: 'kubo_unreachable' }, `Kubo at ${this.shown} does not answer: ${messageOf(error)}`, { cause: error })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

async function bodyOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of answer) {
    length += chunk.length
    if (length > replyBytesMax) throw new Error('the answer is larger than 64 MiB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A failure that Kubo reported, in its own words. */
export function kuboFailure(status: number, value: unknown, text: string): ClusterError {
  const { Message, Code } = (typeof value === 'object' && value !== null ? value : {}) as { Message?: unknown; Code?: unknown }
  const message = typeof Message === 'string' ? Message : text.trim().slice(0, 1_000)
  return new ClusterError({ code: 'kubo_error', status, kuboCode: typeof Code === 'number' ? Code : 0 }, message)
}
