/**
 * One call to Kubo's RPC, straight on the client's dispatcher: no streams and no composite signals, which cost more than all the rest of a pin. An
 * answer is taken as it comes, so this is for answers that are small or read line by line; a long list wants a stream that can be held back.
 */
import type { Agent, Dispatcher } from 'undici'
import type { Abortable } from '../../src/lifetime.ts'
import { LineSplitter } from './lines.ts'

export interface KuboCall extends Abortable {
  readonly origin: string
  readonly headers: Readonly<Record<string, string>>
  /** Behind `/api/v0/`, with its query. */
  readonly path: string
  /** Called for every line of an answer with status 200; what it throws ends the call. @returns whether the line shows that something goes on */
  readonly onLine?: (line: unknown) => boolean
  /** Given up after so long without a sign that something goes on; starts with the call. */
  readonly idleMs?: number
}

export interface KuboAnswer {
  readonly status: number
  /** The whole answer; empty where it was read line by line. */
  readonly text: string
  /** What Kubo says in the trailer when a command fails in the middle of its answer; empty where it did not. */
  readonly lateError: string
}

/** The reason of a call that stood still. */
export class StoodStill extends Error {}

/** Longer answers are not what such calls are for. */
const textMax = 16 << 20

/** @throws the signal's reason, `StoodStill`, SyntaxError for a line that is no JSON, or the client's error */
export function callKubo(agent: Agent, { origin, headers, path, signal, onLine, idleMs }: KuboCall): Promise<KuboAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<KuboAnswer>()
  if (signal?.aborted) return Promise.reject(signal.reason)
  let controller: Dispatcher.DispatchController | undefined
  let status = 0
  let text = ''
  const lines = new LineSplitter()
  const decoder = new TextDecoder()
  const end = (settle: () => void) => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
    settle()
  }
  const give = (reason: unknown) => {
    end(() => reject(reason))
    controller?.abort(reason instanceof Error ? reason : new Error('given up'))
  }
  const abort = () => give(signal?.reason)
  const timer = idleMs === undefined ? undefined : setTimeout(() => give(new StoodStill('nothing came for too long')), idleMs)
  timer?.unref()
  signal?.addEventListener('abort', abort, { once: true })
  const read = (line: unknown) => {
    if (onLine?.(line)) timer?.refresh()
  }
  const isByLine = () => onLine !== undefined && status === 200
  agent.dispatch(
    { origin, path: `/api/v0/${path}`, method: 'POST', headers },
    {
      onRequestStart(started) {
        controller = started
        // Given up while it waited for a connection.
        if (signal?.aborted) started.abort(signal.reason)
      },
      onResponseStart(_controller, statusCode) {
        status = statusCode
      },
      onResponseData(_controller, chunk) {
        try {
          const piece = decoder.decode(chunk, { stream: true })
          if (isByLine()) for (const line of lines.push(piece)) read(line)
          else if ((text += piece).length > textMax) throw new SyntaxError('an answer without an end')
        } catch (error) {
          give(error)
        }
      },
      onResponseEnd(_controller, trailers) {
        try {
          if (isByLine()) for (const line of lines.end()) read(line)
          end(() => resolve({ status, text, lateError: String(trailers?.['x-stream-error'] ?? '') }))
        } catch (error) {
          give(error)
        }
      },
      onResponseError(_controller, error) {
        end(() => reject(error))
      }
    }
  )
  return promise
}
