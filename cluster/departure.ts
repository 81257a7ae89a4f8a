/**
 * Taking a peer out of the cluster: refused where it would cost the majority or the only copy of a pin, unless told twice; then its pins go to
 * others, and then its vote. The same for a peer that is away, for this one, and for the leader.
 */
import { ClusterError } from '../src/errors.ts'
import type { Abortable } from '../src/lifetime.ts'
import type { Cid, PeerId, PinStatus } from '../src/types.ts'
import type { Consensus } from './consensus/consensus.ts'
import type { Pins } from './pins.ts'
import type { Pinset } from './state/pinset.ts'

export interface DepartureParts {
  readonly self: PeerId
  readonly consensus: Pick<Consensus, 'status' | 'removeMember'>
  readonly pins: Pick<Pins, 'vacate'>
  readonly pinset: Pick<Pinset, 'list'>
  readonly isConnected: (peer: PeerId) => boolean
  readonly statuses: (options: Abortable) => AsyncIterable<PinStatus>
  /** @throws ClusterError `not_ready` */
  readonly requireState: () => void
  /** This peer has left, and may end. */
  readonly onLeft: () => void
}

export class Departure {
  readonly #parts: DepartureParts
  #hasLeft = false

  constructor(parts: DepartureParts) {
    this.#parts = parts
  }

  /** Takes this peer out, and lets it end; one that somebody has removed only ends. @throws ClusterError as {@link remove}: it stays then */
  async leave(options: { force?: boolean | undefined } & Abortable = {}): Promise<void> {
    const { self, consensus, onLeft } = this.#parts
    // Nobody sends a peer the entry that removes it: that it has left it must not have to learn from the others.
    if (!this.#hasLeft && consensus.status().removedAt === null) await this.remove(self, options)
    this.#hasLeft = true
    onLeft()
  }

  /** Nothing happens where it is no member. @throws ClusterError `refused`, `no_leader`, `not_ready` */
  async remove(peer: PeerId, { force = false, signal }: { force?: boolean | undefined } & Abortable = {}): Promise<void> {
    const { consensus, pins, pinset, requireState } = this.#parts
    requireState()
    if (!consensus.status().members.some(({ id }) => id === peer)) return
    this.#requireVoters(peer)
    if (!force) {
      this.#requireMajority(peer)
      await this.#requireCopies(peer, { signal })
    }
    for await (const { cid, allocations } of pinset.list()) {
      signal?.throwIfAborted()
      if (allocations.includes(peer)) await pins.vacate(cid, peer, { signal })
    }
    await consensus.removeMember(peer, { signal })
  }

  #votersWithout(peer: PeerId): readonly PeerId[] {
    const { members } = this.#parts.consensus.status()
    return members.filter(({ id, isVoter }) => isVoter && id !== peer).map(({ id }) => id)
  }

  #requireVoters(peer: PeerId): void {
    if (this.#votersWithout(peer).length === 0) refuse('this is the last peer with a vote: it cannot be removed')
  }

  /** Of those who are left, a majority must be there, or nothing could be agreed any more, also not to take the peer back. */
  #requireMajority(peer: PeerId): void {
    const { self, isConnected } = this.#parts
    const voters = this.#votersWithout(peer)
    const reached = voters.filter(id => id === self || isConnected(id)).length
    const needed = Math.floor(voters.length / 2) + 1
    if (reached < needed)
      refuse(`of the ${voters.length} voters that would be left only ${reached} are reached, ${needed} are needed: force it if you must`)
  }

  /** What it holds, or may hold where it does not answer, must be pinned somewhere else. */
  async #requireCopies(peer: PeerId, options: Abortable): Promise<void> {
    const lost: Cid[] = []
    let count = 0
    for await (const { cid, peers } of this.#parts.statuses(options)) {
      const own = peers.get(peer)?.status
      const mayHold = own === 'pinned' || own === 'cluster_error'
      const isElsewhere = [...peers].some(([id, { status }]) => id !== peer && status === 'pinned')
      if (!mayHold || isElsewhere) continue
      count++
      if (lost.length < 3) lost.push(cid)
    }
    if (count > 0) {
      const names = `${lost.join(', ')}${count > lost.length ? ', ...' : ''}`
      refuse(`it may have the only copy of ${count} ${count === 1 ? 'pin' : 'pins'} (${names}): pin with more copies first, or force it`)
    }
  }
}

function refuse(message: string): never {
  throw new ClusterError({ code: 'refused' }, message)
}
