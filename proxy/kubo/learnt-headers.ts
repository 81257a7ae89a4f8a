/**
 * The headers Kubo puts on every answer of a command: its name and version, and what its owner has configured (`API.HTTPHeaders`). Answers that
 * do not come from Kubo carry the same, learnt from an answer of `version`.
 */
import type { Clock } from '../../src/clock.ts'
import { messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { Header } from './reply.ts'
import type { Upstream } from './upstream.ts'

const keptMs = 60_000
const askingMs = 5_000
/** A failed look is not repeated for every call. */
const failedMs = 1_000

/** What `version` says of its own answer or of this client only. */
const own =
  /^(access-control-allow-(credentials|origin)|connection|content-length|content-type|date|keep-alive|trailer|transfer-encoding|vary|x-(chunked|stream)-output)$/i

const exposed = 'X-Stream-Output, X-Chunked-Output, X-Content-Length'
const unlearnt: readonly Header[] = [
  ['Access-Control-Allow-Headers', exposed],
  ['Access-Control-Expose-Headers', exposed]
]

export class LearntHeaders {
  readonly #parts: { readonly upstream: Upstream; readonly clock: Clock; readonly log: Log }
  #headers = unlearnt
  #untilMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | null = null

  constructor(parts: { upstream: Upstream; clock: Clock; log: Log }) {
    this.#parts = parts
  }

  /**
   * The headers, as last learnt. Waits for the first look only; later ones happen beside the calls.
   * @param authorization of the client: Kubo may answer nobody else
   */
  async get(authorization: string | undefined): Promise<readonly Header[]> {
    if (this.#parts.clock.monotonicMs() >= this.#untilMs) {
      this.#asking ??= this.#ask(authorization).finally(() => {
        this.#asking = null
      })
      if (this.#headers === unlearnt) await this.#asking
    }
    return this.#headers
  }

  /** Never rejects: an answer without these headers is better than none. */
  async #ask(authorization: string | undefined): Promise<void> {
    const { upstream, clock, log } = this.#parts
    try {
      const { status, headers } = await upstream.post('version', {
        headers: authorization === undefined || upstream.authorization !== null ? [] : ['Authorization', authorization],
        signal: AbortSignal.timeout(askingMs)
      })
      this.#untilMs = clock.monotonicMs() + (status === 200 ? keptMs : failedMs)
      if (status !== 200) return
      const learnt: Header[] = []
      for (let at = 0; at < headers.length; at += 2) {
        const [name = '', value = ''] = headers.slice(at, at + 2)
        if (!own.test(name)) learnt.push([name, value])
      }
      this.#headers = learnt
    } catch (error) {
      this.#untilMs = clock.monotonicMs() + failedMs
      log.debug({ reason: messageOf(error) }, 'headers of kubo not learnt')
    }
  }
}
