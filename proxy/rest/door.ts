/**
 * The REST API of ipfs-cluster, port 9094: HTTP in front of `ClusterApi`. Here are the listening, the order of checks before a route
 * (authentication, cross-origin, trailing slash) and the closing.
 */
import { createServer, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { ClusterApi } from '../../src/api.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import { errorToJson } from '../../src/wire.ts'
import { type Door, listen, opened } from '../http/server.ts'
import { basicAuth, challenge } from './auth.ts'
import { allowOrigin, type CorsSettings } from './cors.ts'
import { sendError, sendJson } from './reply.ts'
import { requestLog } from './request-log.ts'
import { addRoutes } from './routes.ts'

/** Defaults are those of `api.restapi` of ipfs-cluster's configuration. */
export interface RestSettings {
  /** Multiaddresses to listen on; the setting `api.restapi.http_listen_multiaddress`. */
  readonly listen: readonly string[]
  /** Passwords by user; `null` lets everybody in. `GET /health` is open to all. */
  readonly basicAuth: Readonly<Record<string, string>> | null
  /** Added to every answer of a route. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly cors: CorsSettings
  /** Beyond it, and 4 KiB of grace as in Go, a request is refused with 431. */
  readonly maxHeaderBytes: number
  /** 0 is no limit. */
  readonly readTimeoutMs: number
  readonly readHeaderTimeoutMs: number
  readonly idleTimeoutMs: number
  /** How long calls in flight may still take when the door closes. */
  readonly closeTimeoutMs: number
}

/** But for imports no route takes a body; this much is read and forgotten. */
const bodyMaxBytes = 64 * 1024

/** @throws ClusterError `cannot_start` where it cannot listen; nothing is left open then */
export async function openRestDoor(parts: { api: ClusterApi; log: Log }, settings: RestSettings): Promise<Door> {
  const app = createApp(parts.api, settings)
  return opened(new RestDoor(app, parts.log, settings))
}

class RestDoor implements Door {
  readonly #app: FastifyInstance
  readonly #log: Log
  readonly #logRequest: ReturnType<typeof requestLog>
  readonly #settings: RestSettings
  readonly #servers: Server[] = []
  readonly #addresses: string[] = []
  #closing: Promise<void> | undefined

  constructor(app: FastifyInstance, log: Log, settings: RestSettings) {
    this.#app = app
    this.#log = log
    this.#logRequest = requestLog(log)
    this.#settings = settings
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  async start(): Promise<void> {
    await this.#app.ready()
    for (const address of this.#settings.listen) {
      const server = this.#createServer()
      this.#addresses.push(await listen(server, address, 'api.restapi.http_listen_multiaddress'))
      this.#servers.push(server)
      // Out of file descriptors, say: the connections there are go on.
      server.on('error', error => this.#log.error({ err: error }, 'REST door cannot accept a connection'))
    }
    this.#log.info({ addresses: this.#addresses }, 'REST door open')
  }

  #createServer(): Server {
    const { maxHeaderBytes, readHeaderTimeoutMs, readTimeoutMs, idleTimeoutMs } = this.#settings
    const server = createServer(
      {
        maxHeaderSize: maxHeaderBytes + 4_096,
        headersTimeout: readHeaderTimeoutMs,
        requestTimeout: readTimeoutMs,
        keepAliveTimeout: idleTimeoutMs
      },
      (request, response) => {
        this.#logRequest(request, response)
        // A connection that becomes idle while the door closes would hold it open until its timeout.
        response.once('close', () => {
          if (this.#closing) setImmediate(() => server.closeIdleConnections())
        })
        this.#app.routing(request, response)
      }
    )
    server.on('clientError', refuseBrokenRequest)
    return server
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const deadline = setTimeout(() => {
      for (const server of this.#servers) server.closeAllConnections()
    }, this.#settings.closeTimeoutMs)
    await Promise.all(this.#servers.map(server => new Promise(resolve => server.close(resolve))))
    clearTimeout(deadline)
    await this.#app.close()
  }
}

function createApp(api: ClusterApi, settings: RestSettings): FastifyInstance {
  const app = fastify({
    bodyLimit: bodyMaxBytes,
    exposeHeadRoutes: false,
    // CIDs may be longer than the 100 characters that the router allows: identity hashes carry their content.
    routerOptions: { maxParamLength: settings.maxHeaderBytes + 4_096 },
    frameworkErrors: (error, _request, reply) => {
      const fault = new ClusterError({ code: 'invalid' }, `the path cannot be read: ${error.message}`)
      sendError(reply as FastifyReply, fault)
    }
  })
  // The body of a request is nobody's business, whatever its type: Go clients send none, curl and browsers may send an empty one.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined))
  const refusal = basicAuth(settings.basicAuth)
  app.addHook('onRequest', (request, reply, done) => {
    if (!passes(request, reply, { settings, refusal })) return
    for (const [name, values] of Object.entries(settings.headers)) reply.raw.setHeader(name, [...values])
    done()
  })
  app.setErrorHandler((error, _request, reply) => sendError(reply, error))
  app.setNotFoundHandler((_request, reply) => sendJson(reply, 404, errorToJson(404, 'not found')))
  addRoutes(app, { api, nowMs: () => Date.now() })
  return app
}

/** Authentication, then cross-origin, then the trailing slash, as in the Go system. @returns whether a route may answer */
function passes(
  { raw }: FastifyRequest,
  reply: FastifyReply,
  { settings, refusal }: { settings: RestSettings; refusal: ReturnType<typeof basicAuth> }
): boolean {
  const [path = '/', ...query] = (raw.url ?? '/').split('?')
  const isOpen = raw.method === 'OPTIONS' || (raw.method === 'GET' && path === '/health')
  const refused = isOpen ? undefined : refusal(raw.headers.authorization)
  if (refused) {
    reply.raw.setHeader('WWW-Authenticate', challenge)
    sendJson(reply, 401, errorToJson(401, refused.message))
    return false
  }
  if (allowOrigin(raw, reply.raw, settings.cors)) {
    reply.hijack()
    reply.raw.writeHead(204).end()
    return false
  }
  // A path that begins with two slashes would send the browser to another host.
  if (path.length > 1 && path.endsWith('/') && !path.startsWith('//')) {
    reply.hijack()
    reply.raw.writeHead(307, { Location: [path.slice(0, -1), ...query].join('?') }).end()
    return false
  }
  return true
}

/** Answers what is no HTTP, too large or too slow, where the socket still takes an answer. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout']
        : [400, 'Bad Request']
  const body = `${JSON.stringify(errorToJson(status, reason))}\n`
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close`
  socket.end(`${head}\r\n\r\n${body}`)
}
