/** The libp2p node: TCP, the private network, noise and yamux. */
import { createServer } from 'node:net'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { Multiaddr, PeerId } from '../../src/types.ts'
import type { PeerIdentity } from './identity.ts'
import { protector } from './protector.ts'

export interface HostSettings {
  readonly identity: PeerIdentity
  /** 32 bytes; `null` opens the network to everybody who can reach it. */
  readonly secret: Uint8Array | null
  readonly listen: readonly Multiaddr[]
  /** Told to others instead of the addresses listened on; empty: those. */
  readonly announce: readonly Multiaddr[]
}

export interface Host {
  readonly node: Libp2p
  /** Where this peer can be dialled, each with `/p2p/<id>`, those of the loopback interface last. */
  addresses(): readonly Multiaddr[]
}

interface Listening {
  addresses(): readonly string[]
}

/**
 * @param prepare called before the node listens: whoever finds it finds its protocols too
 * @throws ClusterError `cannot_start` where an address cannot be listened on; nothing is left open then
 */
export async function openHost(
  { identity, secret, listen, announce }: HostSettings,
  { log, prepare = async () => {} }: { log: Log; prepare?: (node: Libp2p) => Promise<void> }
): Promise<Host> {
  const usable = listen.filter(address => !isForeign(address))
  if (usable.length < listen.length) {
    // ipfs-cluster's generated configuration has a QUIC address, which neither system can use.
    log.warn({ addresses: listen.filter(isForeign) }, 'listen addresses ignored: peers talk over TCP only')
  }
  if (usable.length === 0) throw cannotListen(listen.join(', '), 'peers need at least one TCP address, as in /ip4/0.0.0.0/tcp/9096')
  if (secret === null) log.warn({}, 'no cluster secret: everybody who can reach this peer may talk to it')
  for (const address of usable) await probe(address)
  let listening: Listening = { addresses: () => [] }
  const node = await createLibp2p({
    start: false,
    privateKey: identity.privateKey,
    addresses: { listen: [...usable] },
    transports: [tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } })],
    connectionEncrypters: [noise()],
    // A window of 1 MiB bounds what a stream that is not read holds, and what is under way in front of a heartbeat.
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 1 << 20, initialStreamWindowSize: 256 << 10 } })],
    ...(secret && { connectionProtector: protector(secret) }),
    connectionManager: {
      // Members behind one address all dial at once after a restart.
      inboundConnectionThreshold: Number.POSITIVE_INFINITY,
      maxIncomingPendingConnections: 100,
      inboundUpgradeTimeout: 4_000
    },
    // For strangers only: members are watched over their links, where a pause of this process does not count against them.
    connectionMonitor: { pingInterval: 15_000, pingTimeout: { minTimeout: 10_000, maxTimeout: 15_000 } },
    services: {
      identify: identify(),
      ping: ping(),
      // libp2p tells public addresses to nobody, its own user included, until a third party has confirmed them. They are taken where they are.
      listening: ({ transportManager }) => (listening = { addresses: () => transportManager.getAddrs().map(String) })
    }
  })
  try {
    await prepare(node)
    await node.start()
  } catch (error) {
    await node.stop()
    throw cannotListen(usable.join(', '), messageOf(error), error)
  }
  const own = announce.length > 0 ? () => announce : () => listening.addresses()
  return {
    node,
    addresses: () =>
      own()
        .map(address => withId(address, identity.id))
        .toSorted(loopbackLast)
  }
}

/** libp2p answers a failure to listen with a message only; the operating system's code says what is wrong. */
async function probe(address: Multiaddr): Promise<void> {
  const [, kind, host, transport, port] = address.split('/')
  if (transport !== 'tcp' || (kind !== 'ip4' && kind !== 'ip6') || host === undefined || port === '0') return
  const server = createServer()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject).listen({ host, port: Number(port) }, () => server.close(() => resolve()))
  try {
    await promise
  } catch (error) {
    throw cannotListen(address, reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? messageOf(error), error)
  }
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'the system does not allow the port'
}

function cannotListen(addresses: string, reason: string, cause?: unknown): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, `cannot listen for peers on ${addresses}: ${reason} (cluster.listen_multiaddress)`, {
    cause
  })
}

/** UDP, and what runs over TCP without being it. */
function isForeign(address: Multiaddr): boolean {
  return !/^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d+(\/(p2p|ipfs)\/[^/]+)?$/.test(address)
}

function withId(address: string, id: PeerId): Multiaddr {
  return (/\/(p2p|ipfs)\/[^/]+$/.test(address) ? address : `${address}/p2p/${id}`) as Multiaddr // libp2p's own text, or parsed before
}

function loopbackLast(a: Multiaddr, b: Multiaddr): number {
  const isLoopback = (address: Multiaddr) => Number(/^\/(ip4\/127\.|ip6\/::1\/)/.test(address))
  return isLoopback(a) - isLoopback(b)
}
