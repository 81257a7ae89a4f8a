/** Elections: pre-vote, votes, and the changes of role (Raft thesis, 3.4 and 9.6; check-quorum and stickiness as in 6.2 and 4.2.3). */
import { assert } from './assert.ts'
import { drawElectionTimeout, type Node, send, sendAfterPersist } from './node.ts'
import { Progress } from './progress.ts'
import { majority, tally, voters } from './quorum.ts'
import type { Message, NodeId } from './types.ts'

type Of<T extends Message['type']> = Extract<Message, { type: T }>

export function becomeFollower(node: Node, term: number, leader: NodeId | null): void {
  enterTerm(node, term)
  node.role = 'follower'
  node.leader = leader
}

/** Asks whether an election could be won, without disturbing anybody's term. */
export function campaign(node: Node): void {
  if (node.role === 'leader' || !node.membership.mayCampaign(node.settings.id)) return
  enterTerm(node, node.term)
  node.role = 'pre_candidate'
  node.leader = null
  node.votes = new Map([[node.settings.id, true]])
  if (tally(node.membership.current, node.votes) === 'won') stand(node, { isTransfer: false })
  else askForVotes(node, { isPreVote: true, term: node.term + 1, isTransfer: false })
}

/** Becomes a candidate. @param about.isTransfer the leader wants it, so nobody need be loyal to it */
export function stand(node: Node, { isTransfer }: { readonly isTransfer: boolean }): void {
  enterTerm(node, node.term + 1)
  node.role = 'candidate'
  node.leader = null
  node.vote = node.settings.id
  // The own vote counts once it is durable, as everybody else's does.
  node.votes = new Map()
  askForVotes(node, { isPreVote: false, term: node.term, isTransfer })
}

/** The own vote in `term` is on disk. */
export function ownVotePersisted(node: Node, term: number): void {
  if (node.role !== 'candidate' || node.term !== term) return
  node.votes.set(node.settings.id, true)
  settle(node)
}

function becomeLeader(node: Node): void {
  assert(node.role === 'candidate', 'only a candidate becomes leader')
  node.role = 'leader'
  node.leader = node.settings.id
  node.electionElapsed = 0
  node.heartbeatElapsed = 0
  node.followers = new Map()
  syncFollowers(node)
  // Entries of earlier terms are committed only together with one of this term (thesis, 3.6.2).
  node.log.append([{ index: node.log.lastIndex + 1, term: node.term, type: 'empty' }])
}

/** Brings the followers in line with the present configuration. */
export function syncFollowers(node: Node): void {
  const present = node.followers
  // A newcomer counts as heard of, or the next check of the quorum would blame it for its silence.
  node.followers = new Map(
    node.membership.current.members
      .filter(({ id }) => id !== node.settings.id)
      .map(({ id }) => [id, present.get(id) ?? new Progress(id, node.log.lastIndex + 1, true)])
  )
}

/** @param mayCampaign false for a node that was told that it is removed: it looks for no votes, and its own is there for whoever leads it in again */
export function tickElection(node: Node, mayCampaign: boolean): void {
  node.electionElapsed++
  // It was drawn at another pace, maybe.
  const { electionTicks } = node.settings
  if (node.electionElapsed < Math.min(Math.max(node.electionTimeout, electionTicks), 2 * electionTicks - 1)) return
  if (mayCampaign && node.membership.mayCampaign(node.settings.id)) campaign(node)
  // A learner cannot look for votes, but it must not go on believing in a leader that is gone, or that has removed it.
  else node.leader = null
}

/** A leader that has not heard a majority for an election timeout steps down: somebody else may lead by now. */
export function checkQuorum(node: Node): void {
  node.electionElapsed++
  if (node.electionElapsed < node.settings.electionTicks) return
  node.electionElapsed = 0
  const ids = voters(node.membership.current)
  const heard = ids.filter(id => id === node.settings.id || node.followers.get(id)?.isActive).length
  for (const follower of node.followers.values()) follower.isActive = false
  if (heard < majority(ids.length)) becomeFollower(node, node.term, null)
}

/** Whether a request for a vote is ignored because this node heard its leader lately. A transfer says that the leader wants it. */
export function isLoyal(node: Node, { isTransfer }: Of<'vote'>): boolean {
  return !isTransfer && node.leader !== null && node.electionElapsed < node.settings.electionTicks
}

/** A request in our term, or for a later one where it is a pre-vote. Also a learner answers: it may be a voter without knowing yet. */
export function answerVote(node: Node, message: Of<'vote'>): void {
  const isFree = node.vote === message.from || (node.vote === null && node.leader === null)
  const mayGrant = message.isPreVote ? message.term > node.term || isFree : isFree
  const { from: to, isPreVote } = message
  if (!mayGrant || !node.log.isUpToDate(message.lastIndex, message.lastTerm)) {
    // A refusal carries our own term, so that a candidate that is behind learns it.
    send(node, { type: 'vote_reply', to, term: node.term, isPreVote, rejected: true })
    return
  }
  if (isPreVote) {
    send(node, { type: 'vote_reply', to, term: message.term, isPreVote, rejected: false })
    return
  }
  node.vote = to
  node.electionElapsed = 0
  sendAfterPersist(node, { type: 'vote_reply', to, term: node.term, isPreVote, rejected: false })
}

export function countVote(node: Node, message: Of<'vote_reply'>): void {
  const isAwaited = message.isPreVote ? node.role === 'pre_candidate' : node.role === 'candidate'
  // A grant of an earlier round names an earlier term.
  const isOfThisRound = message.rejected || message.term === (message.isPreVote ? node.term + 1 : node.term)
  if (!isAwaited || !isOfThisRound || node.votes.has(message.from)) return
  node.votes.set(message.from, !message.rejected)
  settle(node)
}

function settle(node: Node): void {
  switch (tally(node.membership.current, node.votes)) {
    case 'won':
      if (node.role === 'pre_candidate') stand(node, { isTransfer: false })
      else becomeLeader(node)
      break
    case 'lost':
      becomeFollower(node, node.term, null)
      break
    case 'open':
      break
  }
}

function askForVotes(
  node: Node,
  { isPreVote, term, isTransfer }: { readonly isPreVote: boolean; readonly term: number; readonly isTransfer: boolean }
): void {
  for (const to of voters(node.membership.current)) {
    if (to === node.settings.id) continue
    const request = {
      type: 'vote',
      to,
      term,
      isPreVote,
      lastIndex: node.log.lastIndex,
      lastTerm: node.log.lastTerm,
      isTransfer
    } as const
    // A vote request tells the others to move to the new term, and that this node has voted for itself: not before that is durable.
    if (isPreVote) send(node, request)
    else sendAfterPersist(node, request)
  }
}

function enterTerm(node: Node, term: number): void {
  assert(term >= node.term, 'terms never fall')
  if (term > node.term) {
    node.term = term
    node.vote = null
    // Acknowledgements of the old term may name entries that a new leader replaces before the write: they are worth nothing now.
    node.afterPersist = []
  }
  node.electionElapsed = 0
  node.heartbeatElapsed = 0
  node.electionTimeout = drawElectionTimeout(node.settings)
  node.votes = new Map()
  node.followers = new Map()
  node.uncommitted = []
  node.uncommittedBytes = 0
  node.transfer = null
  node.reads = []
  node.snapshotFrom = null
}
