/**
 * The Kubo door: Kubo's RPC on a port of ours. Calls that pin become pins of the cluster, every other byte goes to Kubo and back unchanged.
 *
 * @see https://docs.ipfs.tech/reference/kubo/rpc/
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ClusterApi } from '../../src/api.ts'
import { systemClock } from '../../src/clock.ts'
import { parseDuration } from '../../src/codec.ts'
import { messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import { type Door, listen } from '../http/server.ts'
import { add, addsPins } from './add.ts'
import { CommandAnswer, kuboFailure } from './answer.ts'
import { Gate } from './gate.ts'
import { type Origins, originsBetween } from './origins.ts'
import { pass } from './pass.ts'
import { type CommandParts, pinAdd, pinList, pinRemove, type WaitFor } from './pins.ts'
import { type Call, flag, readCall, wordsOfBody } from './request.ts'
import { Upstream } from './upstream.ts'

export type { WaitFor } from './pins.ts'

export interface KuboDoorSettings {
  /** Multiaddresses to listen on; the setting `api.ipfsproxy.listen_multiaddress`. */
  readonly listen: readonly string[]
  /** Kubo's API: a multiaddress or a URL. */
  readonly node: string
  readonly waitFor: WaitFor
  /** How long calls in flight may still take when the door closes. */
  readonly closeTimeoutMs: number
}

/** As Kubo: 1 MiB of request head, and no time limit anywhere. */
const limits = { maxHeaderSize: (1 << 20) + 4096, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0, noDelay: true } as const

/** @throws ClusterError `cannot_start` where it cannot listen; nothing is left open then */
export async function openKuboDoor({ api, log }: { api: ClusterApi; log: Log }, settings: KuboDoorSettings): Promise<Door> {
  const door = new KuboDoor({ api, log }, settings)
  try {
    await door.start()
    return door
  } catch (error) {
    await door[Symbol.asyncDispose]()
    throw error
  }
}

class KuboDoor implements Door {
  readonly #log: Log
  readonly #settings: KuboDoorSettings
  readonly #upstream: Upstream
  readonly #origins: Origins
  readonly #gate: Gate
  readonly #commands: CommandParts
  readonly #servers: Server[] = []
  readonly #addresses: string[] = []
  readonly #sockets = new Set<Socket>()
  readonly #closing = new AbortController()
  #port = 0
  #serverHeader = ''

  constructor({ api, log }: { api: ClusterApi; log: Log }, settings: KuboDoorSettings) {
    this.#log = log
    this.#settings = settings
    this.#upstream = new Upstream(settings.node)
    this.#origins = originsBetween({ doorPort: () => this.#port, kuboPort: this.#upstream.port })
    this.#gate = new Gate({ upstream: this.#upstream, origins: this.#origins, clock: systemClock })
    this.#commands = { api, upstream: this.#upstream, waitFor: settings.waitFor }
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  async start(): Promise<void> {
    for (const address of this.#settings.listen) {
      const server = createServer(limits, (client, answer) => this.#serve(client, answer))
      // Kubo still answers a client that has closed its sending side.
      ;(server as unknown as { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true
      // Whether a body is wanted is Kubo's to say: its 100 is passed on, none is made here.
      server.on('checkContinue', (client, answer) => this.#serve(client, answer))
      server.on('checkExpectation', (client, answer) => this.#serve(client, answer))
      server.on('connect', (_client, socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))
      server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        if (error.code === 'ECONNRESET' || !socket.writable) return socket.destroy()
        const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
        socket.end(`HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`)
      })
      server.on('connection', socket => {
        this.#sockets.add(socket)
        socket.on('close', () => this.#sockets.delete(socket))
      })
      this.#servers.push(server)
      const bound = await listen(server, address, 'api.ipfsproxy.listen_multiaddress')
      this.#addresses.push(bound)
      this.#port ||= Number(/\/tcp\/(\d+)/.exec(bound)?.[1] ?? 0)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers
      .filter(({ listening }) => listening)
      .map(server => new Promise<void>(resolve => server.close(() => resolve())))
    for (const server of this.#servers) server.closeIdleConnections()
    const cut = setTimeout(() => {
      this.#closing.abort(new Error('this peer stops'))
      for (const socket of this.#sockets) socket.destroy()
    }, this.#settings.closeTimeoutMs)
    await Promise.all(closed)
    clearTimeout(cut)
    this.#upstream.close()
  }

  #serve(client: IncomingMessage, answer: ServerResponse): void {
    const started = performance.now()
    const call = readCall(client)
    const isOurs = call !== undefined && (call.command !== 'add' || addsPins(call))
    answer.on('close', () => {
      // The path without its query: options may hold secrets.
      const path = (client.url ?? '').split('?')[0]
      this.#log.debug(
        { method: client.method, path, status: answer.statusCode, ms: Math.round(performance.now() - started), intercepted: isOurs },
        'kubo call'
      )
    })
    if (!isOurs) return pass(client, answer, { upstream: this.#upstream, origins: this.#origins })
    this.#intercept(client, answer, call).catch(error => {
      this.#log.error({ err: error, reason: messageOf(error) }, 'kubo call failed')
      if (answer.headersSent) answer.destroy()
      else kuboFailure(answer, 500, messageOf(error))
    })
  }

  async #intercept(client: IncomingMessage, answer: ServerResponse, call: Call): Promise<void> {
    const { refusal, headers, isKuboThere } = await this.#gate.judge(client, call)
    if (refusal) {
      answer.writeHead(refusal.status, {
        'Content-Type': refusal.contentType,
        'X-Content-Type-Options': 'nosniff',
        'Content-Length': refusal.body.length
      })
      answer.end(refusal.body)
      return
    }
    const { command, options } = call
    const encoding = options.get('encoding') ?? 'json'
    // A form we cannot write, or a base we would have to: Kubo checks the option, and refuses it where it must.
    const isStream =
      command === 'add' ||
      (command === 'pin/add' ? flag(options, 'progress', false) === true : command === 'pin/ls' && flag(options, 'stream', false) === true)
    const output = new CommandAnswer(answer, {
      isStream,
      isText: encoding === 'text',
      headers: { ...headers, ...(await this.#learnt(isKuboThere)) }
    })
    const signal = this.#signalOf(answer, options.get('timeout'))
    if (command === 'add') return add({ ...this.#commands, origins: this.#origins }, call, client, answer, output, signal)
    try {
      const words = [...call.words, ...(command === 'pin/ls' ? [] : await wordsOfBody(client))]
      if (words.length === 0 && command !== 'pin/ls') {
        answer.writeHead(400, { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' })
        answer.end('argument "ipfs-path" is required\n')
        return
      }
      const full = { ...call, words }
      if (command === 'pin/add') await pinAdd(this.#commands, full, output, signal)
      else if (command === 'pin/rm') await pinRemove(this.#commands, full, output, signal)
      else await pinList(this.#commands, full, output, signal)
    } catch (error) {
      output.fail(error)
    }
  }

  /** Ends with the client's connection, with the call's `timeout`, and with the door. */
  #signalOf(answer: ServerResponse, timeout: string | undefined): AbortSignal {
    const gone = new AbortController()
    answer.on('close', () => {
      if (!answer.writableFinished) gone.abort(new Error('the client is gone'))
    })
    const signals = [gone.signal, this.#closing.signal]
    try {
      if (timeout !== undefined) signals.push(AbortSignal.timeout(Math.max(1, parseDuration(timeout))))
    } catch {
      // Kubo's own answer to a time that cannot be read is an empty one; without a limit the call at least works.
    }
    return AbortSignal.any(signals)
  }

  /** What Kubo puts on every answer of a command. */
  async #learnt(isKuboThere: boolean): Promise<Record<string, string>> {
    if (this.#serverHeader === '' && isKuboThere) {
      const { headers } = await this.#upstream
        .call('/api/v0/version', { signal: AbortSignal.timeout(3_000) })
        .catch(() => ({ headers: {} as IncomingMessage['headers'] }))
      this.#serverHeader = String(headers.server ?? '')
    }
    const exposed = 'X-Stream-Output, X-Chunked-Output, X-Content-Length'
    return {
      'Access-Control-Allow-Headers': exposed,
      'Access-Control-Expose-Headers': exposed,
      ...(this.#serverHeader ? { Server: this.#serverHeader } : {})
    }
  }
}
