/** The routes of the REST API: each reads its options, makes one call and shapes the answer. They hold no policy. */
import type { ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { ClusterApi, Consistency, WaitLevel, Which } from '../../src/api.ts'
import { parseCid, parsePeerId, parseTarget } from '../../src/codec.ts'
import { ClusterError } from '../../src/errors.ts'
import { pinsOf } from '../../src/lines.ts'
import {
  collectedToJson,
  importProgressToJson,
  overviewToJson,
  peerInfoToJson,
  pinStatusToJson,
  pinToJson,
  progressToJson,
  repositorySizeToJson,
  versionToJson
} from '../../src/wire.ts'
import { indexHeader } from '../../src/wire-fault.ts'
import {
  first,
  type Query,
  readCids,
  readConsistency,
  readImportOptions,
  readLocal,
  readPinFilter,
  readPinOptions,
  readStatusFilter
} from '../../src/wire-options.ts'
import { sendEmpty, sendJson, sendLines } from './reply.ts'

type Route = { Params: Readonly<Record<string, string>>; Querystring: Query }
interface Call {
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  /** How fresh a read has to be. */
  readonly consistency: Consistency
  /** As it comes; already read, and empty, where the route takes none. */
  readonly body: AsyncIterable<Uint8Array>
  /** Aborts when the client leaves before it has its whole answer. */
  readonly signal: AbortSignal
}
type Handler = (call: Call, reply: FastifyReply) => Promise<void> | void
type Method = 'GET' | 'POST' | 'DELETE'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** @param nowMs Unix milliseconds, for pins that expire in a while */
export function addRoutes(app: FastifyInstance, { api, nowMs }: { api: ClusterApi; nowMs: () => number }): void {
  const at = (url: string, handlers: Partial<Record<Method, Handler>>) => addPath(app, url, handlers)

  at('/id', {
    GET: async ({ signal }, reply) => sendJson(reply, 200, peerInfoToJson(await api.id({ signal })))
  })
  at('/version', {
    GET: async ({ signal }, reply) => sendJson(reply, 200, versionToJson(await api.version({ signal })))
  })
  at('/peers', {
    GET: ({ signal }, reply) => sendLines(reply, api.peers({ signal }), peerInfoToJson)
  })
  at('/peers/self', {
    DELETE: async ({ query, signal }, reply) => {
      await api.leave({ force: first(query, 'force') === 'true', signal })
      sendEmpty(reply)
    }
  })
  at('/peers/:peer', {
    DELETE: async ({ params, query, signal }, reply) => {
      await api.removePeer(parsePeerId(params.peer ?? ''), { force: first(query, 'force') === 'true', signal })
      sendEmpty(reply)
    }
  })
  at('/allocations', {
    GET: ({ query, consistency, signal }, reply) =>
      sendLines(reply, api.allocations({ ...readPinFilter(query), consistency, signal }), pinToJson)
  })
  at('/allocations/:cid', {
    GET: async ({ params, consistency, signal }, reply) =>
      sendJson(reply, 200, pinToJson(await api.allocation(parseCid(params.cid ?? ''), { consistency, signal })))
  })
  at('/health', {
    GET: (_call, reply) => sendEmpty(reply)
  })
  at('/health/overview', {
    GET: async ({ signal }, reply) => sendJson(reply, 200, overviewToJson(await api.overview({ signal })))
  })

  at('/ipfs/repositories', {
    GET: ({ query, signal }, reply) => {
      const options = { which: which(query), sizeOnly: first(query, 'size-only') === 'true', limitMs: number(query, 'limit-ms') }
      return sendLines(reply, api.repositories({ ...options, signal }), repositorySizeToJson)
    }
  })
  at('/ipfs/garbage', {
    POST: ({ query, signal }, reply) => sendLines(reply, api.collectGarbage({ which: which(query), signal }), collectedToJson)
  })

  at('/state/export', {
    GET: async ({ consistency, signal }, reply) => {
      const { index, pins } = await api.exportState({ consistency, signal })
      reply.raw.setHeader(indexHeader, index)
      await sendLines(reply, pins, pin => pinToJson({ ...pin, version: 0 }))
    }
  })
  // In a scope of its own: bodies of the other routes are read and forgotten.
  app.register(async scope => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _body, done) => done(null))
    addPath(scope, '/state/import', {
      POST: ({ query, body, signal }, reply) =>
        sendLines(reply, api.importPins(pinsOf(body), { ...readImportOptions(query), signal }), importProgressToJson)
    })
  })

  at('/pins', {
    GET: ({ query, consistency, signal }, reply) => {
      const cids = readCids(query)
      const filter = cids === undefined ? readStatusFilter(query) : undefined
      return sendLines(reply, api.statuses({ cids, filter, local: readLocal(query), consistency, signal }), pinStatusToJson)
    }
  })
  const pin = async (target: string, { query, signal }: Call, reply: FastifyReply) => {
    const options = readPinOptions(query, nowMs())
    sendJson(reply, 200, pinToJson(await api.pin(parseTarget(target), { ...options, signal })))
  }
  const unpin = async (target: string, { query, signal }: Call, reply: FastifyReply) => {
    sendJson(reply, 200, pinToJson(await api.unpin(parseTarget(target), { version: number(query, 'version'), signal })))
  }
  at('/pins/:cid', {
    GET: async ({ params, query, consistency, signal }, reply) => {
      const status = await api.status(parseCid(params.cid ?? ''), { local: readLocal(query), consistency, signal })
      sendJson(reply, 200, pinStatusToJson(status))
    },
    POST: (call, reply) => pin(parseCid(call.params.cid ?? ''), call, reply),
    DELETE: (call, reply) => unpin(parseCid(call.params.cid ?? ''), call, reply)
  })
  for (const namespace of ['ipfs', 'ipns', 'ipld']) {
    at(`/pins/${namespace}/*`, {
      POST: (call, reply) => pin(`/${namespace}/${call.params['*']}`, call, reply),
      DELETE: (call, reply) => unpin(`/${namespace}/${call.params['*']}`, call, reply)
    })
  }
  at('/pins/:cid/progress', {
    GET: ({ params, query, signal }, reply) =>
      sendLines(reply, api.follow(parseCid(params.cid ?? ''), { until: waitLevel(query), signal }), progressToJson)
  })
}

/** Registers the path for every method: those without a handler are refused by name. */
function addPath(app: FastifyInstance, url: string, handlers: Partial<Record<Method, Handler>>): void {
  const allowed = Object.keys(handlers)
  for (const [method, handler] of Object.entries(handlers)) {
    app.route<Route>({
      method,
      url,
      async handler({ params, query, headers, raw }, reply) {
        const consistency = method === 'GET' ? readConsistency(query, headers['x-flotilla-consistency']) : 'local'
        await handler({ params, query, consistency, body: raw, signal: goneSignal(reply.raw) }, reply)
      }
    })
  }
  app.route({
    method: methods.filter(method => !allowed.includes(method)),
    url,
    handler(request, reply) {
      reply.raw.setHeader('Allow', allowed.join(', '))
      sendJson(reply, 405, { code: 405, message: `${request.method} is not possible here: only ${allowed.join(', ')}` })
    }
  })
}

function waitLevel(query: Query): WaitLevel {
  const until = first(query, 'until')
  if (until !== '' && until !== 'min' && until !== 'all') {
    throw new ClusterError({ code: 'invalid' }, 'parameter until invalid: expected min or all')
  }
  return until === 'all' ? 'all' : 'min'
}

function which(query: Query): Which {
  const words = first(query, 'which')
  if (words === '') return 'all'
  if (words !== 'all' && words !== 'local' && words !== 'others') {
    throw new ClusterError({ code: 'invalid' }, 'parameter which invalid: expected all, local or others')
  }
  return words
}

function number(query: Query, name: string): number | undefined {
  const text = first(query, name)
  if (text === '') return undefined
  if (!/^\d{1,15}$/.test(text)) throw new ClusterError({ code: 'invalid' }, `parameter ${name} invalid: expected a number`)
  return Number(text)
}

/** The framework's own signal listens to the request, which tells nothing any more once it has been read. */
function goneSignal(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new Error('the client is gone'))
  })
  return gone.signal
}
