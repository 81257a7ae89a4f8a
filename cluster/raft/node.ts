/** The state of one node, shared by the files of the core and by nobody else. */
import type { RaftLog } from './log.ts'
import type { Membership } from './membership.ts'
import type { Progress } from './progress.ts'
import type { Fetch, Message, NodeId, RaftRole, RaftSettings, ReadState } from './types.ts'

/** Leadership on its way to another node. It ends with the role or the term. */
export interface Transfer {
  readonly to: NodeId
  /** Ticks since it began. */
  elapsed: number
  /** The successor was asked to stand. */
  isAsked: boolean
}

export interface Node {
  readonly settings: RaftSettings
  readonly log: RaftLog
  readonly membership: Membership
  term: number
  vote: NodeId | null
  role: RaftRole
  leader: NodeId | null
  commit: number
  applied: number
  /** Ticks since the leader was heard, since the candidacy began, or, on a leader, since its quorum was checked. */
  electionElapsed: number
  heartbeatElapsed: number
  /** Drawn anew at every change of role or term. */
  electionTimeout: number
  /** Answers to this node's candidacy. */
  votes: Map<NodeId, boolean>
  /** On a leader: every other member, in the order of ids. */
  followers: Map<NodeId, Progress>
  /** On a leader: proposals that are not committed, oldest first. */
  uncommitted: { readonly index: number; readonly bytes: number }[]
  uncommittedBytes: number
  /** On a leader: to whom it hands over. */
  transfer: Transfer | null
  /** On a leader: reads that no majority has confirmed yet, oldest first, each with the round of heartbeats that it needs. */
  reads: { readonly id: number; readonly round: number }[]
  /** Of heartbeats, the last one that began. Never used twice. */
  round: number
  /** On a follower: the leader that has compacted away what this node needs next, and has the state instead. */
  snapshotFrom: NodeId | null
  /** Messages that may leave at once, and those that wait for the write. */
  outbox: Message[]
  afterPersist: Message[]
  fetches: Fetch[]
  /** Reads that are confirmed. */
  released: ReadState[]
}

type WithoutEnvelope<M> = M extends Message ? Omit<M, 'from'> : never

export function send(node: Node, message: WithoutEnvelope<Message>): void {
  node.outbox.push({ ...message, from: node.settings.id } as Message)
}

/** For votes and acknowledgements: what they promise must be on disk before they leave (Raft thesis, 3.8). */
export function sendAfterPersist(node: Node, message: WithoutEnvelope<Message>): void {
  node.afterPersist.push({ ...message, from: node.settings.id } as Message)
}

export function drawElectionTimeout({ electionTicks, random }: RaftSettings): number {
  return electionTicks + random(electionTicks)
}
