/** Replication: appends and heartbeats on both sides, and the rule by which a leader commits (Raft paper, 5.3 and 5.4). */
import { assert } from './assert.ts'
import { becomeFollower, syncFollowers } from './election.ts'
import { type Node, send, sendAfterPersist } from './node.ts'
import type { Progress } from './progress.ts'
import { agreedIndex } from './quorum.ts'
import { confirmReads } from './reads.ts'
import { announceSnapshot } from './snapshot.ts'
import { sizeOf } from './tail.ts'
import { continueTransfer } from './transfer.ts'
import type { Entry, Message } from './types.ts'

type Of<T extends Message['type']> = Extract<Message, { type: T }>

// ---- leader ----

/** Sends every follower what it may have now. */
export function replicate(node: Node): void {
  for (const follower of node.followers.values()) {
    while (sendAppend(node, follower)) {
      // One message after the other, until the window is full or everything is sent.
    }
  }
}

/** @returns whether there may be more to send at once */
function sendAppend(node: Node, follower: Progress): boolean {
  if (follower.isFetching || follower.isPaused(node.settings)) return false
  if (follower.state === 'replicate' && follower.next > node.log.lastIndex) {
    tellCommit(node, follower)
    return false
  }
  if (node.log.termAt(follower.next - 1) === undefined) {
    announceSnapshot(node, follower)
    return false
  }
  if (follower.next > node.log.lastIndex) {
    sendEntries(node, follower, [])
    return false
  }
  const entries = node.log.recent(follower.next, node.settings.appendBytesMax)
  if (entries.length === 0) {
    follower.isFetching = true
    node.fetches.push({ to: follower.id, index: follower.next, bytesMax: node.settings.appendBytesMax })
    return false
  }
  sendEntries(node, follower, entries)
  return follower.state === 'replicate'
}

/** An empty append would say the same and be answered, twice for every entry where clients come one at a time. */
function tellCommit(node: Node, follower: Progress): void {
  const commit = Math.min(follower.match, node.commit)
  if (commit <= follower.sentCommit) return
  follower.sentCommit = commit
  send(node, { type: 'commit', to: follower.id, term: node.term, commit })
}

function sendEntries(node: Node, follower: Progress, entries: readonly Entry[]): void {
  const previousIndex = follower.next - 1
  const previousTerm = node.log.termAt(previousIndex)
  assert(previousTerm !== undefined, 'the entry before an append has a term')
  send(node, { type: 'append', to: follower.id, term: node.term, previousIndex, previousTerm, entries, commit: node.commit })
  follower.sentCommit = node.commit
  const last = entries.at(-1)
  if (last !== undefined)
    follower.sent(
      last.index,
      entries.reduce((bytes, entry) => bytes + sizeOf(entry), 0)
    )
  else if (follower.state === 'probe') follower.isWaiting = true
}

/** Entries that were read from disk for `to`: those behind the first ones may have been replaced in memory, with the write still under way. */
export function supply(node: Node, to: string, entries: readonly Entry[]): void {
  const follower = node.followers.get(to)
  if (node.role !== 'leader' || !follower?.isFetching) return
  follower.isFetching = false
  const replaced = entries.findIndex(({ index, term }) => node.log.termAt(index) !== term)
  const valid = replaced === -1 ? entries : entries.slice(0, replaced)
  const isInPlace = valid[0]?.index === follower.next && node.log.termAt(follower.next - 1) !== undefined
  if (isInPlace && !follower.isPaused(node.settings)) sendEntries(node, follower, valid)
}

export function heardHeartbeatReply(node: Node, { from, token }: Of<'heartbeat_reply'>): void {
  const follower = node.followers.get(from)
  if (follower === undefined) return
  follower.resume()
  follower.round = Math.max(follower.round, token)
  confirmReads(node)
  // The announcement may be lost, and the follower may have begun anew since. Or what it has not acknowledged was cut away meanwhile.
  if (follower.state === 'snapshot' || node.log.termAt(follower.next - 1) === undefined) return announceSnapshot(node, follower)
  // Something is unanswered: it, or its answer, may be lost, and with no new proposals nobody would notice. An empty append behind what was
  // sent finds out, whether the window is full or not: it is acknowledged, which opens the window, or refused, which starts a probe.
  if (follower.state === 'replicate' && follower.next > follower.match + 1) sendEntries(node, follower, [])
}

export function heardAppendReply(node: Node, message: Of<'append_reply'>): void {
  const follower = node.followers.get(message.from)
  if (follower === undefined) return
  follower.isActive = true
  if (message.rejected) {
    const hint = node.log.lastUpToTerm(message.hintIndex, message.hintTerm).index
    follower.reject(message.index, hint)
    return
  }
  if (message.index > node.log.lastIndex) return
  if (!follower.acknowledge(message.index)) return
  advanceCommit(node)
  continueTransfer(node)
}

/** Commits what a majority of the voters has durably, in the leader's own term only (Raft paper, figure 8). */
export function advanceCommit(node: Node): void {
  const { log, membership, settings } = node
  const agreed = agreedIndex(membership.current, id => (id === settings.id ? log.durable : (node.followers.get(id)?.match ?? 0)))
  if (agreed <= node.commit || log.termAt(agreed) !== node.term) return
  node.commit = agreed
  while (node.uncommitted[0] !== undefined && node.uncommitted[0].index <= agreed)
    node.uncommittedBytes -= node.uncommitted.shift()?.bytes ?? 0
  confirmReads(node)
  const isLeaving = membership.index <= agreed && !membership.isVoter(settings.id)
  membership.commit(agreed)
  if (isLeaving) {
    // The others must learn of the commit from somebody: tell them before leaving office.
    replicate(node)
    becomeFollower(node, node.term, null)
  }
}

// ---- follower ----

export function heardAppend(node: Node, message: Of<'append'>): void {
  const { from: to, previousIndex, previousTerm, entries } = message
  if (previousIndex < node.commit) {
    // What is committed matches; the leader goes on behind it.
    sendAfterPersist(node, { type: 'append_reply', to, term: node.term, index: node.commit, rejected: false })
    return
  }
  if (node.log.termAt(previousIndex) !== previousTerm) {
    const hint = node.log.lastUpToTerm(Math.min(previousIndex, node.log.lastIndex), previousTerm)
    send(node, {
      type: 'append_reply',
      to,
      term: node.term,
      index: previousIndex,
      rejected: true,
      hintIndex: hint.index,
      hintTerm: hint.term
    })
    return
  }
  const conflict = entries.findIndex(entry => node.log.termAt(entry.index) !== entry.term)
  if (conflict !== -1) appendFrom(node, entries.slice(conflict))
  node.snapshotFrom = null
  const last = previousIndex + entries.length
  commitTo(node, Math.min(message.commit, last))
  sendAfterPersist(node, { type: 'append_reply', to, term: node.term, index: last, rejected: false })
}

/** Only a real conflict drops entries: an old message that was overtaken must not (etcd/raft, reordered appends). */
function appendFrom(node: Node, entries: readonly Entry[]): void {
  const first = entries[0]
  assert(first !== undefined, 'there is something to append')
  if (first.index <= node.log.lastIndex) {
    node.log.truncateFrom(first.index, node.commit)
    node.membership.truncateFrom(first.index)
  }
  node.log.append(entries)
  for (const entry of entries) if (entry.type === 'configuration') node.membership.append(entry.index, entry.configuration)
}

export function heardCommit(node: Node, { commit }: Of<'commit'>): void {
  commitTo(node, Math.min(commit, node.log.lastIndex))
}

export function heardHeartbeat(node: Node, { from: to, commit, token }: Of<'heartbeat'>): void {
  commitTo(node, Math.min(commit, node.log.lastIndex))
  send(node, { type: 'heartbeat_reply', to, term: node.term, token })
}

function commitTo(node: Node, commit: number): void {
  if (commit <= node.commit) return
  node.commit = commit
  node.membership.commit(commit)
}

/** A leader adds an entry of its own. */
export function appendOwn(node: Node, entry: Entry): void {
  node.log.append([entry])
  if (entry.type !== 'configuration') return
  node.membership.append(entry.index, entry.configuration)
  syncFollowers(node)
}
