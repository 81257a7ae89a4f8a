/**
 * Which peers hold a pin: pure placement, in proportion to free space. The same input always gives the same answer.
 *
 * Each peer draws a lot for each CID, by a hash of both, weighted with its free space (weighted rendezvous hashing, D. G. Thaler and C. V. Ravishankar,
 * "A Name-Based Mapping Scheme for Rendezvous", 1996): over many pins a peer with twice the space gets twice as many, and a new pin goes to the same peers
 * whoever is asked, as long as they agree about the space roughly. To take the peer with the most space instead would send every pin to one and the same
 * peer until the next report of its space: one Kubo works, the others wait.
 *
 * Differences to ipfs-cluster's balanced allocator, on purpose: a holder that is alive stays one when its disk is full (moving a copy away
 * from a full, healthy peer loses time and gains nothing), and asking for other factors takes effect at once, also upwards.
 */
import { hash } from 'node:crypto'
import { ClusterError } from '../src/errors.ts'
import type { Cid, PeerId } from '../src/types.ts'

export interface Candidate {
  readonly id: PeerId
  /** It was heard of lately. */
  readonly isAlive: boolean
  /** `null` where its Kubo did not say: then it can keep what it holds but gets nothing new. */
  readonly freeBytes: number | null
}

export interface Placement {
  readonly cid: Cid
  readonly replicationMin: number
  readonly replicationMax: number
  /** The present holders; empty for a new pin and for one on every peer. */
  readonly current: readonly PeerId[]
  /** The factors are the ones the present holders were chosen for. */
  readonly isUnchanged: boolean
  /** Peers to take first. */
  readonly preferred: readonly PeerId[]
  readonly candidates: readonly Candidate[]
}

/**
 * @returns holders, sorted; empty means every peer (both factors -1)
 * @throws ClusterError `not_enough_peers` when fewer than the minimum can take it
 */
export function allocate(placement: Placement): PeerId[] {
  const { replicationMin: min, replicationMax: max } = placement
  if (min === -1) return []
  const byId = new Map(placement.candidates.map(candidate => [candidate.id, candidate]))
  const living = placement.current.filter(id => byId.get(id)?.isAlive)
  if (placement.isUnchanged && living.length >= min) return [...placement.current]
  const order = ranking(placement, byId)
  const kept = living.toSorted(order).slice(0, max)
  const free = placement.candidates
    .filter(({ id, isAlive, freeBytes }) => isAlive && freeBytes !== null && freeBytes > 0 && !kept.includes(id))
    .map(({ id }) => id)
    .toSorted(order)
  const chosen = [...kept, ...free.slice(0, Math.max(0, max - kept.length))]
  if (chosen.length < min) {
    throw new ClusterError(
      { code: 'not_enough_peers', wanted: min, available: chosen.length },
      `not enough peers to allocate CID. Needed at least: ${min}. Wanted at most: ${max}. Available candidates: ${chosen.length}. ${excuses(placement)}`
    )
  }
  return chosen.toSorted()
}

/** Preferred peers in the order given, then the ones with the better lots; equal ones by id, so that the order is total. */
function ranking({ cid, preferred }: Placement, byId: ReadonlyMap<PeerId, Candidate>): (a: PeerId, b: PeerId) => number {
  const preference = (id: PeerId) => {
    const at = preferred.indexOf(id)
    return at === -1 ? preferred.length : at
  }
  const lots = new Map([...byId.values()].map(({ id, freeBytes }) => [id, lot(cid, id, freeBytes)]))
  const lotOf = (id: PeerId) => lots.get(id) ?? -1
  return (a, b) => preference(a) - preference(b) || lotOf(b) - lotOf(a) || (a < b ? -1 : 1)
}

/** The larger, the better: the chance of having the largest is in proportion to the space. Without space, below all that have some. */
function lot(cid: Cid, peer: PeerId, freeBytes: number | null): number {
  if (freeBytes === null || freeBytes <= 0) return -1
  const drawn = hash('sha256', `${cid} ${peer}`, 'buffer').readUIntBE(0, 6)
  return freeBytes / -Math.log((drawn + 0.5) / 2 ** 48)
}

function excuses({ candidates }: Placement): string {
  const lines = candidates
    .filter(({ isAlive, freeBytes }) => !isAlive || freeBytes === null || freeBytes <= 0)
    .map(
      ({ id, isAlive, freeBytes }) => `${id} ${!isAlive ? 'does not answer' : freeBytes === null ? 'has no word from its Kubo' : 'is full'}`
    )
  return lines.length === 0 ? `The cluster has ${candidates.length} peers.` : `Left out: ${lines.join(', ')}.`
}
