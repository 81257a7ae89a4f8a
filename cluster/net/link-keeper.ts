/** Keeps the link to one peer up: makes it over whatever connection there is, or dials; sees its loss; makes it anew, soon and then more slowly. */
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Clock } from '../../src/clock.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { type Abortable, deadline } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { Multiaddr, PeerId } from '../../src/types.ts'
import { dialPeer } from './dial.ts'
import { type Hello, unreachablePeer } from './link.ts'
import { OutboundLink } from './outbound-link.ts'

/** One stream of each a link; the frames have a version of their own, in the greeting. */
export const protocols = { calls: '/flotilla/calls', messages: '/flotilla/messages' } as const

const linkMs = 4_500
/** Opening streams on a connection that stands takes two round trips. One that cannot do it is dead. */
const streamsMs = 2_000
/**
 * A host that does not take the connection by then is asked anew at once. The system itself repeats its question after 1, 3 and 7 seconds only,
 * and a link should be up within a second or so of the end of a cut.
 */
const connectMs = 1_000
/** From the begin of an attempt to the next. */
const retryMinMs = 100
const retryMaxMs = 1_000
/** A link that broke sooner counts as a failure, so that two peers that send each other away do not do it all day. */
const steadyMs = 1_000
/** Within this time after a failed attempt, calls fail with its reason, instead of dialling once a call. */
const freshMs = 250

export interface LinkKeeperParts {
  readonly peer: PeerId
  readonly node: Libp2p
  readonly clock: Clock
  readonly log: Log
  readonly hello: () => Hello
  readonly addresses: () => readonly Multiaddr[]
  readonly onChange: (isUp: boolean) => void
}

export class LinkKeeper {
  readonly #parts: LinkKeeperParts
  readonly #stop = new AbortController()
  #link: OutboundLink | undefined
  #attempt: Promise<OutboundLink> | undefined
  #failure: { readonly error: unknown; readonly atMs: number } | undefined
  #shownReason = ''
  #hurry = new AbortController()

  constructor(parts: LinkKeeperParts) {
    this.#parts = parts
  }

  get link(): OutboundLink | undefined {
    return this.#link
  }

  /**
   * The link, made if need be.
   * @throws ClusterError why it cannot be made; `signal.reason` when that is aborted first
   */
  async ready({ signal }: Abortable): Promise<OutboundLink> {
    if (this.#link !== undefined) return this.#link
    const { clock } = this.#parts
    if (this.#attempt === undefined && this.#failure !== undefined && clock.monotonicMs() - this.#failure.atMs < freshMs)
      throw this.#failure.error
    const attempt = this.#try()
    if (signal === undefined) return attempt
    // One caller's abort is not everybody's: the attempt goes on for the others.
    const { promise, reject } = Promise.withResolvers<never>()
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    return Promise.race([attempt, promise]).finally(() => signal.removeEventListener('abort', abort))
  }

  /** Keeps the link up until {@link end}; returns then. */
  async keep(): Promise<void> {
    const { clock, log, peer } = this.#parts
    let failures = 0
    while (!this.#stop.signal.aborted) {
      const beganMs = clock.monotonicMs()
      try {
        const link = this.#link ?? (await this.#try())
        await link.closed
        failures = clock.monotonicMs() - beganMs > steadyMs ? 0 : failures + 1
      } catch (error) {
        if (this.#stop.signal.aborted) return
        failures++
        const reason = messageOf(error)
        log[reason === this.#shownReason ? 'debug' : 'warn']({ peer, reason }, 'peer not reached')
        this.#shownReason = reason
      }
      if (failures > 0) await this.#pause(failures, clock.monotonicMs() - beganMs)
    }
  }

  /** Something changed: there is a connection now, or another address. The next attempt is made at once. */
  hurry(): void {
    if (this.#link === undefined) this.#hurry.abort()
  }

  /** Called at a steady pace: breaks off everything towards a peer that was silent for too long. */
  beat(silentBeatsMax: number): void {
    if (this.#link?.beat(silentBeatsMax) !== false) return
    // All connections, also the one that the peer made: they take the same way, and an attempt over a dead one costs seconds. None is closed
    // politely, as that would wait for the silent one.
    const { node, peer } = this.#parts
    for (const connection of node.getConnections(peerIdFromString(peer))) connection.abort(new Error('the peer is silent'))
  }

  /** Ends the link in good order, for good. */
  end(reason: string): void {
    this.#stop.abort(unreachablePeer(this.#parts.peer, reason))
    this.#link?.end(reason)
  }

  async #pause(failures: number, spentMs: number): Promise<void> {
    const longestMs = Math.max(retryMinMs, Math.min(retryMaxMs, retryMinMs * 2 ** (failures - 1)) - spentMs)
    this.#hurry = new AbortController()
    const signal = AbortSignal.any([this.#stop.signal, this.#hurry.signal])
    // Spread out: peers that lost each other together should not meet in the same instant for ever.
    await this.#parts.clock.sleep(longestMs * (0.5 + Math.random() / 2), { signal }).catch(() => {})
  }

  #try(): Promise<OutboundLink> {
    this.#attempt ??= this.#open()
      .then(
        link => this.#up(link),
        error => {
          this.#failure = { error, atMs: this.#parts.clock.monotonicMs() }
          throw error
        }
      )
      .finally(() => {
        this.#attempt = undefined
      })
    // Whoever waits handles its failure; nobody may be waiting any more.
    this.#attempt.catch(() => {})
    return this.#attempt
  }

  async #open(): Promise<OutboundLink> {
    const { peer, node, addresses, hello } = this.#parts
    const signal = deadline(linkMs, this.#stop.signal)
    signal.throwIfAborted()
    const standing = node.getConnections(peerIdFromString(peer)).findLast(({ status }) => status === 'open')
    const connection = standing ?? (await dialPeer(node, peer, addresses(), { signal, connectMs }))
    try {
      return await this.#greet(connection, hello(), deadline(streamsMs, signal))
    } catch (error) {
      this.#stop.signal.throwIfAborted()
      // A peer that refuses us has answered. Any other failure on a connection that stands: the next attempt dials a new one.
      const hasAnswered = error instanceof ClusterError && error.code !== 'peer_unreachable'
      if (!hasAnswered && !isUnsupported(error)) connection.abort(error instanceof Error ? error : new Error('no link'))
      if (error instanceof ClusterError) throw error
      throw unreachablePeer(peer, explain(error), error)
    }
  }

  async #greet(connection: Connection, hello: Hello, signal: AbortSignal): Promise<OutboundLink> {
    const opening = [protocols.calls, protocols.messages].map(protocol => connection.newStream(protocol, { signal }))
    try {
      const [calls, messages] = await Promise.all(opening)
      if (calls === undefined || messages === undefined) throw new Error('two protocols, two streams')
      return await OutboundLink.open({ peer: this.#parts.peer, calls, messages }, hello, signal)
    } catch (error) {
      for (const one of await Promise.allSettled(opening)) if (one.status === 'fulfilled') one.value.abort(new Error('no link'))
      throw error
    }
  }

  #up(link: OutboundLink): OutboundLink {
    const { peer, log, onChange } = this.#parts
    if (this.#stop.signal.aborted) {
      link.end('not wanted any more')
      throw this.#stop.signal.reason
    }
    this.#link = link
    this.#failure = undefined
    this.#shownReason = ''
    this.#hurry.abort()
    log.info({ peer, name: link.hello?.name }, 'peer linked')
    void link.closed.then(reason => {
      this.#link = undefined
      log.info({ peer, name: link.hello?.name, reason }, 'peer lost')
      onChange(false)
    })
    onChange(true)
    return link
  }
}

function isUnsupported(error: unknown): boolean {
  return error instanceof Error && error.name === 'UnsupportedProtocolError'
}

function explain(error: unknown): string {
  if (isUnsupported(error)) return 'it knows the secret, but is no flotilla peer: it does not speak the peer protocol'
  const isLate = error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')
  if (isLate) return 'it accepts connections, but does not talk'
  // libp2p also throws events: those say nothing.
  return error instanceof Error ? `the connection broke (${messageOf(error)})` : 'the connection broke'
}
