/**
 * This peer's Kubo, by its RPC. Failures in the middle of an answer travel in a trailer, and are read here; a call that makes progress has no
 * time limit, one that stands still has.
 *
 * @see https://docs.ipfs.tech/reference/kubo/rpc/
 */
import type { Dispatcher } from 'undici'
import { z } from 'zod'
import { kuboAddress } from '../../src/address.ts'
import { parseCid } from '../../src/codec.ts'
import { ClusterError, isFault, messageOf } from '../../src/errors.ts'
import { Agent } from '../../src/http-agent.ts'
import { type Abortable, deadline } from '../../src/lifetime.ts'
import type { Cid, Collected, FetchProgress, IpfsPath, KuboIdentity, Multiaddr, PinMode, RepositorySize } from '../../src/types.ts'
import { callKubo, type KuboCall, StoodStill } from './kubo-call.ts'
import { lines } from './lines.ts'

export interface KuboSettings {
  /** Kubo's API: a multiaddress or a URL. */
  readonly api: string
  /** The header that a Kubo with `API.Authorizations` wants to see. */
  readonly authorization?: string | null
  /** Limit of calls that answer at once. */
  readonly requestTimeoutMs: number
  /** A pin that fetches nothing for so long is given up; it is tried again later. */
  readonly pinTimeoutMs: number
  readonly unpinTimeoutMs: number
}

export interface KuboPin {
  readonly cid: Cid
  readonly mode: PinMode
}

export interface KuboSpace {
  readonly repoBytes: number
  readonly maxBytes: number
}

const failure = z.object({ Message: z.string(), Code: z.number().optional() })
const added = z.object({ Pins: z.array(z.string()).nullish(), Progress: z.number().nullish(), Bytes: z.number().nullish() })
const together = z.object({ Pins: z.array(z.string()) })
const listed = z.object({ Cid: z.string().transform(parseCid) })
const space = z.object({ RepoSize: z.number(), StorageMax: z.number() })
const collected = z.object({ Key: z.object({ '/': z.string().transform(parseCid) }).nullish(), Error: z.string().nullish() })
const resolved = z.object({ Path: z.string() })
const anything = z.unknown()
const identity = z.object({ ID: z.string(), Addresses: z.array(z.string()).nullish() })

export class Kubo implements AsyncDisposable {
  readonly #settings: KuboSettings
  readonly #agent: Agent
  readonly #origin: string
  readonly #headers: Readonly<Record<string, string>>

  constructor(settings: KuboSettings) {
    this.#settings = settings
    const { origin, socketPath } = kuboAddress(settings.api)
    this.#origin = origin
    this.#headers = { 'content-length': '0', ...(settings.authorization && { authorization: settings.authorization }) }
    this.#agent = new Agent({
      connections: 128,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: 5_000, ...(socketPath ? { socketPath } : {}) }
    })
  }

  /** Pins in Kubo; returns when everything is there. */
  async pin(
    { cid, mode, name }: KuboPin & { name: string },
    { signal, onProgress }: Abortable & { onProgress?: (progress: FetchProgress) => void } = {}
  ): Promise<void> {
    const named = name === '' ? '' : `&name=${encodeURIComponent(cut(name, nameBytesMax))}`
    const path = `pin/add?arg=${cid}&recursive=${mode === 'recursive'}&progress=true${named}`
    let isPinned = false
    let nodes = 0
    let bytes: number | null = null
    const onLine = (line: unknown) => {
      const { Pins, Progress, Bytes } = added.parse(line)
      if (Pins) {
        isPinned = true
        return true
      }
      // Kubo says so twice a second, also while nothing comes.
      if ((Progress ?? 0) === nodes && (Bytes ?? null) === bytes) return false
      nodes = Progress ?? 0
      bytes = Bytes ?? null
      onProgress?.({ nodes, bytes })
      return true
    }
    try {
      await this.#call({ path, onLine, idleMs: this.#settings.pinTimeoutMs, signal })
    } catch (error) {
      if (!(error instanceof StoodStill)) throw error
      throw new ClusterError(
        { code: 'timeout' },
        `no block arrived for ${Math.round(this.#settings.pinTimeoutMs / 1_000)} s: no reachable node seems to have the content`
      )
    }
    if (!isPinned)
      throw new ClusterError({ code: 'kubo_error', status: 200, kuboCode: 0 }, 'Kubo ended the pin without saying that it is pinned')
  }

  /** Pins several recursively, one after the other; for such as are there already, since it shows no progress. Those before one that fails are pinned. */
  async pinTogether(cids: readonly Cid[], { signal }: Abortable = {}): Promise<void> {
    await this.#unary(`pin/add?${cids.map(cid => `arg=${cid}`).join('&')}`, together, signal)
  }

  /** Moves a recursive pin, so that only what differs is fetched; the old pin stays. It shows no progress, so its time is limited as a whole. */
  async update(from: Cid, to: Cid, { signal }: Abortable = {}): Promise<void> {
    await this.#unary(`pin/update?arg=${from}&arg=${to}&unpin=false`, anything, deadline(this.#settings.pinTimeoutMs, signal))
  }

  /** Unpins in Kubo; a CID that is not pinned is a success. */
  async unpin(cid: Cid, { signal }: Abortable = {}): Promise<void> {
    try {
      await this.#unary(`pin/rm?arg=${cid}`, anything, deadline(this.#settings.unpinTimeoutMs, signal))
    } catch (error) {
      if (!isNotPinned(error)) throw error
    }
  }

  /** Everything pinned there with one mode, as it comes, in no order. */
  async *pins(mode: PinMode, { signal }: Abortable = {}): AsyncIterable<Cid> {
    const idle = new Idle(this.#settings.requestTimeoutMs, signal)
    try {
      for await (const { Cid } of this.#stream(`pin/ls?type=${mode}&stream=true`, listed, idle.signal)) {
        idle.touch()
        yield Cid
        // The reader may have taken his time.
        idle.touch()
      }
    } catch (error) {
      throw idle.isOver ? this.#silence(this.#settings.requestTimeoutMs) : error
    } finally {
      idle.stop()
    }
  }

  /** What a path names now. */
  async resolve(path: IpfsPath, { signal }: Abortable = {}): Promise<Cid> {
    const { Path } = await this.#unary(`resolve?arg=${encodeURIComponent(path)}`, resolved, this.#limit(signal))
    return parseCid(Path.split('/')[2] ?? '')
  }

  /** @throws ClusterError `kubo_unreachable`, `kubo_error` */
  async id({ signal }: Abortable = {}): Promise<KuboIdentity> {
    const { ID, Addresses } = await this.#unary('id', identity, deadline(5_000, signal))
    return { id: ID, addresses: Addresses ?? [], error: '' }
  }

  async space({ signal }: Abortable = {}): Promise<KuboSpace> {
    // "No limit" is 2^64 - 1, which a number cannot hold exactly; nobody minds.
    const { RepoSize, StorageMax } = await this.#unary('repo/stat?size-only=true', space, this.#limit(signal))
    return { repoBytes: RepoSize, maxBytes: StorageMax }
  }

  /** @param options.isSizeOnly objects are not counted, which takes long */
  async size({ isSizeOnly, signal }: Abortable & { isSizeOnly: boolean }): Promise<Omit<RepositorySize, 'peer' | 'error'>> {
    const text = await this.#call({ path: `repo/stat?size-only=${isSizeOnly}`, signal: this.#limit(signal) })
    // Read as text: a number of JavaScript's cannot hold 2^64 - 1.
    const figure = (name: string) => BigInt(new RegExp(`"${name}":(\\d{1,20})[,}]`).exec(text)?.[1] ?? 0)
    return { repoBytes: figure('RepoSize'), maxBytes: figure('StorageMax'), objects: figure('NumObjects') }
  }

  /** Removes what is not pinned; what went wrong comes among what was removed. No time limit: it ends with `signal`. */
  async *collect({ signal }: Abortable = {}): AsyncIterable<Omit<Collected, 'peer'>> {
    let hasErrors = false
    try {
      for await (const { Key, Error: error } of this.#stream('repo/gc?stream-errors=true', collected, signal)) {
        hasErrors ||= !!error
        yield { cid: Key?.['/'] ?? null, error: error ?? '' }
      }
    } catch (error) {
      // At the end Kubo says once more that there were some.
      if (!hasErrors || !isFault(error, 'kubo_error')) throw error
    }
  }

  /** Connects Kubo to a node that has the content. */
  async connect(address: Multiaddr, { signal }: Abortable = {}): Promise<void> {
    await this.#unary(`swarm/connect?arg=${encodeURIComponent(address)}`, anything, deadline(10_000, signal))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }

  #limit(signal: AbortSignal | undefined): AbortSignal {
    return deadline(this.#settings.requestTimeoutMs, signal)
  }

  async #unary<T>(path: string, shape: z.ZodType<T>, signal: AbortSignal | undefined): Promise<T> {
    const text = await this.#call({ path, signal })
    try {
      return shape.parse(JSON.parse(text))
    } catch (error) {
      throw this.#explain(error, signal)
    }
  }

  /** @returns the answer, where it was not read line by line */
  async #call(call: Omit<KuboCall, 'origin' | 'headers'>): Promise<string> {
    try {
      const { status, text, lateError } = await callKubo(this.#agent, { ...call, origin: this.#origin, headers: this.#headers })
      if (status !== 200) throw kuboError(status, text)
      if (lateError) throw kuboError(status, lateError)
      return text
    } catch (error) {
      throw this.#explain(error, call.signal)
    }
  }

  async *#stream<T>(path: string, shape: z.ZodType<T>, signal: AbortSignal | undefined): AsyncIterable<T> {
    const { statusCode, body, trailers } = await this.#request(path, signal)
    try {
      if (statusCode !== 200) throw kuboError(statusCode, await body.text())
      for await (const line of lines(body)) yield shape.parse(line)
      const late = (trailers as Record<string, string>)['x-stream-error']
      if (late) throw kuboError(statusCode, late)
    } catch (error) {
      throw this.#explain(error, signal)
    } finally {
      // Left early: Kubo sees the connection end, and stops.
      body.destroy()
    }
  }

  async #request(path: string, signal: AbortSignal | undefined): Promise<Dispatcher.ResponseData> {
    try {
      return await this.#agent.request({
        origin: this.#origin,
        path: `/api/v0/${path}`,
        method: 'POST',
        headers: this.#headers,
        ...(signal ? { signal } : {})
      })
    } catch (error) {
      throw this.#explain(error, signal)
    }
  }

  /** It takes connections, and says nothing. */
  #silence(ms?: number): ClusterError {
    const time = ms === undefined ? 'in time' : `for ${Math.round(ms / 1_000)} s`
    return new ClusterError({ code: 'timeout' }, `Kubo at ${this.#settings.api} did not answer ${time}`)
  }

  #explain(error: unknown, signal: AbortSignal | undefined): unknown {
    if (error instanceof ClusterError || error instanceof StoodStill) return error
    if (signal?.aborted) {
      const isDeadline = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError'
      return isDeadline ? this.#silence() : signal.reason
    }
    if (error instanceof SyntaxError || error instanceof z.ZodError) {
      return new ClusterError(
        { code: 'kubo_error', status: 200, kuboCode: 0 },
        `what answers at ${this.#settings.api} is not Kubo: its answer cannot be read`
      )
    }
    return new ClusterError({ code: 'kubo_unreachable' }, `Kubo does not answer at ${this.#settings.api}: ${messageOf(error)}`, {
      cause: error
    })
  }
}

/** A longer name is an error for Kubo; it is a label and nothing more. */
const nameBytesMax = 255

/** The beginning of `text` that fits, in whole characters. */
function cut(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= bytesMax) return text
  let end = bytesMax
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** Ends a call when nothing happened for a while. */
class Idle {
  readonly #abort = new AbortController()
  readonly #ms: number
  readonly signal: AbortSignal
  #timer: NodeJS.Timeout

  constructor(ms: number, signal: AbortSignal | undefined) {
    this.#ms = ms
    this.signal = signal ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal
    this.#timer = this.#start()
  }

  get isOver(): boolean {
    return this.#abort.signal.aborted
  }

  touch(): void {
    this.#timer.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #start(): NodeJS.Timeout {
    this.#timer = setTimeout(() => this.#abort.abort(new Error('idle')), this.#ms)
    this.#timer.unref()
    return this.#timer
  }
}

/** Kubo's own words, which tell tools what happened. */
function kuboError(status: number, text: string): ClusterError {
  let message = text.trim()
  let kuboCode = 0
  try {
    const parsed = failure.parse(JSON.parse(text))
    message = parsed.Message
    kuboCode = parsed.Code ?? 0
  } catch {
    // Refusals before the command runs are plain text.
  }
  return new ClusterError({ code: 'kubo_error', status, kuboCode }, message || `Kubo answered with status ${status}`)
}

/** Kubo has the whole of it, and was asked for the root alone. */
export function isPinnedRecursively(error: unknown): boolean {
  return error instanceof ClusterError && error.code === 'kubo_error' && /already pinned recursively$/.test(error.message)
}

function isNotPinned(error: unknown): boolean {
  return error instanceof ClusterError && error.code === 'kubo_error' && /not pinned( or pinned indirectly)?$/.test(error.message)
}
