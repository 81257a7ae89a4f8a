/** Peers on loopback with real libp2p nodes. */
import { createIdentity, type PeerIdentity } from '../../cluster/net/identity.ts'
import { Network, type NetworkSettings } from '../../cluster/net/network.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { parseMultiaddr } from '../../src/codec.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import { openLog } from '../../src/log.ts'
import type { Multiaddr } from '../../src/types.ts'

export const secret = Buffer.alloc(32, 7)
export const silent: Log = openLog({ level: 'silent', name: 'test' })
export const loopback = parseMultiaddr('/ip4/127.0.0.1/tcp/0')

export type Opening = Partial<NetworkSettings> & {
  readonly cluster?: string
  readonly log?: Log
  readonly clock?: Clock
  readonly port?: number
}

/** A started peer that serves `echo` to members, `open` to everybody, and `fail` with a fault. */
export async function openNetwork({ cluster, log = silent, clock = systemClock, port = 0, ...settings }: Opening = {}): Promise<Network> {
  const network = new Network(
    { clock, log },
    {
      identity: settings.identity ?? (await createIdentity()),
      secret,
      listen: [parseMultiaddr(`/ip4/127.0.0.1/tcp/${port}`)],
      announce: [],
      name: 'test',
      ...settings
    }
  )
  await network.start()
  if (cluster !== undefined) network.setClusterId(cluster)
  network.handle('echo', async (_from, payload) => payload)
  network.handle('open', async (from, payload) => Buffer.concat([Buffer.from(from), payload]), { open: true })
  network.handle('fail', async () => {
    throw new ClusterError({ code: 'not_enough_peers', wanted: 3, available: 2 }, 'too few')
  })
  return network
}

/** Everybody is a member of everybody's cluster. */
export function introduce(...networks: readonly Network[]): void {
  for (const one of networks) one.setMembers(networks.filter(other => other !== one).map(memberOf))
}

export function memberOf({ self, addresses }: Network): { id: Network['self']; addresses: readonly string[] } {
  return { id: self, addresses }
}

/** The first address, and its port. */
export function placeOf(network: Network): { readonly address: Multiaddr; readonly bare: Multiaddr; readonly port: number } {
  const [address] = network.addresses
  if (address === undefined) throw new Error('the network listens nowhere')
  return { address, bare: parseMultiaddr(address.replace(/\/p2p\/.*/, '')), port: Number(address.split('/')[4]) }
}

export type { PeerIdentity }
