/**
 * The typed client: `ClusterApi` over the REST API, of a peer of this system or, as far as it goes, of ipfs-cluster. What a peer throws is
 * thrown here again, with the same code.
 */
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { socketAddressOf, urlOf } from './address.ts'
import type { ClusterApi, CollectOptions, FollowOptions, ReadOptions, RepositoriesOptions, StatusesOptions } from './api.ts'
import { isPath } from './codec.ts'
import { ClusterError, type Fault, isFault, messageOf } from './errors.ts'
import { Agent } from './http-agent.ts'
import type { Abortable } from './lifetime.ts'
import { exportBytes, linesOf } from './lines.ts'
import { type PinPage, pagesOf } from './pin-page.ts'
import type {
  Cid,
  ImportOptions,
  ImportProgress,
  IpfsPath,
  Overview,
  PeerId,
  PeerInfo,
  Pin,
  PinFilter,
  PinOptions,
  PinProgress,
  PinStatus,
  StateExport
} from './types.ts'
import {
  collectedFromJson,
  errorFromJson,
  importProgressFromJson,
  overviewFromJson,
  peerInfoFromJson,
  pinFromJson,
  pinStatusFromJson,
  progressFromJson,
  repositorySizeFromJson,
  versionFromJson
} from './wire.ts'
import { faultFromHeader, faultHeader, fromHeaderText, indexHeader, streamErrorTrailer } from './wire-fault.ts'
import { writeImportOptions, writePinFilter, writePinOptions } from './wire-options.ts'

export interface ClientSettings {
  /** A multiaddress (`/ip4/127.0.0.1/tcp/9094`, `/unix/run/flotilla.sock`) or a URL, whose user and password count as `basicAuth`. */
  readonly address: string
  /** `user:password` */
  readonly basicAuth?: string | undefined
}

/** CIDs asked for in one request: what fits into the 4 KiB of headers that a peer takes. */
const cidsMax = 40

type Call = Abortable & {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly query?: URLSearchParams
  readonly cid?: Cid
  readonly body?: Readable
}
type Reply = Dispatcher.ResponseData

export class FlotillaClient implements ClusterApi, AsyncDisposable {
  readonly #base: string
  /** Where it calls, for people: without a password. */
  readonly #shownBase: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #agent: Agent

  /** @throws ClusterError `invalid` where the address is none */
  constructor({ address, basicAuth }: ClientSettings) {
    const { base, shown, socketPath, credentials } = baseOf(address)
    this.#base = base
    this.#shownBase = shown
    const login = basicAuth ?? credentials
    this.#headers = login === undefined ? {} : { authorization: `Basic ${Buffer.from(login, 'utf8').toString('base64')}` }
    // A pin may wait for Kubo to resolve a path, up to five minutes. Streams of a peer have at most 15 s between two lines.
    this.#agent = new Agent({
      connect: { timeout: 10_000, ...(socketPath !== undefined && { socketPath }) },
      headersTimeout: 330_000,
      bodyTimeout: 60_000
    })
  }

  async id(options: Abortable = {}): Promise<PeerInfo> {
    return this.#document('/id', options, peerInfoFromJson)
  }

  async version(options: Abortable = {}): Promise<string> {
    return this.#document('/version', options, versionFromJson)
  }

  peers(options: Abortable = {}): AsyncIterable<PeerInfo> {
    return this.#lines('/peers', options, peerInfoFromJson)
  }

  async removePeer(peer: PeerId, { force, signal }: { force?: boolean | undefined } & Abortable = {}): Promise<void> {
    const reply = await this.#request(`/peers/${peer}`, { method: 'DELETE', query: queryOf({ force: force ? 'true' : undefined }), signal })
    await reply.body.dump()
  }

  async leave({ force, signal }: { force?: boolean | undefined } & Abortable = {}): Promise<void> {
    const reply = await this.#request('/peers/self', { method: 'DELETE', query: queryOf({ force: force ? 'true' : undefined }), signal })
    await reply.body.dump()
  }

  async pin(target: Cid | IpfsPath, { signal, ...options }: PinOptions & Abortable = {}): Promise<Pin> {
    return this.#document(`/pins${pathOf(target)}`, { method: 'POST', query: writePinOptions(options), signal }, pinFromJson)
  }

  async unpin(target: Cid | IpfsPath, { version, signal }: { version?: number | undefined } & Abortable = {}): Promise<Pin> {
    const cid = isPath(target) ? {} : { cid: target }
    const query = queryOf({ version: version?.toString() })
    return this.#document(`/pins${pathOf(target)}`, { method: 'DELETE', query, signal, ...cid }, pinFromJson)
  }

  async allocation(cid: Cid, { consistency, signal }: ReadOptions = {}): Promise<Pin> {
    return this.#document(`/allocations/${cid}`, { query: queryOf({ consistency }), signal, cid }, pinFromJson)
  }

  allocations({ consistency, signal, ...filter }: PinFilter & ReadOptions = {}): AsyncIterable<Pin> {
    const query = writePinFilter(filter)
    if (consistency) query.set('consistency', consistency)
    return this.#lines('/allocations', { query, signal }, pinFromJson)
  }

  pinPages(options: ReadOptions = {}): AsyncIterable<PinPage> {
    return pagesOf(this.allocations(options))
  }

  async status(cid: Cid, { local, consistency, signal }: { local?: boolean | undefined } & ReadOptions = {}): Promise<PinStatus> {
    return this.#document(`/pins/${cid}`, { query: queryOf({ local: local ? 'true' : undefined, consistency }), signal }, pinStatusFromJson)
  }

  async *statuses({ filter, cids, local, consistency, signal }: StatusesOptions = {}): AsyncIterable<PinStatus> {
    const common = { local: local ? 'true' : undefined, consistency }
    if (cids === undefined) {
      yield* this.#lines('/pins', { query: queryOf({ ...common, filter: filter?.join(',') }), signal }, pinStatusFromJson)
      return
    }
    for (let at = 0; at < cids.length; at += cidsMax) {
      const some = cids.slice(at, at + cidsMax).join(',')
      yield* this.#lines('/pins', { query: queryOf({ ...common, cids: some }), signal }, pinStatusFromJson)
    }
  }

  follow(cid: Cid, { until, signal }: FollowOptions = {}): AsyncIterable<PinProgress> {
    return this.#lines(`/pins/${cid}/progress`, { query: queryOf({ until }), signal, cid }, progressFromJson)
  }

  repositories({ which, sizeOnly, limitMs, signal }: RepositoriesOptions = {}): ReturnType<ClusterApi['repositories']> {
    const query = queryOf({ which, 'size-only': sizeOnly ? 'true' : undefined, 'limit-ms': limitMs?.toString() })
    return this.#lines('/ipfs/repositories', { query, signal }, repositorySizeFromJson)
  }

  collectGarbage({ which, signal }: CollectOptions = {}): ReturnType<ClusterApi['collectGarbage']> {
    return this.#lines('/ipfs/garbage', { method: 'POST', query: queryOf({ which }), signal }, collectedFromJson)
  }

  async exportState({ consistency, signal }: ReadOptions = {}): Promise<StateExport> {
    const call = { query: queryOf({ consistency }), signal }
    const reply = await this.#request('/state/export', call)
    return { index: Number(reply.headers[indexHeader] ?? 0), pins: this.#linesOf(reply, call, pinFromJson) }
  }

  importPins(pins: AsyncIterable<Pin>, options: ImportOptions & Abortable = {}): AsyncIterable<ImportProgress> {
    return this.importBytes(exportBytes(pins), options)
  }

  /** As {@link importPins}, from an export as it is: read by the peer alone. */
  async *importBytes(
    bytes: AsyncIterable<Uint8Array>,
    { signal, ...options }: ImportOptions & Abortable = {}
  ): AsyncIterable<ImportProgress> {
    let failure: { readonly error: unknown } | undefined
    const body = Readable.from(
      (async function* () {
        try {
          yield* bytes
        } catch (error) {
          failure = { error }
          throw error
        }
      })(),
      { objectMode: false }
    )
    try {
      const call: Call = { method: 'POST', query: writeImportOptions(options), body, signal }
      yield* this.#lines('/state/import', call, importProgressFromJson)
    } catch (error) {
      // The connection broke because there was nothing more to send: why is the news.
      throw failure === undefined ? error : failure.error
    } finally {
      body.destroy()
    }
  }

  async overview(options: Abortable = {}): Promise<Overview> {
    return this.#document('/health/overview', options, overviewFromJson)
  }

  /** Closes the connections; calls that are under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }

  async #document<T>(path: string, call: Call, read: (value: unknown) => T): Promise<T> {
    const reply = await this.#request(path, call)
    try {
      return this.#read(await reply.body.text(), read)
    } catch (error) {
      throw this.#explained(error, call)
    }
  }

  async *#lines<T>(path: string, call: Call, read: (value: unknown) => T): AsyncGenerator<T, void, undefined> {
    yield* this.#linesOf(await this.#request(path, call), call, read)
  }

  async *#linesOf<T>(reply: Reply, call: Call, read: (value: unknown) => T): AsyncGenerator<T, void, undefined> {
    try {
      for await (const line of linesOf(reply.body)) yield this.#read(line, read)
    } catch (error) {
      // A line without an end is the peer's mistake, not the caller's.
      const fault = isFault(error, 'invalid') ? new ClusterError({ code: 'peer_unreachable', peer: null }, error.message) : error
      throw this.#explained(fault, call)
    }
    this.#checkTrailers(reply)
  }

  async #request(path: string, call: Call): Promise<Reply> {
    const { method = 'GET', query, body, signal } = call
    const search = query?.size ? `?${query}` : ''
    let reply: Reply
    try {
      reply = await this.#agent.request({
        origin: this.#base,
        path: `${path}${search}`,
        method,
        headers: this.#headers,
        ...(body && { body }),
        ...(signal && { signal })
      })
    } catch (error) {
      throw this.#explained(error, call)
    }
    if (reply.statusCode === 200 || reply.statusCode === 204) return reply
    throw await this.#failureOf(reply, call)
  }

  async #failureOf(reply: Reply, call: Call): Promise<ClusterError> {
    let body: string
    try {
      body = await reply.body.text()
    } catch (error) {
      return this.#explained(error, call)
    }
    const failure = errorFromJson(jsonOf(body))
    if (failure === undefined) {
      const message = `${this.#shownBase} answers ${reply.statusCode}, but not as a cluster peer does: is it the address of the REST API?`
      return new ClusterError({ code: 'peer_unreachable', peer: null }, message)
    }
    const fault = faultFromHeader(String(reply.headers[faultHeader] ?? '')) ?? faultOfStatus(reply, call.cid)
    return new ClusterError(fault, failure.message)
  }

  #checkTrailers({ trailers }: Reply): void {
    const values = [trailers[streamErrorTrailer] ?? []].flat()
    const message = values.filter(value => value !== '').join('; ')
    if (message === '') return
    throw new ClusterError(faultFromHeader(String(trailers[faultHeader] ?? '')) ?? { code: 'refused' }, fromHeaderText(message))
  }

  #read<T>(text: string, read: (value: unknown) => T): T {
    try {
      return read(jsonOf(text))
    } catch (error) {
      const message = `${this.#shownBase} does not answer as a cluster peer does: ${messageOf(error)}`
      throw new ClusterError({ code: 'peer_unreachable', peer: null }, message, { cause: error })
    }
  }

  /** Turns what the network throws into a fault with one sentence. */
  #explained(error: unknown, { method = 'GET', signal }: Call): ClusterError {
    // The caller's own abort is handed back as it is.
    if (signal?.aborted) throw signal.reason
    if (error instanceof ClusterError) return error
    const code = codeOf(error)
    const at = this.#shownBase
    const fault = (fault: Fault, message: string) => new ClusterError(fault, message, { cause: error })
    switch (code) {
      case 'ECONNREFUSED':
      case 'ENOENT':
        return fault({ code: 'peer_unreachable', peer: null }, `nothing answers at ${at}: is the daemon running?`)
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return fault({ code: 'peer_unreachable', peer: null }, `no address is known for ${at}`)
      case 'UND_ERR_CONNECT_TIMEOUT':
      case 'EHOSTUNREACH':
      case 'ENETUNREACH':
      case 'ETIMEDOUT':
        return fault({ code: 'peer_unreachable', peer: null }, `${at} cannot be reached: ${messageOf(error)}`)
      case 'UND_ERR_HEADERS_TIMEOUT':
      case 'UND_ERR_BODY_TIMEOUT':
        return fault({ code: 'timeout' }, `${at} took the request but does not answer`)
      default:
        // The request may have arrived before the connection broke.
        return method === 'GET'
          ? fault({ code: 'peer_unreachable', peer: null }, `the connection to ${at} broke: ${messageOf(error)}`)
          : fault({ code: 'outcome_unknown' }, `the connection to ${at} broke before the answer: ask again, that is safe`)
    }
  }
}

function baseOf(address: string): { base: string; shown: string; socketPath?: string; credentials?: string } {
  if (!/^https?:\/\//i.test(address)) {
    const socket = socketAddressOf(address)
    const shown = urlOf(socket)
    return 'path' in socket ? { base: 'http://localhost', shown, socketPath: socket.path } : { base: shown, shown }
  }
  let url: URL
  try {
    url = new URL(address)
  } catch {
    // Not repeated: there may be a password in it.
    throw new ClusterError({ code: 'invalid' }, 'the address is not a URL like http://127.0.0.1:9094')
  }
  if (url.pathname !== '/' || url.search !== '') {
    throw new ClusterError({ code: 'invalid' }, `${url.origin} is the address of the REST API: leave out what follows`)
  }
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return { base: url.origin, shown: url.origin, ...(credentials !== ':' && { credentials }) }
}

/** `/<cid>`, or the path with every segment escaped. */
function pathOf(target: Cid | IpfsPath): string {
  return isPath(target) ? target.split('/').map(encodeURIComponent).join('/') : `/${target}`
}

function queryOf(entries: Readonly<Record<string, string | undefined>>): URLSearchParams {
  return new URLSearchParams(Object.entries(entries).filter((entry): entry is [string, string] => Boolean(entry[1])))
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** For peers that send no fault of ours: the Go system, or a proxy in between. */
function faultOfStatus({ statusCode, headers }: Reply, cid: Cid | undefined): Fault {
  switch (statusCode) {
    case 400:
      return { code: 'invalid' }
    case 401:
    case 403:
      return { code: 'unauthorized' }
    case 404:
      return cid === undefined ? { code: 'refused' } : { code: 'not_pinned', cid }
    case 429:
      return { code: 'overloaded', retryAfterMs: (Number(headers['retry-after']) || 1) * 1_000 }
    case 503:
      return { code: 'not_ready' }
    case 504:
      return { code: 'timeout' }
    default:
      return { code: 'refused' }
  }
}

/** The code of a network error, also where several addresses were tried. */
function codeOf(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  return code ?? (cause instanceof Error ? codeOf(cause) : undefined)
}
