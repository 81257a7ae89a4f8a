/**
 * The core: one node of a Raft group as a pure state machine. It only decides; writing, sending and waiting is the driver's.
 * The design follows etcd/raft; membership follows the Raft thesis, 4.1 to 4.2: effective on append, one change at a time, and only after the
 * leader has committed an entry of its own term (Ongaro's correction of 2015).
 */
import { assert } from './assert.ts'
import { answerVote, becomeFollower, campaign, checkQuorum, countVote, isLoyal, ownVotePersisted, tickElection } from './election.ts'
import { RaftLog } from './log.ts'
import { Membership, overlaps, type Placed, sorted } from './membership.ts'
import { drawElectionTimeout, type Node, send } from './node.ts'
import { voters } from './quorum.ts'
import { askRead, beginRound, hasCommittedInTerm, sendHeartbeats } from './reads.ts'
import {
  advanceCommit,
  appendOwn,
  heardAppend,
  heardAppendReply,
  heardCommit,
  heardHeartbeat,
  heardHeartbeatReply,
  replicate,
  supply
} from './replication.ts'
import { compact, heardSnapshot, installSnapshot } from './snapshot.ts'
import { sizeOf } from './tail.ts'
import { Trace } from './trace.ts'
import { heardTimeoutNow, startTransfer, tickTransfer } from './transfer.ts'
import type {
  Configuration,
  Entry,
  HardState,
  Message,
  NodeId,
  RaftCore,
  RaftRole,
  RaftSettings,
  RaftStatus,
  ReadState,
  Ready,
  Refusal,
  Restored,
  Snapshot
} from './types.ts'

export class Raft implements RaftCore {
  readonly #node: Node
  /** The hard state as it is on disk, or will be with the outstanding write. */
  #saved: HardState
  #reportedCommit: number
  #isWriting = false
  /** The outstanding write carries this node's vote for itself in that term. */
  #ownVote: number | null = null
  #isBusy = false
  readonly #trace: Trace | undefined

  constructor(settings: RaftSettings, restored: Restored) {
    assert(settings.electionTicks >= 3 * settings.heartbeatTicks, 'an election timeout is at least three heartbeats')
    const { term, vote, commit } = restored.hardState
    assert(restored.applied <= commit && commit <= restored.lastIndex, 'applied, commit and last index are in order')
    this.#saved = restored.hardState
    this.#reportedCommit = restored.applied
    this.#node = {
      settings,
      log: new RaftLog(restored, settings.cacheBytesMax),
      membership: new Membership(restored),
      term,
      vote,
      role: 'follower',
      leader: null,
      commit,
      applied: restored.applied,
      electionElapsed: 0,
      heartbeatElapsed: 0,
      electionTimeout: drawElectionTimeout(settings),
      votes: new Map(),
      followers: new Map(),
      uncommitted: [],
      uncommittedBytes: 0,
      transfer: null,
      reads: [],
      round: 0,
      snapshotFrom: null,
      outbox: [],
      afterPersist: [],
      fetches: [],
      released: []
    }
    if (settings.trace) this.#trace = new Trace(this.#node, settings.trace)
  }

  tick({ mayCampaign = true }: { readonly mayCampaign?: boolean } = {}): void {
    this.#exclusively(() => {
      const node = this.#node
      if (node.role !== 'leader') return tickElection(node, mayCampaign)
      checkQuorum(node)
      tickTransfer(node)
      if (node.role !== 'leader' || ++node.heartbeatElapsed < node.settings.heartbeatTicks) return
      node.heartbeatElapsed = 0
      sendHeartbeats(node)
    })
  }

  step(message: Message): void {
    this.#exclusively(() => {
      if (message.to !== this.#node.settings.id) return
      this.#trace?.received(message)
      if (this.#agreeOnTerm(message)) this.#handle(message)
    })
  }

  /** Moves to the sender's term where it is later. @returns whether the message is to be handled */
  #agreeOnTerm(message: Message): boolean {
    const node = this.#node
    if (message.type === 'vote' && message.term >= node.term && isLoyal(node, message)) return false
    if (message.term > node.term) {
      // A pre-vote, and a grant of one, speak of a term that nobody is in yet.
      const isHypothetical =
        (message.type === 'vote' && message.isPreVote) || (message.type === 'vote_reply' && message.isPreVote && !message.rejected)
      if (!isHypothetical) becomeFollower(node, message.term, isFromLeader(message) ? message.from : null)
      return true
    }
    if (message.term === node.term) return true
    // Somebody is behind. An old leader must learn of the new term, a candidate as well; the rest is only late.
    if (isFromLeader(message)) send(node, { type: 'append_reply', to: message.from, term: node.term, index: 0, rejected: false })
    if (message.type === 'vote') {
      send(node, { type: 'vote_reply', to: message.from, term: node.term, isPreVote: message.isPreVote, rejected: true })
    }
    return false
  }

  #handle(message: Message): void {
    const node = this.#node
    switch (message.type) {
      case 'vote':
        answerVote(node, message)
        break
      case 'vote_reply':
        countVote(node, message)
        break
      case 'append':
      case 'heartbeat':
      case 'commit':
      case 'timeout_now':
      case 'snapshot':
        assert(node.role !== 'leader', 'a term has one leader')
        if (node.role !== 'follower') becomeFollower(node, node.term, message.from)
        node.leader = message.from
        node.electionElapsed = 0
        if (message.type === 'append') heardAppend(node, message)
        else if (message.type === 'heartbeat') heardHeartbeat(node, message)
        else if (message.type === 'commit') heardCommit(node, message)
        else if (message.type === 'timeout_now') heardTimeoutNow(node, message)
        else heardSnapshot(node, message)
        break
      case 'append_reply':
        if (node.role === 'leader') heardAppendReply(node, message)
        break
      case 'heartbeat_reply':
        if (node.role === 'leader') heardHeartbeatReply(node, message)
        break
    }
  }

  propose(data: Uint8Array): { readonly index: number; readonly term: number } | { readonly refused: Refusal } {
    return this.#exclusively(() => {
      const node = this.#node
      if (node.role !== 'leader') return { refused: 'not_leader' }
      if (node.transfer !== null) return { refused: 'transferring' }
      const entry: Entry = { index: node.log.lastIndex + 1, term: node.term, type: 'normal', data }
      const bytes = sizeOf(entry)
      // One entry always fits, or an entry larger than the limit could never be proposed.
      const isFull = node.uncommittedBytes > 0 && node.uncommittedBytes + bytes > node.settings.uncommittedBytesMax
      if (isFull) return { refused: 'overloaded' }
      node.uncommitted.push({ index: entry.index, bytes })
      node.uncommittedBytes += bytes
      appendOwn(node, entry)
      return { index: entry.index, term: entry.term }
    })
  }

  proposeConfiguration(next: Configuration): { readonly index: number; readonly term: number } | { readonly refused: Refusal } {
    return this.#exclusively(() => {
      const node = this.#node
      if (node.role !== 'leader') return { refused: 'not_leader' }
      if (node.transfer !== null) return { refused: 'transferring' }
      if (voters(next).length === 0) return { refused: 'no_voters' }
      if (node.membership.index > node.commit) return { refused: 'change_pending' }
      if (!hasCommittedInTerm(this.#node)) return { refused: 'no_commit_in_term' }
      assert(overlaps(node.membership.current, next), 'one vote changes at a time')
      const entry: Entry = { index: node.log.lastIndex + 1, term: node.term, type: 'configuration', configuration: sorted(next) }
      appendOwn(node, entry)
      return { index: entry.index, term: entry.term }
    })
  }

  campaign(): void {
    this.#exclusively(() => campaign(this.#node))
  }

  transfer(to: NodeId): Refusal | null {
    return this.#exclusively(() => startTransfer(this.#node, to))
  }

  read(id: number): Refusal | null {
    return this.#exclusively(() => askRead(this.#node, id))
  }

  released(): readonly ReadState[] {
    return this.#node.released.splice(0)
  }

  forgetLeader(): void {
    if (this.#node.role === 'follower') this.#node.leader = null
  }

  outgoing(): readonly Message[] {
    return this.#exclusively(() => {
      this.#sendDue()
      const messages = this.#node.outbox.splice(0)
      this.#trace?.sent(messages)
      return messages
    })
  }

  hasReady(): boolean {
    const node = this.#node
    this.#sendDue()
    return (
      node.outbox.length > 0 ||
      node.afterPersist.length > 0 ||
      node.fetches.length > 0 ||
      node.log.handed < node.log.lastIndex ||
      node.commit > this.#reportedCommit ||
      node.term !== this.#saved.term ||
      node.vote !== this.#saved.vote
    )
  }

  ready(): Ready {
    return this.#exclusively(() => {
      assert(!this.#isWriting, 'one write is outstanding, ever')
      const node = this.#node
      this.#sendDue()
      this.#isWriting = true
      const entries = node.log.handOut()
      const isNewVote = node.term !== this.#saved.term || node.vote !== this.#saved.vote
      const isChanged = isNewVote || node.commit !== this.#saved.commit
      this.#saved = { term: node.term, vote: node.vote, commit: node.commit }
      this.#ownVote = node.role === 'candidate' && node.vote === node.settings.id ? node.term : null
      this.#reportedCommit = node.commit
      const messages = node.outbox.splice(0)
      const afterPersist = node.afterPersist.splice(0)
      this.#trace?.emit('Ready')
      this.#trace?.sent(messages)
      this.#trace?.sent(afterPersist)
      return {
        entries,
        hardState: isChanged ? this.#saved : null,
        mustSync: entries.length > 0 || isNewVote,
        messages,
        afterPersist,
        commit: node.commit,
        fetches: node.fetches.splice(0)
      }
    })
  }

  advance(): void {
    this.#exclusively(() => {
      assert(this.#isWriting, 'a write was outstanding')
      this.#isWriting = false
      const node = this.#node
      node.log.written()
      if (this.#ownVote !== null) ownVotePersisted(node, this.#ownVote)
      if (node.role === 'leader') advanceCommit(node)
    })
  }

  applied(index: number): void {
    assert(index >= this.#node.applied && index <= this.#node.commit, 'only what is committed is applied, in order')
    this.#node.applied = index
  }

  supply(to: NodeId, entries: readonly Entry[]): void {
    this.#exclusively(() => supply(this.#node, to, entries))
  }

  unreachable(to: NodeId): void {
    const follower = this.#node.followers.get(to)
    if (follower?.state === 'replicate') follower.probe()
  }

  install(snapshot: Snapshot): HardState | null {
    return this.#exclusively(() => {
      assert(!this.#isWriting, 'a state comes between two writes')
      const { term, vote } = this.#node
      return installSnapshot(this.#node, snapshot) ? { term, vote, commit: snapshot.index } : null
    })
  }

  compact(index: number): { readonly index: number; readonly term: number } | null {
    return this.#exclusively(() => compact(this.#node, index))
  }

  cached(index: number): Entry | undefined {
    return this.#node.log.cached(index)
  }

  termAt(index: number): number | undefined {
    return this.#node.log.termAt(index)
  }

  get role(): RaftRole {
    return this.#node.role
  }

  get term(): number {
    return this.#node.term
  }

  get leader(): NodeId | null {
    return this.#node.leader
  }

  get commit(): number {
    return this.#node.commit
  }

  get transferTo(): NodeId | null {
    return this.#node.transfer?.to ?? null
  }

  get snapshotFrom(): NodeId | null {
    return this.#node.snapshotFrom
  }

  get configuration(): Configuration {
    return this.#node.membership.current
  }

  get configurations(): readonly Placed[] {
    return this.#node.membership.history
  }

  status(): RaftStatus {
    const node = this.#node
    return {
      id: node.settings.id,
      role: node.role,
      term: node.term,
      vote: node.vote,
      leader: node.leader,
      commit: node.commit,
      lastIndex: node.log.lastIndex,
      configuration: node.membership.current,
      configurationIndex: node.membership.index,
      hasCommittedInTerm: hasCommittedInTerm(this.#node),
      transferTo: this.transferTo,
      followers: [...node.followers.values()].map(({ id, match, next, state, isActive }) => ({
        id,
        match,
        next,
        state,
        isActive,
        isVoter: node.membership.isVoter(id)
      }))
    }
  }

  /** Messages that wait for each other's company. */
  #sendDue(): void {
    if (this.#node.role !== 'leader') return
    beginRound(this.#node)
    replicate(this.#node)
  }

  /** No call is made from within another: a callback that proposes while the core is at work would see it half done. */
  #exclusively<T>(work: () => T): T {
    assert(!this.#isBusy, 'the core is not entered twice')
    this.#isBusy = true
    try {
      const outcome = work()
      this.#trace?.observe()
      return outcome
    } finally {
      this.#isBusy = false
    }
  }
}

function isFromLeader({ type }: Message): boolean {
  return type === 'append' || type === 'heartbeat' || type === 'commit' || type === 'timeout_now' || type === 'snapshot'
}
