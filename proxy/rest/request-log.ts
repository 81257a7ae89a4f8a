/** One log line a request, and its id on every other line and in the answer's `X-Request-Id`. */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { pinoHttp } from 'pino-http'
import type { Log } from '../../src/log.ts'

/**
 * `debug` when all is well, as a busy door would otherwise write thousands of lines a second; `error` for what is a bug of ours.
 * Afterwards `request.log` is the log of the request, and `request.id` its id: the client's own `X-Request-Id` where it sent a sane one.
 */
export function requestLog(log: Log): (request: IncomingMessage, response: ServerResponse) => void {
  const prefix = randomBytes(4).toString('hex')
  let count = 0
  return pinoHttp({
    // The rooms know only the part of pino in `Log`; what is handed in is a pino logger.
    logger: log as Logger,
    quietReqLogger: true,
    customAttributeKeys: { reqId: 'requestId' },
    genReqId(request, response) {
      const given = request.headers['x-request-id']
      const id = typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : `${prefix}-${(++count).toString(36)}`
      response.setHeader('X-Request-Id', id)
      return id
    },
    customLogLevel: (_request, response, error) => (error || response.statusCode === 500 ? 'error' : 'debug'),
    // No headers: they may hold a password.
    serializers: { req: ({ method, url }) => ({ method, url }), res: ({ statusCode }) => ({ statusCode }) }
  })
}
