/**
 * An intercepted call passes the same gate as at Kubo: Kubo is asked itself, with the caller's Origin, Referer, User-Agent and Authorization and an
 * option that cannot be read, which comes behind every gate and before the command. Without Kubo its default rules hold.
 */
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../src/clock.ts'
import type { Origins } from './origins.ts'
import type { Call } from './request.ts'
import type { Upstream } from './upstream.ts'

export interface Verdict {
  /** `null`: open. */
  readonly refusal: { readonly status: number; readonly contentType: string; readonly body: Buffer } | null
  /** To copy into the answer. */
  readonly headers: Readonly<Record<string, string>>
  /** Kubo answered. */
  readonly isKuboThere: boolean
}

const asked = ['origin', 'referer', 'user-agent', 'authorization']
const copied = ['access-control-allow-origin', 'access-control-allow-credentials', 'vary']
const rememberMs = 5_000
const verdictsMax = 1_000
const probeMs = 3_000

export class Gate {
  readonly #parts: { readonly upstream: Upstream; readonly origins: Origins; readonly clock: Clock }
  readonly #verdicts = new Map<string, { readonly verdict: Promise<Verdict>; readonly untilMs: number }>()

  constructor(parts: { upstream: Upstream; origins: Origins; clock: Clock }) {
    this.#parts = parts
  }

  judge(client: IncomingMessage, { command }: Call): Promise<Verdict> {
    const raw = this.#parts.origins.toKubo(client.rawHeaders)
    const headers = raw.flatMap((name, position) =>
      position % 2 === 0 && asked.includes(name.toLowerCase()) ? [name, raw[position + 1] ?? ''] : []
    )
    const name = [command, ...headers].join('\n')
    const nowMs = this.#parts.clock.monotonicMs()
    const known = this.#verdicts.get(name)
    if (known && known.untilMs > nowMs) return known.verdict
    if (this.#verdicts.size >= verdictsMax) this.#verdicts.clear()
    const verdict = this.#ask(command, headers, client)
    this.#verdicts.set(name, { verdict, untilMs: nowMs + rememberMs })
    void verdict.then(({ isKuboThere }) => isKuboThere || this.#verdicts.delete(name))
    return verdict
  }

  async #ask(command: string, headers: readonly string[], client: IncomingMessage): Promise<Verdict> {
    try {
      const {
        status,
        headers: found,
        body
      } = await this.#parts.upstream.call(`/api/v0/${command}?stream-channels=gate`, { headers, signal: AbortSignal.timeout(probeMs) })
      const raw = Object.entries(found).flatMap(([name, value]) =>
        copied.includes(name) && typeof value === 'string' ? [name, value] : []
      )
      const mapped = this.#parts.origins.toClient(raw)
      const kept = Object.fromEntries(mapped.flatMap((name, position) => (position % 2 === 0 ? [[name, mapped[position + 1] ?? '']] : [])))
      const refusal = status === 400 ? null : { status, contentType: found['content-type'] ?? 'text/plain; charset=utf-8', body }
      return { refusal, headers: kept, isKuboThere: true }
    } catch {
      return { refusal: isSuspicious(client) ? forbidden : null, headers: {}, isKuboThere: false }
    }
  }
}

const forbidden = { status: 403, contentType: 'text/plain; charset=utf-8', body: Buffer.from('403 - Forbidden\n') }

/** Kubo's default: no foreign page, and no browser that hides where it comes from. */
function isSuspicious({ headers: { origin, referer, 'user-agent': agent = '' } }: IncomingMessage): boolean {
  const isLocal = (text: string) => /^https?:\/\/(127\.0\.0\.1|\[::1\]|localhost)(:|\/|$)/i.test(text)
  if (origin !== undefined || referer !== undefined) return !isLocal(origin ?? referer ?? '')
  return agent.startsWith('Mozilla') && !agent.includes('Electron')
}
