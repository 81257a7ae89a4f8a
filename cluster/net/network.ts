/**
 * Calls and messages between peers over libp2p. Towards every member a link is kept up; links that come in are served, to members in full and to
 * others what is open to newcomers; without the secret nobody gets as far as that.
 */
import assert from 'node:assert/strict'
import type { Connection, Stream } from '@libp2p/interface'
import type { Clock } from '../../src/clock.ts'
import { parsePeerId } from '../../src/codec.ts'
import { messageOf } from '../../src/errors.ts'
import { type Abortable, logFailures, Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { Multiaddr, PeerId } from '../../src/types.ts'
import { dial } from './dial.ts'
import { type Host, type HostSettings, openHost } from './host.ts'
import { InboundLink, type Services } from './inbound-link.ts'
import { type Hello, isName, protocolVersion, unreachablePeer } from './link.ts'
import { LinkKeeper, protocols } from './link-keeper.ts'
import type { CallHandler, MessageHandler, Rpc } from './rpc.ts'

/** A link is given up when its peer was silent for five beats: a frozen peer is noticed within two seconds. */
const beatMs = 300
const silentBeatsMax = 5
/** How often addresses without an id are tried while a member is missing. */
const seekMs = 2_000
/** Refused peers that are remembered. */
const refusalsMax = 1_000
/** Of each protocol, on one connection: one in use, and some that are ending. */
const streamsMax = { maxInboundStreams: 16, maxOutboundStreams: 16 } as const

export type NetworkSettings = HostSettings & {
  /** For people: the peer's name, at most 1,000 characters. */
  readonly name: string
  /** Further addresses of members, in case those the cluster knows are out of date. `/p2p/<id>` may be missing. */
  readonly bootstrap?: readonly Multiaddr[]
}

interface Member {
  readonly id: PeerId
  readonly addresses: readonly string[]
}

export class Network implements Rpc, AsyncDisposable {
  readonly #clock: Clock
  readonly #log: Log
  readonly #settings: NetworkSettings
  readonly #tasks: Tasks
  readonly #resources = new DisposableStack()
  readonly #methods = new Map<string, { readonly handler: CallHandler; readonly isOpen: boolean }>()
  readonly #channels = new Map<string, MessageHandler>()
  readonly #listeners = new Set<(peer: PeerId, isUp: boolean) => void>()
  /** Of members for as long as they are; of others for as long as there is a link. */
  readonly #keepers = new Map<PeerId, LinkKeeper>()
  readonly #inbound = new Map<PeerId, Set<InboundLink>>()
  /** Why peers were refused last. */
  readonly #refusals = new Map<PeerId, string>()
  readonly #services: Services
  #members: ReadonlyMap<PeerId, Member> = new Map()
  #clusterId: string | null = null
  #host: Host | undefined

  constructor({ clock, log }: { clock: Clock; log: Log }, settings: NetworkSettings) {
    this.#clock = clock
    this.#log = log
    this.#settings = settings
    this.#tasks = new Tasks(logFailures(log))
    this.#services = {
      hello: () => this.#hello(),
      isMember: peer => this.#members.has(peer),
      method: name => this.#methods.get(name),
      channel: name => this.#channels.get(name),
      refused: (peer, reason) => this.#refused(peer, reason),
      closed: link => this.#forget(link)
    }
  }

  get self(): PeerId {
    return this.#settings.identity.id
  }

  /** Where this peer can be dialled, each with `/p2p/<id>`; empty before the start. */
  get addresses(): readonly Multiaddr[] {
    return this.#host?.addresses() ?? []
  }

  /** @throws ClusterError `cannot_start` where an address cannot be listened on */
  async start(): Promise<void> {
    const accept = (stream: Stream, connection: Connection) => this.#accept(stream, connection)
    const host = await openHost(this.#settings, {
      log: this.#log,
      prepare: node => node.handle([protocols.calls, protocols.messages], accept, streamsMax)
    })
    const { node } = host
    if (this.#tasks.signal.aborted) {
      await node.stop()
      throw unreachablePeer(null, 'this peer was stopped while it started')
    }
    this.#host = host
    node.addEventListener('connection:open', ({ detail }) => this.#keepers.get(parsePeerId(detail.remotePeer.toString()))?.hurry())
    this.#resources.use(this.#clock.every(beatMs, () => this.#beat()))
    const unnamed = this.#settings.bootstrap?.filter(address => !hasId(address)) ?? []
    if (unnamed.length > 0) this.#tasks.run('seeking members', signal => this.#seek(unnamed, signal))
  }

  /** This peer belongs to that cluster from now on: peers of other clusters are refused, those that are linked included. */
  setClusterId(id: string): void {
    if (this.#clusterId === id) return
    this.#clusterId = id
    for (const { link } of this.#keepers.values()) link?.greet(this.#hello())
    for (const links of this.#inbound.values()) for (const link of [...links]) link.judge()
  }

  /**
   * Finds out who is at an address, which may lack `/p2p/<id>`: for joining. Calls to the peer can follow.
   * @throws ClusterError `refused` where waiting will not help: another secret, or another peer than the address says; `peer_unreachable`
   *   otherwise, within five seconds; both with the reason in one sentence
   */
  async dialAny(address: Multiaddr, { signal }: Abortable = {}): Promise<PeerId> {
    const stop = signal === undefined ? this.#tasks.signal : AbortSignal.any([this.#tasks.signal, signal])
    const { remotePeer } = await dial(this.#running().node, address, { signal: stop })
    return parsePeerId(remotePeer.toString())
  }

  // ---- Rpc ----

  async call(to: PeerId, method: string, payload: Uint8Array, { signal }: Abortable = {}): Promise<Uint8Array> {
    assert(to !== this.self, 'a peer never calls itself')
    signal?.throwIfAborted()
    const keeper = this.#keepers.get(to) ?? this.#visit(to)
    const link = keeper.link ?? (await keeper.ready({ signal }))
    return link.call(method, payload, signal)
  }

  send(to: PeerId, channel: string, payload: Uint8Array): boolean {
    return this.#keepers.get(to)?.link?.message(channel, payload) ?? false
  }

  handle(method: string, handler: CallHandler, { open = false }: { open?: boolean } = {}): void {
    assert(isName(method) && !this.#methods.has(method), `method ${method} is no name, or has a handler already`)
    this.#methods.set(method, { handler, isOpen: open })
  }

  receive(channel: string, handler: MessageHandler): void {
    assert(isName(channel) && !this.#channels.has(channel), `channel ${channel} is no name, or has a handler already`)
    this.#channels.set(channel, handler)
  }

  isConnected(peer: PeerId): boolean {
    return this.#keepers.get(peer)?.link !== undefined
  }

  onConnection(listener: (peer: PeerId, isUp: boolean) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  setMembers(members: readonly Member[]): void {
    const before = this.#members
    this.#members = new Map(members.filter(({ id }) => id !== this.self).map(member => [member.id, member]))
    for (const id of before.keys()) if (!this.#members.has(id)) this.#drop(id)
    for (const { id, addresses } of this.#members.values()) {
      const known = before.get(id)
      if (known === undefined) this.#keep(id)
      else if (known.addresses.join() !== addresses.join()) this.#keepers.get(id)?.hurry()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#resources.dispose()
    const tasks = this.#tasks[Symbol.asyncDispose]()
    for (const keeper of this.#keepers.values()) keeper.end('this peer stops')
    for (const links of this.#inbound.values()) for (const link of [...links]) link.end('this peer stops')
    await tasks
    const host = this.#host
    this.#host = undefined
    await host?.node.stop()
  }

  // ---- links to others ----

  #hello(): Hello {
    return { version: protocolVersion, clusterId: this.#clusterId, name: this.#settings.name.slice(0, 1_000) }
  }

  /** To a member: the link is kept up from now on. */
  #keep(peer: PeerId): void {
    // As a guest's link may stand already, it is not lost on the way.
    const keeper = this.#keepers.get(peer) ?? this.#keeper(peer)
    this.#keepers.set(peer, keeper)
    this.#tasks.run('link', () => keeper.keep())
    if (keeper.link !== undefined) this.#announce(peer, true)
  }

  /** To somebody else, over the connection there is: for the call that joins, and as long as it stands. */
  #visit(peer: PeerId): LinkKeeper {
    const keeper = this.#keeper(peer)
    this.#keepers.set(peer, keeper)
    void keeper
      .ready({})
      .then(link => link.closed)
      .catch(() => {})
      .then(() => {
        if (this.#keepers.get(peer) === keeper && !this.#members.has(peer)) this.#keepers.delete(peer)
      })
    return keeper
  }

  #keeper(peer: PeerId): LinkKeeper {
    return new LinkKeeper({
      peer,
      node: this.#running().node,
      clock: this.#clock,
      log: this.#log,
      hello: () => this.#hello(),
      addresses: () => this.#addressesOf(peer),
      onChange: isUp => this.#announce(peer, isUp)
    })
  }

  #addressesOf(peer: PeerId): readonly Multiaddr[] {
    const known = (this.#members.get(peer)?.addresses ?? []) as readonly Multiaddr[] // dial.ts looks at them
    const more = this.#settings.bootstrap?.filter(address => address.endsWith(`/${peer}`)) ?? []
    return [...new Set([...known, ...more])]
  }

  #announce(peer: PeerId, isUp: boolean): void {
    if (this.#tasks.signal.aborted || !this.#members.has(peer)) return
    for (const listener of this.#listeners) listener(peer, isUp)
  }

  /** No longer a member: nothing more is sent to it, and nothing of it is served. */
  #drop(peer: PeerId): void {
    this.#keepers.get(peer)?.end('it is not a member any more')
    this.#keepers.delete(peer)
    for (const link of [...(this.#inbound.get(peer) ?? [])]) link.end('it is not a member any more')
  }

  #beat(): void {
    for (const keeper of this.#keepers.values()) keeper.beat(silentBeatsMax)
    for (const links of this.#inbound.values()) for (const link of [...links]) link.beat()
  }

  /** While a member is missing: whoever answers at an address without an id may be the one, at a new place. */
  async #seek(addresses: readonly Multiaddr[], signal: AbortSignal): Promise<void> {
    for (let at = 0; ; at++) {
      await this.#clock.sleep(seekMs, { signal })
      const address = addresses[at % addresses.length]
      const isMissing = [...this.#members.keys()].some(peer => !this.isConnected(peer))
      if (!isMissing || address === undefined) continue
      // A connection that opens hurries the keeper of its peer.
      await this.dialAny(address, { signal }).catch(error => this.#log.debug({ address, reason: messageOf(error) }, 'nobody found'))
    }
  }

  #running(): Host {
    if (this.#host === undefined) throw unreachablePeer(null, 'this peer is not on the network')
    return this.#host
  }

  // ---- links of others ----

  #accept(stream: Stream, connection: Connection): void {
    if (this.#tasks.signal.aborted) {
      stream.abort(new Error('this peer stops'))
      return
    }
    const peer = parsePeerId(connection.remotePeer.toString())
    const links = this.#inbound.get(peer) ?? new Set()
    this.#inbound.set(peer, links)
    links.add(new InboundLink({ peer, stream, services: this.#services, log: this.#log }))
  }

  /** Said once: whoever is refused comes again every two seconds. */
  #refused(peer: PeerId, reason: string): void {
    this.#log[this.#refusals.get(peer) === reason ? 'debug' : 'warn']({ peer, reason }, 'peer refused')
    if (this.#refusals.size >= refusalsMax) this.#refusals.clear()
    this.#refusals.set(peer, reason)
  }

  #forget(link: InboundLink): void {
    const links = this.#inbound.get(link.peer)
    links?.delete(link)
    if (links?.size === 0) this.#inbound.delete(link.peer)
  }
}

function hasId(address: Multiaddr): boolean {
  return /\/(p2p|ipfs)\/[^/]+$/.test(address)
}
