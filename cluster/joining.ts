/** How a peer with an empty folder begins: it founds a cluster, or it joins one through any member it can reach. */
import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../src/clock.ts'
import { ClusterError, isFault, messageOf } from '../src/errors.ts'
import type { Abortable } from '../src/lifetime.ts'
import type { Log } from '../src/log.ts'
import type { Multiaddr, PeerId } from '../src/types.ts'
import type { Newcomer } from './consensus/members.ts'
import type { Beginning } from './consensus/raft-consensus.ts'
import type { Network } from './net/network.ts'

export interface JoiningSettings {
  readonly self: Newcomer
  /** Members to join through; empty: found a cluster. */
  readonly bootstrap: readonly Multiaddr[]
  /** Whom a peer without a cluster joins where there is no bootstrap address: only that cluster will do. */
  readonly invitedBy?: { readonly clusterId: string; readonly addresses: readonly Multiaddr[] } | undefined
  /** Found a cluster of these, each started with the same list; empty: of this peer alone. */
  readonly initPeerset: readonly PeerId[]
  /** Addresses of other peers, each with `/p2p/<id>`. */
  readonly peerAddresses: readonly Multiaddr[]
}

const retryMs = 500

export function beginning(parts: { network: Pick<Network, 'dialAny'>; clock: Clock; log: Log }, settings: JoiningSettings): Beginning {
  const { self, bootstrap, invitedBy, initPeerset, peerAddresses } = settings
  if (initPeerset.length > 0) {
    if (!initPeerset.includes(self.id)) {
      throw new ClusterError(
        { code: 'cannot_start' },
        `consensus.raft.init_peerset does not list this peer (${self.id}): add it, or leave the list empty and use --bootstrap`
      )
    }
    const members = initPeerset.map(id =>
      id === self.id ? self : { id, name: '', addresses: peerAddresses.filter(address => address.endsWith(`/p2p/${id}`)) }
    )
    // All founders must come to the same id without talking to each other.
    const clusterId = createHash('sha256').update(initPeerset.toSorted().join()).digest('hex').slice(0, 32)
    return { type: 'found', clusterId, members }
  }
  if (bootstrap.length > 0) return { type: 'join', contacts: options => reach(parts, bootstrap, options) }
  if (invitedBy !== undefined) return { type: 'join', contacts: options => reach(parts, invitedBy.addresses, options) }
  return { type: 'found', clusterId: randomBytes(16).toString('hex'), members: [self] }
}

/** Whoever answers at the addresses, one after the other, round after round; a mistake that no waiting heals ends it. */
async function* reach(
  { network, clock, log }: { network: Pick<Network, 'dialAny'>; clock: Clock; log: Log },
  addresses: readonly Multiaddr[],
  { signal }: Abortable
): AsyncIterable<PeerId> {
  for (let round = 0; ; round++) {
    for (const address of addresses) {
      try {
        yield await network.dialAny(address, { signal })
      } catch (error) {
        signal?.throwIfAborted()
        if (isFault(error, 'refused')) {
          throw new ClusterError({ code: 'cannot_start' }, `cannot join: ${error.message}`, { cause: error })
        }
        if (round % 20 === 0) log.warn({ address, reason: messageOf(error) }, 'waiting to join')
      }
    }
    await clock.sleep(retryMs, { signal })
  }
}
