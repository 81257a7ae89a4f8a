/** One intercepted call as its command sees it: what was asked, of whom to ask for help, and where the answer goes. */
import type { ClusterApi, WaitLevel } from '../../src/api.ts'
import { isPath, parseTarget, tryCid } from '../../src/codec.ts'
import { ClusterError, isFault, messageOf } from '../../src/errors.ts'
import type { Tasks } from '../../src/lifetime.ts'
import type { Cid, FetchProgress, Pin } from '../../src/types.ts'
import type { CommandAnswer } from './answer.ts'
import type { Call } from './call.ts'
import type { Upstream } from './upstream.ts'

/** How far a pin must be when the call returns: agreed, on the minimum of peers, on all of them. */
export type WaitFor = 'committed' | WaitLevel
export const waitLevels = ['committed', 'min', 'all'] as const satisfies readonly WaitFor[]

export interface Asked {
  readonly api: ClusterApi
  readonly call: Call
  /** Of the path, the query and the body. */
  readonly args: readonly string[]
  readonly answer: CommandAnswer
  readonly kubo: KuboHelp
  readonly waitFor: WaitFor
  /** Whether a pin stays wanted when its client leaves before it is there. */
  readonly keepsTrying: boolean
  /** Aborts when the client is gone or its `timeout` is over. */
  readonly signal: AbortSignal
  /** Owns what must be brought to its end when nobody waits for it any more. */
  readonly tasks: Pick<Tasks, 'run' | 'signal'>
}

/** Kubo, asked on behalf of one client. */
export class KuboHelp {
  readonly #upstream: Upstream
  readonly #headers: readonly string[]

  constructor(upstream: Upstream, authorization: string | undefined) {
    this.#upstream = upstream
    this.#headers = authorization === undefined || upstream.authorization !== null ? [] : ['Authorization', authorization]
  }

  /** @throws ClusterError `kubo_error` with Kubo's words, `kubo_unreachable` */
  json(command: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<unknown> {
    return this.#upstream.json(command, { query: new URLSearchParams(query), headers: this.#headers, signal })
  }

  text(command: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string> {
    return this.#upstream.text(command, { query: new URLSearchParams(query), headers: this.#headers, signal })
  }

  lines(command: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<unknown, void, undefined> {
    return this.#upstream.lines(command, { query: new URLSearchParams(query), headers: this.#headers, signal })
  }
}

/** The CID that an argument names; Kubo resolves paths, and says in its own words what is wrong with them. */
export async function resolve({ kubo, call, signal }: Pick<Asked, 'kubo' | 'call' | 'signal'>, word: string): Promise<Cid> {
  const bare = tryCid(word)
  if (bare !== undefined) return bare
  const target = attempt(() => parseTarget(word))
  if (target !== undefined && !isPath(target)) return target
  const offline: Record<string, string> = call.isOffline ? { offline: 'true' } : {}
  const answer = (await kubo.json('dag/resolve', { arg: word, ...offline }, signal)) as { Cid?: { '/'?: string } } | undefined
  const cid = tryCid(answer?.Cid?.['/'] ?? '')
  if (cid === undefined) throw failure(`invalid path "${word}"`)
  return cid
}

/** The agreed pin, if there is one. */
export async function agreed({ api, signal }: Pick<Asked, 'api' | 'signal'>, cid: Cid): Promise<Pin | undefined> {
  try {
    return await api.allocation(cid, { signal })
  } catch (error) {
    if (isFault(error, 'not_pinned')) return undefined
    throw error
  }
}

/** Waits until enough peers hold the pin; `onProgress` hears how far they are. */
export async function settle(
  { api, waitFor, signal }: Pick<Asked, 'api' | 'waitFor' | 'signal'>,
  cid: Cid,
  onProgress?: (progress: FetchProgress) => void
): Promise<void> {
  if (waitFor === 'committed') return
  for await (const progress of api.follow(cid, { until: waitFor, isBlind: onProgress === undefined, signal })) onProgress?.(progress)
}

/** Words of Kubo's, with its status. */
export function failure(message: string): ClusterError {
  return new ClusterError({ code: 'kubo_error', status: 500, kuboCode: 0 }, message)
}

/** Tools match on Kubo's words, which say where a pin failed. */
export function pinFailure(error: unknown): unknown {
  const message = messageOf(error)
  return isFault(error, 'pin_failed') && !message.startsWith('pin: ') ? failure(`pin: ${message}`) : error
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
