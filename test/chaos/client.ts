/** What one client of one peer asks over REST, and what its answers mean: it happened, it did not, or nobody knows. */
import { Readable } from 'node:stream'
import { Agent } from 'undici'
import { exportLine } from '../../src/lines.ts'
import type { Cid } from '../../src/types.ts'
import { faultFromHeader, faultHeader } from '../../src/wire-fault.ts'
import { inline } from '../support/cids.ts'
import { examplePin } from '../support/pins.ts'
import type { SeenPin } from './sightings.ts'

export type Answer =
  | { readonly type: 'done'; readonly pin: SeenPin }
  | { readonly type: 'absent' }
  /** It certainly did not happen. */
  | { readonly type: 'refused'; readonly code: string }
  | { readonly type: 'unknown'; readonly code: string }

/** With these a peer says that nothing was or will be agreed. */
const refusals = new Set(['no_leader', 'not_ready', 'overloaded', 'conflict', 'not_enough_peers', 'invalid', 'refused'])
/** So many requests may be under way: a peer that is frozen answers none. */
const connections = 256

export class Client implements AsyncDisposable {
  readonly #url: string
  readonly #agent = new Agent({ connections, connect: { timeout: 2_000 } })

  constructor(url: string) {
    this.#url = url
  }

  pin(cid: Cid, name: string, signal: AbortSignal): Promise<Answer> {
    return this.#ask('POST', `/pins/${cid}?name=${encodeURIComponent(name)}`, signal)
  }

  unpin(cid: Cid, signal: AbortSignal): Promise<Answer> {
    return this.#ask('DELETE', `/pins/${cid}`, signal)
  }

  get(cid: Cid, consistency: 'local' | 'linearizable', signal: AbortSignal): Promise<Answer> {
    return this.#ask('GET', `/allocations/${cid}${consistency === 'local' ? '' : `?consistency=${consistency}`}`, signal)
  }

  /** Many pins at once, of four KiB each, under names that nobody else has. @throws Error where they are not all there */
  async stock(count: number, signal: AbortSignal): Promise<void> {
    const metadata = { filler: 'x'.repeat(4 << 10) }
    const lines = function* () {
      for (let number = 0; number < count; number++)
        yield exportLine({ ...examplePin, cid: inline(`stock ${number}`), name: `stock ${number}`, metadata })
    }
    const body = Readable.from(lines())
    const answer = await this.#agent.request({ origin: this.#url, path: '/state/import', method: 'POST', body, signal })
    const text = await answer.body.text()
    const list = await this.list(signal)
    if (list.size < count) throw new Error(`of ${count} pins ${list.size} are there: ${text.slice(-200)}`)
  }

  /** Everything the peer has agreed on, as it has it on disk. @throws Error where it does not answer */
  async list(signal: AbortSignal): Promise<Map<string, SeenPin>> {
    const { statusCode, body } = await this.#agent.request({ origin: this.#url, path: '/allocations', method: 'GET', signal })
    const text = await body.text()
    if (statusCode !== 200 && statusCode !== 204) throw new Error(`${this.#url} answers ${statusCode}: ${text}`)
    const pins = text.split('\n').filter(line => line !== '')
    return new Map(pins.map(line => pinOf(line)))
  }

  /** The id of the peer that this one follows. @throws Error where it does not answer */
  async leader(signal: AbortSignal): Promise<string | null> {
    return (await this.#overview(signal)).leader || null
  }

  /** How many there are, as this peer has it. @throws Error where it does not answer */
  async voters(signal: AbortSignal): Promise<number> {
    return (await this.#overview(signal)).voters ?? 0
  }

  async #overview(signal: AbortSignal): Promise<{ leader?: string | null; voters?: number }> {
    const { body } = await this.#agent.request({ origin: this.#url, path: '/health/overview', method: 'GET', signal })
    return (await body.json()) as { leader?: string | null; voters?: number }
  }

  /** Takes a member out, whatever is lost by that; `self` is the one that is asked. @returns whether it says that it is done */
  async remove(peer: string, signal: AbortSignal): Promise<boolean> {
    try {
      const path = `/peers/${peer}?force=true`
      const { statusCode, body } = await this.#agent.request({ origin: this.#url, path, method: 'DELETE', signal })
      await body.dump()
      return statusCode < 300
    } catch {
      return false
    }
  }

  /** Whether a read can be asked to be linearizable: a peer that looks at the parameter refuses a value that makes no sense. */
  async knowsConsistency(cid: Cid, signal: AbortSignal): Promise<boolean> {
    const path = `/allocations/${cid}?consistency=nonsense`
    const { statusCode, body } = await this.#agent.request({ origin: this.#url, path, method: 'GET', signal })
    await body.dump()
    return statusCode === 400
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }

  async #ask(method: 'GET' | 'POST' | 'DELETE', path: string, signal: AbortSignal): Promise<Answer> {
    try {
      const { statusCode, headers, body } = await this.#agent.request({ origin: this.#url, path, method, signal })
      const text = await body.text()
      if (statusCode === 200) return { type: 'done', pin: pinOf(text)[1] }
      const code = faultFromHeader(String(headers[faultHeader] ?? ''))?.code ?? `status ${statusCode}`
      if (code === 'not_pinned') return { type: 'absent' }
      return { type: refusals.has(code) ? 'refused' : 'unknown', code }
    } catch (error) {
      // A time that is over has a number for a code.
      const code = (error as NodeJS.ErrnoException).code
      const shown = typeof code === 'string' ? code : 'no answer in time'
      // Nobody took the connection, so nobody read the request.
      const isUnread = code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT'
      return { type: isUnread ? 'refused' : 'unknown', code: shown }
    }
  }
}

function pinOf(line: string): [cid: string, pin: SeenPin] {
  const { cid, name, version } = JSON.parse(line) as { cid: string; name: string; version: number }
  return [cid, { name, version }]
}
