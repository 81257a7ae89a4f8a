/** The libp2p node: TCP, the private network, noise, yamux, and timings that notice a frozen peer within seconds. */
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Multiaddr } from '../../src/types.ts'
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

/** @throws ClusterError `cannot_start` where an address cannot be listened on */
export async function openHost({ identity, secret, listen, announce }: HostSettings): Promise<Libp2p> {
  // Configurations of ipfs-cluster list a QUIC address by default, which a private network cannot use (nor could the Go system).
  const usable = listen.filter(address => !/\/(quic|quic-v1|udp)(\/|$)/.test(address))
  try {
    return await createLibp2p({
      privateKey: identity.privateKey,
      addresses: { listen: [...usable], announce: [...announce] },
      transports: [tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } })],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      ...(secret ? { connectionProtector: protector(secret) } : {}),
      // Members behind one address all dial at once after a restart.
      connectionManager: { inboundConnectionThreshold: Number.POSITIVE_INFINITY, maxIncomingPendingConnections: 100, dialTimeout: 5_000 },
      connectionMonitor: { pingInterval: 1_000, pingTimeout: { minTimeout: 1_500, maxTimeout: 3_000 } },
      services: { identify: identify(), ping: ping() }
    })
  } catch (error) {
    throw new ClusterError(
      { code: 'cannot_start' },
      `cannot listen for peers on ${listen.join(', ')} (cluster.listen_multiaddress): ${reason(error)}`,
      { cause: error }
    )
  }
}

function reason(error: unknown): string {
  const text = error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error)
  return /EADDRINUSE/.test(text) ? 'the port is in use' : text
}
