/**
 * Calls and messages between peers over libp2p. Towards every member two long streams are kept up, one for messages and one for calls, so that a
 * heartbeat never waits behind a large answer. Whoever is not a member is served only what is open to newcomers; without the secret nobody gets
 * as far as that.
 */

import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../src/clock.ts'
import { parsePeerId } from '../../src/codec.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { type Abortable, deadline, logFailures, Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { Multiaddr, PeerId } from '../../src/types.ts'
import { CallServer } from './call-server.ts'
import { explainDial } from './dial-errors.ts'
import { Frames } from './frames.ts'
import { type HostSettings, openHost } from './host.ts'
import { decodeHello, encodeHello, kinds, unreachablePeer } from './link.ts'
import { OutboundLink } from './outbound-link.ts'
import type { CallHandler, MessageHandler, Rpc } from './rpc.ts'

/** Two streams of one protocol each; the number changes when the frames do. */
export const protocols = { calls: '/flotilla/calls/1', messages: '/flotilla/messages/1' } as const
const version = 1
const streamsMax = { maxInboundStreams: 256, maxOutboundStreams: 256, negotiateFully: true } as const
const dialMs = 5_000
/** How long a refused peer has to read why. */
const refusalMs = 1_000
const retryMinMs = 100
const retryMaxMs = 2_000

export type NetworkSettings = HostSettings & { readonly name: string }

interface Member {
  readonly id: PeerId
  readonly addresses: readonly string[]
}

export class Network implements Rpc, AsyncDisposable {
  readonly #clock: Clock
  readonly #log: Log
  readonly #settings: NetworkSettings
  readonly #tasks: Tasks
  readonly #server: CallServer
  readonly #channels = new Map<string, MessageHandler>()
  readonly #listeners = new Set<(peer: PeerId, isUp: boolean) => void>()
  readonly #links = new Map<PeerId, OutboundLink>()
  readonly #linking = new Map<PeerId, Promise<OutboundLink>>()
  readonly #inbound = new Map<PeerId, Set<Frames>>()
  /** Keepers of connections to members, each with what ends it. */
  readonly #keepers = new Map<PeerId, AbortController>()
  #members: ReadonlyMap<PeerId, Member> = new Map()
  #clusterId: string | null = null
  #host: Libp2p | undefined

  constructor({ clock, log }: { clock: Clock; log: Log }, settings: NetworkSettings) {
    this.#clock = clock
    this.#log = log
    this.#settings = settings
    this.#tasks = new Tasks(logFailures(log))
    this.#server = new CallServer(peer => this.#members.has(peer))
  }

  get self(): PeerId {
    return this.#settings.identity.id
  }

  /** Where this peer can be dialled, each with `/p2p/<id>`. */
  get addresses(): readonly Multiaddr[] {
    return (this.#host?.getMultiaddrs() ?? []).map(address => address.toString() as Multiaddr)
  }

  async start(): Promise<void> {
    this.#host = await openHost(this.#settings)
    await this.#host.handle(protocols.calls, (stream, connection) => this.#accept(stream, connection, 'calls'), streamsMax)
    await this.#host.handle(protocols.messages, (stream, connection) => this.#accept(stream, connection, 'messages'), streamsMax)
  }

  /** From now on peers of other clusters are refused. */
  setClusterId(id: string): void {
    this.#clusterId = id
  }

  // ---- Rpc ----

  async call(to: PeerId, method: string, payload: Uint8Array, { signal }: Abortable = {}): Promise<Uint8Array> {
    if (to === this.self) throw new Error('a peer never calls itself')
    const link = this.#links.get(to) ?? (await this.#link(to, signal))
    return link.call(method, payload, signal)
  }

  send(to: PeerId, channel: string, payload: Uint8Array): boolean {
    return this.#links.get(to)?.message(channel, payload) ?? false
  }

  handle(method: string, handler: CallHandler, { open = false }: { open?: boolean } = {}): void {
    this.#server.handle(method, handler, open)
  }

  receive(channel: string, handler: MessageHandler): void {
    this.#channels.set(channel, handler)
  }

  isConnected(peer: PeerId): boolean {
    return this.#links.has(peer)
  }

  onConnection(listener: (peer: PeerId, isUp: boolean) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  setMembers(members: readonly Member[]): void {
    const next = new Map(members.filter(({ id }) => id !== this.self).map(member => [member.id, member]))
    for (const id of this.#members.keys()) if (!next.has(id)) this.#drop(id)
    this.#members = next
    for (const id of next.keys()) {
      if (this.#keepers.has(id)) continue
      const keeper = new AbortController()
      this.#keepers.set(id, keeper)
      this.#tasks.run('connection', stop => this.#keep(id, AbortSignal.any([stop, keeper.signal])))
    }
  }

  /** Dials an address that may lack `/p2p/<id>`. @returns who answers there @throws ClusterError `peer_unreachable` with the reason in words */
  async dialAny(address: Multiaddr, { signal }: Abortable = {}): Promise<PeerId> {
    try {
      const connection = await this.#running().dial(multiaddr(address), { signal: deadline(dialMs, signal) })
      return parsePeerId(connection.remotePeer.toString())
    } catch (error) {
      signal?.throwIfAborted()
      throw unreachablePeer(null, `${address} does not answer: ${explainDial(error)}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tasks = this.#tasks[Symbol.asyncDispose]()
    for (const keeper of this.#keepers.values()) keeper.abort(new Error('stopped'))
    for (const link of this.#links.values()) link.close('this peer stops')
    for (const frames of this.#inbound.values()) for (const one of frames) one.close('this peer stops')
    await tasks
    await this.#host?.stop()
    this.#host = undefined
  }

  // ---- outbound ----

  /** Keeps the link to a member up: dials again soon after a loss, then more slowly. */
  async #keep(peer: PeerId, stop: AbortSignal): Promise<void> {
    let waitMs = retryMinMs
    while (!stop.aborted) {
      try {
        const link = this.#links.get(peer) ?? (await this.#link(peer, stop))
        waitMs = retryMinMs
        await link.closed
      } catch (error) {
        if (stop.aborted) return
        this.#log.debug({ peer, reason: messageOf(error) }, 'peer not reached')
      }
      // Spread out, so that peers that lost each other at once do not meet at once for ever.
      await this.#clock.sleep(waitMs * (0.5 + Math.random()), { signal: stop }).catch(() => {})
      waitMs = Math.min(retryMaxMs, waitMs * 2)
    }
  }

  #link(peer: PeerId, signal: AbortSignal | undefined): Promise<OutboundLink> {
    let linking = this.#linking.get(peer)
    if (linking === undefined) {
      linking = this.#open(peer).finally(() => this.#linking.delete(peer))
      this.#linking.set(peer, linking)
    }
    if (signal === undefined) return linking
    // One caller's abort is not everybody's: the attempt goes on for the others.
    linking.catch(() => {})
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    return Promise.race([linking, aborted.promise]).finally(() => signal.removeEventListener('abort', abort))
  }

  async #open(peer: PeerId): Promise<OutboundLink> {
    const signal = deadline(dialMs, this.#tasks.signal)
    const opened: Stream[] = []
    try {
      const connection = await this.#connect(peer, signal)
      for (const protocol of [protocols.calls, protocols.messages])
        opened.push(await connection.newStream(protocol, { signal, ...streamsMax }))
      const [calls, messages] = opened
      if (calls === undefined || messages === undefined) throw new Error('no streams')
      const hello = { version, clusterId: this.#clusterId, name: this.#settings.name }
      const link = await OutboundLink.open(peer, { calls, messages }, hello, signal)
      this.#up(peer, link)
      return link
    } catch (error) {
      for (const stream of opened) stream.abort(new Error('the link was not made'))
      if (error instanceof ClusterError) throw error
      throw unreachablePeer(peer, explainDial(error))
    }
  }

  async #connect(peer: PeerId, signal: AbortSignal): Promise<Connection> {
    const host = this.#running()
    const id = peerIdFromString(peer)
    const open = host.getConnections(id).find(({ status }) => status === 'open')
    if (open) return open
    const addresses = this.#members.get(peer)?.addresses ?? []
    if (addresses.length === 0) throw new Error('no address of it is known')
    return host.dial(
      addresses.map(address => multiaddr(address.includes('/p2p/') ? address : `${address}/p2p/${peer}`)),
      { signal }
    )
  }

  #up(peer: PeerId, link: OutboundLink): void {
    this.#links.get(peer)?.close('a newer link took over')
    this.#links.set(peer, link)
    this.#announce(peer, true)
    void link.closed.then(reason => {
      if (this.#links.get(peer) !== link) return
      this.#links.delete(peer)
      this.#log.debug({ peer, reason }, 'peer lost')
      this.#announce(peer, false)
    })
  }

  #announce(peer: PeerId, isUp: boolean): void {
    if (this.#tasks.signal.aborted) return
    for (const listener of this.#listeners) listener(peer, isUp)
  }

  /** No longer a member: nothing more is sent to it or served to it. */
  #drop(peer: PeerId): void {
    this.#keepers.get(peer)?.abort(new Error('not a member any more'))
    this.#keepers.delete(peer)
    this.#links.get(peer)?.close('not a member any more')
    for (const frames of this.#inbound.get(peer) ?? []) frames.close('not a member any more')
  }

  #running(): Libp2p {
    if (this.#host === undefined) throw new ClusterError({ code: 'peer_unreachable', peer: null }, 'this peer is not on the network')
    return this.#host
  }

  // ---- inbound ----

  #accept(stream: Stream, connection: Connection, use: 'calls' | 'messages'): void {
    const peer = parsePeerId(connection.remotePeer.toString())
    const all = this.#inbound.get(peer) ?? new Set()
    this.#inbound.set(peer, all)
    let isGreeted = false
    let isRefused = false
    const frames: Frames = new Frames(stream, {
      onFrame: frame => {
        if (isRefused) return
        try {
          if (isGreeted) this.#serve(peer, frames, frame, use)
          else this.#greet(peer, frames, frame, use)
          isGreeted = true
        } catch (error) {
          this.#log.warn({ peer, reason: messageOf(error) }, 'peer refused')
          isRefused = true
          // Our greeting is on its way: the other side reads there why, and ends the stream itself; if it does not, it is ended here.
          setTimeout(() => frames.close(messageOf(error)), refusalMs).unref()
        }
      },
      onClose: () => {
        all.delete(frames)
        this.#server.gone(frames)
      }
    })
    all.add(frames)
  }

  /** @throws ClusterError for a peer that does not belong here; the caller is told before the stream ends */
  #greet(peer: PeerId, frames: Frames, frame: Buffer, use: 'calls' | 'messages'): void {
    if (frame[0] !== kinds.hello) throw new ClusterError({ code: 'refused' }, 'the peer did not greet')
    const hello = decodeHello(frame)
    // Each side judges: the greeting is answered with ours, and whoever finds the other one strange ends it.
    if (use === 'calls') frames.send(encodeHello({ version, clusterId: this.#clusterId, name: this.#settings.name }))
    if (hello.version !== version)
      throw new ClusterError({ code: 'refused' }, `it speaks version ${hello.version} of the peer protocol, this peer ${version}`)
    if (isStrange(hello.clusterId, this.#clusterId))
      throw new ClusterError({ code: 'wrong_cluster' }, `it belongs to cluster ${hello.clusterId}`)
    this.#log.debug({ peer, name: hello.name, use }, 'peer greeted')
  }

  #serve(peer: PeerId, frames: Frames, frame: Buffer, use: 'calls' | 'messages'): void {
    if (use === 'calls') return this.#server.serve(peer, frames, frame)
    const { channel, payload } = CallServer.message(frame)
    // A member that is on its way out may still talk: not heard, and the stream ends with its membership.
    if (this.#members.has(peer)) this.#channels.get(channel)?.(peer, payload)
  }
}

function isStrange(theirs: string | null, ours: string | null): boolean {
  return theirs !== null && ours !== null && theirs !== ours
}
