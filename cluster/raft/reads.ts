/**
 * Linearizable reads without a write (Raft thesis, 6.4): a leader that hears from a majority after it was asked led when it was asked, so its commit
 * index of then is at least everybody's. It must have committed an entry of its own term, or it may not know yet what earlier leaders committed.
 *
 * Heartbeats carry a number that grows with every round and is never used again: an answer to an earlier round proves nothing about a later
 * question (etcd, #20418).
 */
import { type Node, send } from './node.ts'
import { agreedIndex } from './quorum.ts'
import type { ReadState, Refusal } from './types.ts'

export function askRead(node: Node, id: number): Refusal | null {
  if (node.role !== 'leader') return 'not_leader'
  node.reads.push({ id, round: node.round + 1 })
  return null
}

/** One round for all that were asked since the last one began. */
export function beginRound(node: Node): void {
  if ((node.reads.at(-1)?.round ?? 0) <= node.round) return
  node.round++
  node.heartbeatElapsed = 0
  sendHeartbeats(node)
  confirmReads(node)
}

export function sendHeartbeats(node: Node): void {
  for (const follower of node.followers.values()) {
    // Never beyond what this follower has: its log may end in entries that were never agreed.
    send(node, { type: 'heartbeat', to: follower.id, term: node.term, commit: Math.min(follower.match, node.commit), token: node.round })
  }
}

/** After an answer, or a commit. */
export function confirmReads(node: Node): void {
  if (node.reads.length === 0 || !hasCommittedInTerm(node)) return
  const { membership, settings } = node
  const confirmed = agreedIndex(membership.current, id => (id === settings.id ? node.round : (node.followers.get(id)?.round ?? 0)))
  while (node.reads[0] !== undefined && node.reads[0].round <= confirmed) {
    // The commit index of now is later than that of then, which is as good.
    const released: ReadState = { id: node.reads[0].id, index: node.commit }
    node.reads.shift()
    node.released.push(released)
  }
}

export function hasCommittedInTerm(node: Node): boolean {
  return node.log.termAt(node.commit) === node.term
}
