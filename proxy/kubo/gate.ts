/**
 * Kubo's own gate for calls that Kubo does not see: authorization, origin, referer, browsers, the client's version. Kubo is asked, with the
 * client's headers, to run the same command with an option that cannot be read: options are read behind every check and before the command, so
 * a complaint about the option means that the gate is open, and anything else is the refusal to hand on.
 */
import type { Clock } from '../../src/clock.ts'
import { isFault } from '../../src/errors.ts'
import { headerOf, valuesOf } from './head.ts'
import { forKubo, type Ports } from './origins.ts'
import type { Header } from './reply.ts'
import type { Command } from './table.ts'
import type { KuboReply, Upstream } from './upstream.ts'

export interface Admission {
  /** `false`: nobody could be asked, and only what needs no Kubo can be done. */
  readonly isKuboThere: boolean
  /** What to answer instead. */
  readonly refusal: { readonly status: number; readonly headers: readonly Header[]; readonly body: Buffer } | null
  /** Headers that every answer to this client carries: what a browser may do with it. */
  readonly cors: readonly Header[]
}

/** A gate may be changed by restarting Kubo only; this is how long a restart goes unnoticed. */
const keptMs = 5_000
const entriesMax = 1_000
/** Kubo answers at once or not at all. */
const askingMs = 5_000

/** The headers that Kubo's gate looks at, and nothing else of the client. */
const judged = ['Authorization', 'Origin', 'Referer', 'User-Agent'] as const
/** Two identities of the IPFS Companion extension, which Kubo lets in always. */
const companions = new Set(['chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch', 'chrome-extension://hjoieblefckbooibpepigmacodalfndh'])

export class Gate {
  readonly #upstream: Upstream
  readonly #clock: Clock
  readonly #known = new Map<string, { readonly admission: Promise<Admission>; readonly untilMs: number }>()

  constructor({ upstream, clock }: { upstream: Upstream; clock: Clock }) {
    this.#upstream = upstream
    this.#clock = clock
  }

  /** Whether a client with these headers may run `command`. Rejects for nothing that is the client's or Kubo's doing. */
  judge(command: Command, headers: readonly string[], ports: Ports): Promise<Admission> {
    const isOurs = this.#upstream.authorization !== null
    const shown = judged.flatMap(name =>
      name === 'Authorization' && isOurs ? [] : valuesOf(headers, name.toLowerCase()).flatMap(value => [name, value])
    )
    const key = JSON.stringify([command, ports.door, shown])
    const known = this.#known.get(key)
    const now = this.#clock.monotonicMs()
    if (known && known.untilMs > now) return known.admission
    if (this.#known.size >= entriesMax) this.#known.clear()
    const admission = this.#ask(command, shown, ports).then(answer => {
      // A dead Kubo may be back at any time.
      if (!answer.isKuboThere) this.#known.delete(key)
      return answer
    })
    this.#known.set(key, { admission, untilMs: now + keptMs })
    return admission
  }

  async #ask(command: Command, shown: readonly string[], ports: Ports): Promise<Admission> {
    try {
      const reply = await this.#upstream.post(command, {
        query: new URLSearchParams({ 'stream-channels': 'gate' }),
        headers: shown.map((text, at) => (shown[at - 1] === 'Origin' || shown[at - 1] === 'Referer' ? forKubo(text, ports) : text)),
        signal: AbortSignal.timeout(askingMs)
      })
      const headers = clientHeaders(reply.headers, valuesOf(shown, 'origin'), ports)
      const refusal = isOpen(reply) ? null : { status: reply.status, headers, body: reply.body }
      return { isKuboThere: true, refusal, cors: headers.filter(([name]) => isCors(name)) }
    } catch (error) {
      if (!isFault(error, 'kubo_unreachable') && !(error instanceof DOMException)) throw error
      return { isKuboThere: false, refusal: isForeign(shown, ports) ? forbidden : null, cors: [['Vary', 'Origin']] }
    }
  }
}

/** The one other refusal with this status comes before the gate, and says which version of the client it wants. */
function isOpen({ status, body }: KuboReply): boolean {
  return status === 400 && !body.toString('utf8').startsWith('api version mismatch')
}

function isCors(name: string): boolean {
  return /^(vary|access-control-allow-(origin|credentials))$/i.test(name)
}

/** Of Kubo's headers what is not about the connection, and with the client's own origins. */
function clientHeaders(raw: readonly string[], origins: readonly string[], ports: Ports): Header[] {
  const headers: Header[] = []
  for (let at = 0; at < raw.length; at += 2) {
    const [name = '', value = ''] = raw.slice(at, at + 2)
    if (/^(connection|content-length|date|keep-alive|transfer-encoding|trailer)$/i.test(name)) continue
    const own = /^access-control-allow-origin$/i.test(name) ? origins.find(origin => forKubo(origin, ports) === value) : undefined
    headers.push([name, own ?? value])
  }
  return headers
}

const forbidden: Admission['refusal'] = {
  status: 403,
  headers: [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Vary', 'Origin'],
    ['X-Content-Type-Options', 'nosniff']
  ],
  body: Buffer.from('403 - Forbidden\n')
}

/** Kubo's rules as they are without a configuration, for the time in which it cannot be asked: better to refuse a page than to pin for any. */
function isForeign(shown: readonly string[], { door, kubo }: Ports): boolean {
  const origin = headerOf(shown, 'origin')
  const referer = headerOf(shown, 'referer')
  const agent = headerOf(shown, 'user-agent') ?? ''
  const isTrusted = (text: string) => {
    const [, port] = /^https?:\/\/(?:127\.0\.0\.1|\[::1\]|localhost):(\d+)$/.exec(text) ?? []
    return (port !== undefined && (Number(port) === door || Number(port) === kubo)) || companions.has(text)
  }
  const refererOrigin = referer === undefined ? undefined : (/^[^:]+:\/\/[^/?#]*/.exec(referer)?.[0] ?? referer)
  if (origin !== undefined && !isTrusted(origin)) return true
  if (refererOrigin !== undefined && !isTrusted(refererOrigin)) return true
  return origin === undefined && referer === undefined && agent.startsWith('Mozilla') && !agent.includes('Electron')
}
