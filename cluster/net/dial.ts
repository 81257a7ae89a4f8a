/** Reaching a peer at an address, and why not, in words an operator can act on. */
import { lookup } from 'node:dns/promises'
import type { Connection, Libp2p } from '@libp2p/interface'
import { type Multiaddr as Libp2pMultiaddr, multiaddr } from '@multiformats/multiaddr'
import { tryPeerId } from '../../src/codec.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { aborted, deadline } from '../../src/lifetime.ts'
import type { Multiaddr, PeerId } from '../../src/types.ts'
import { unreachablePeer } from './link.ts'
import { progress } from './protector.ts'

/** One address, from the first packet to the end of the handshake. */
const dialMs = 4_000
/** When an address has not answered by then, the next one is tried beside it. */
const headStartMs = 250
const addressesMax = 16

export interface DialOptions {
  readonly signal: AbortSignal
  /** Who has to answer there. */
  readonly expected?: PeerId | undefined
  /** Until the host at the address takes the connection. Default: as long as the whole may take. */
  readonly connectMs?: number
}

/**
 * Dials one address. A `/p2p/<id>` behind it (or the old `/ipfs/<id>`) is checked against who answers; without one anybody may.
 * @throws ClusterError `refused` where waiting will not help: another secret, or another peer than expected; `peer_unreachable` otherwise; the
 *   message is one sentence; `signal.reason` when that is aborted
 */
export async function dial(host: Libp2p, address: Multiaddr, options: DialOptions): Promise<Connection> {
  const { where, id } = split(address)
  const expected = options.expected ?? id
  const failed: Failed = (reason, { cause, isFinal = false } = {}) =>
    isFinal
      ? new ClusterError({ code: 'refused' }, `${address}: ${reason}`, { cause })
      : unreachablePeer(expected ?? null, `${address}: ${reason}`, cause)
  const signal = deadline(dialMs, options.signal)
  const targets = await resolve(where, { signal, failed })
  const attempts = targets.map(target => (stop: AbortSignal) => connect(host, target, { ...options, expected, signal: stop, failed }))
  const outcome = await firstOf(attempts, signal)
  options.signal.throwIfAborted()
  if ('won' in outcome) return outcome.won
  throw outcome.errors[0]
}

/**
 * Dials the addresses of one peer, each with a head start over the next; the first that answers wins.
 * @throws ClusterError `peer_unreachable` when none did, saying why of each
 */
export async function dialPeer(
  host: Libp2p,
  peer: PeerId,
  addresses: readonly Multiaddr[],
  { signal, connectMs }: Pick<DialOptions, 'signal' | 'connectMs'>
): Promise<Connection> {
  if (addresses.length === 0) throw unreachablePeer(peer, 'no address of it is known')
  const attempts = addresses
    .slice(0, addressesMax)
    .map(address => (stop: AbortSignal) => dial(host, address, { signal: stop, expected: peer, ...(connectMs && { connectMs }) }))
  const outcome = await firstOf(attempts, signal)
  signal.throwIfAborted()
  if ('won' in outcome) return outcome.won
  const reasons = new Set(outcome.errors.map(error => messageOf(error).replace(`peer ${peer} does not answer: `, '')))
  throw unreachablePeer(peer, [...reasons].join('; '), new AggregateError(outcome.errors))
}

type Failed = (reason: string, options?: { cause?: unknown; isFinal?: boolean }) => ClusterError

type Outcome<T> = { readonly won: T } | { readonly errors: readonly unknown[] }

/** Each attempt gets a head start over the next, which a failure cuts short; once one has won, the others are told to stop. */
async function firstOf<T>(attempts: readonly ((stop: AbortSignal) => Promise<T>)[], signal: AbortSignal): Promise<Outcome<T>> {
  const errors: unknown[] = []
  const won = new AbortController()
  const stop = AbortSignal.any([signal, won.signal])
  const { promise, resolve } = Promise.withResolvers<Outcome<T>>()
  let begun = 0
  let timer: NodeJS.Timeout | undefined
  const next = (): void => {
    clearTimeout(timer)
    const attempt = attempts[begun]
    if (attempt === undefined || stop.aborted) return
    begun++
    timer = setTimeout(next, headStartMs)
    attempt(stop).then(
      value => resolve({ won: value }),
      error => {
        errors.push(error)
        if (errors.length === attempts.length || (stop.aborted && errors.length === begun)) resolve({ errors })
        else next()
      }
    )
  }
  next()
  if (begun === 0) resolve({ errors: [signal.reason] })
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    won.abort(new Error('another address answered'))
  }
}

async function connect(
  host: Libp2p,
  target: Libp2pMultiaddr,
  { signal, expected, connectMs = dialMs, failed }: DialOptions & { failed: Failed }
): Promise<Connection> {
  let stage: Stage = 'connecting'
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new DOMException('not connected in time', 'TimeoutError')), connectMs)
  const onProgress = ({ type }: { type: string }) => {
    if (type === progress.foreign) stage = 'foreign'
    if (stage !== 'connecting' || (type !== progress.connected && type !== 'upgrader:encrypt-outbound-connection')) return
    stage = 'connected'
    clearTimeout(timer)
  }
  let connection: Connection
  try {
    // Without the id: libp2p would answer a wrong one with a message only, and we want to know who is there instead.
    connection = await host.dial(target, { signal: AbortSignal.any([signal, late.signal]), onProgress })
  } catch (error) {
    throw failed(explain(error, { stage, connectMs }), { cause: error, isFinal: (stage as Stage) === 'foreign' })
  } finally {
    clearTimeout(timer)
  }
  const answering = connection.remotePeer.toString()
  if (expected === undefined || answering === expected) return connection
  // It is left alone: it may be the one that serves that other peer. libp2p keeps one connection for an address, so they do not add up.
  throw failed(`another peer answers there, ${answering}: its identity is not the expected one`, { isFinal: true })
}

/** Names are asked for here, anew each time: a slow answer is then not taken for a silent host, and every address of the name is tried. */
async function resolve(where: string, { signal, failed }: { signal: AbortSignal; failed: Failed }): Promise<readonly Libp2pMultiaddr[]> {
  let targets = [where]
  const [, kind = '', name = '', rest = ''] = /^\/(dns[46]?)\/([^/]+)(.*)$/.exec(where) ?? []
  if (name !== '') {
    const family = kind === 'dns4' ? 4 : kind === 'dns6' ? 6 : 0
    const late = aborted(signal).then(() => Promise.reject(signal.reason))
    const found = await Promise.race([lookup(name, { all: true, family }), late]).catch(error => {
      throw failed(explain(error, { stage: 'resolving', connectMs: dialMs }), { cause: error })
    })
    targets = found.map(({ address, family }) => `/ip${family}/${address}${rest}`)
  }
  try {
    return targets.map(target => multiaddr(target))
  } catch (error) {
    throw failed('this is not an address: expected text like /ip4/10.0.0.7/tcp/9096 or /dns4/peer-1/tcp/9096', { cause: error })
  }
}

function split(address: Multiaddr): { readonly where: string; readonly id: PeerId | undefined } {
  const [, where = address, id = ''] = /^(.*)\/(?:p2p|ipfs)\/([^/]+)$/.exec(address) ?? []
  return { where, id: tryPeerId(id) }
}

/** How far a dial came: `foreign` is known of the other side, whatever happens then. */
type Stage = 'resolving' | 'connecting' | 'connected' | 'foreign'

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (connection refused)',
  ENOTFOUND: 'the name cannot be resolved',
  EAI_AGAIN: 'the name cannot be resolved now',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the network',
  ETIMEDOUT: 'the host does not answer'
}

function explain(error: unknown, { stage, connectMs }: { stage: Stage; connectMs: number }): string {
  if (stage === 'foreign') return 'something listens there, but no peer of this network: it has another secret, or is no flotilla peer'
  const { code, name } = error as NodeJS.ErrnoException
  const isLate = name === 'TimeoutError' || name === 'AbortError'
  if (name === 'InvalidPeerIdError') return 'this peer itself answers there'
  if (stage === 'connected') {
    // Not said of the secret: a peer that is frozen, overloaded or stopping looks the same.
    return isLate
      ? `something listens there, but does not finish the handshake within ${dialMs / 1_000} s: it hangs, or is no flotilla peer`
      : 'something listens there, but breaks off the handshake: it is stopping, or is no flotilla peer'
  }
  const known = reasons[code ?? '']
  if (known !== undefined) return known
  if (name === 'NoValidAddressesError') return 'peers are reached over TCP only'
  if (isLate) return stage === 'resolving' ? 'the name is not resolved in time' : `no answer within ${connectMs / 1_000} s`
  return messageOf(error)
}
