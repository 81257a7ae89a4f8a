/**
 * Snapshots. A leader whose log begins behind what a follower needs says so; the state itself travels outside of the core, fetched by the follower in
 * its own time. Then the follower goes on from there, as if it had applied every entry up to it.
 */
import { assert } from './assert.ts'
import { type Node, send, sendAfterPersist } from './node.ts'
import type { Progress } from './progress.ts'
import type { Message, Snapshot } from './types.ts'

/** Nothing else is sent to this follower until it has the state. Repeated with every sign of life of it. */
export function announceSnapshot(node: Node, follower: Progress): void {
  follower.needSnapshot()
  send(node, { type: 'snapshot', to: follower.id, term: node.term, index: node.log.truncated.index })
}

export function heardSnapshot(node: Node, { from, index }: Extract<Message, { type: 'snapshot' }>): void {
  if (index > node.commit) node.snapshotFrom = from
  // The leader knows too little of this node: it has that much.
  else sendAfterPersist(node, { type: 'append_reply', to: from, term: node.term, index: node.commit, rejected: false })
}

/** @returns whether it was of use: a state that is older than what this node has agreed to is not */
export function installSnapshot(node: Node, { index, term, configuration }: Snapshot): boolean {
  const known = node.log.termAt(index)
  const isContinued = known === term
  if (index <= node.commit || node.role === 'leader') {
    assert(index > node.commit || known === undefined || isContinued, 'a snapshot never contradicts what is committed')
    return false
  }
  node.log.restore({ index, term })
  node.membership.restore(configuration, { index, isContinued })
  node.commit = node.applied = index
  node.snapshotFrom = null
  // Acknowledgements that still wait may name entries that are dropped: this one says all there is to say.
  node.afterPersist = node.afterPersist.filter(({ type }) => type !== 'append_reply')
  if (node.leader !== null) sendAfterPersist(node, { type: 'append_reply', to: node.leader, term: node.term, index, rejected: false })
  return true
}

/** Forgets entries that are applied and durable, up to `index` at most. @returns the last one forgotten, or `null` where there was nothing */
export function compact(node: Node, index: number): { readonly index: number; readonly term: number } | null {
  const last = Math.min(index, node.applied, node.log.durable)
  if (last <= node.log.truncated.index) return null
  node.log.compact(last)
  return node.log.truncated
}
