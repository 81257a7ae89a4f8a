/**
 * What goes into the core and comes out of it. The core is a pure state machine: ticks, a seeded number and messages come in; entries,
 * hard state, messages and committed entries come out (the shape of etcd/raft). Indexes and terms are integers below 2^53; index 0 and
 * term 0 stand for "before the first entry". Entry bytes are never changed after they were handed over.
 */
import type { TraceSink } from './trace.ts'

/** A libp2p peer id as text; the core only compares and sorts it. */
export type NodeId = string

export interface Member {
  readonly id: NodeId
  /** A learner gets the log but has no vote. */
  readonly isVoter: boolean
  /** Opaque to the core: name and addresses, carried so that every member knows where the others are. */
  readonly context: Uint8Array
}

/** Members in the order of their ids. Effective as soon as it is appended (Raft thesis, 4.1). */
export interface Configuration {
  readonly members: readonly Member[]
}

/** `empty` is the entry by which a new leader commits those of earlier terms (thesis, 3.6.2). */
export type Entry =
  | { readonly index: number; readonly term: number; readonly type: 'normal'; readonly data: Uint8Array }
  | { readonly index: number; readonly term: number; readonly type: 'empty' }
  | { readonly index: number; readonly term: number; readonly type: 'configuration'; readonly configuration: Configuration }

export interface HardState {
  readonly term: number
  readonly vote: NodeId | null
  readonly commit: number
}

interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  /** The sender's term; for a pre-vote and a granted pre-vote, the term that is asked for. */
  readonly term: number
}

export type Message =
  | (Envelope & {
      readonly type: 'append'
      readonly previousIndex: number
      readonly previousTerm: number
      readonly entries: readonly Entry[]
      readonly commit: number
    })
  /** `index` is the last one that matches; for a rejection the previous index that was refused, with a hint where to go on. */
  | (Envelope & { readonly type: 'append_reply'; readonly index: number; readonly rejected: false })
  | (Envelope & {
      readonly type: 'append_reply'
      readonly index: number
      readonly rejected: true
      readonly hintIndex: number
      readonly hintTerm: number
    })
  | (Envelope & { readonly type: 'heartbeat'; readonly commit: number; readonly token: number })
  /** News of the commit index, at most what the receiver is known to have, where no entries go that could carry it. Wants no answer. */
  | (Envelope & { readonly type: 'commit'; readonly commit: number })
  | (Envelope & { readonly type: 'heartbeat_reply'; readonly token: number })
  | (Envelope & {
      readonly type: 'vote'
      readonly isPreVote: boolean
      readonly lastIndex: number
      readonly lastTerm: number
      readonly isTransfer: boolean
    })
  /** The receiver is to stand for election at once, if its log reaches `index`: the leader hands over to it. */
  | (Envelope & { readonly type: 'timeout_now'; readonly index: number })
  | (Envelope & { readonly type: 'vote_reply'; readonly isPreVote: boolean; readonly rejected: boolean })
  /** The receiver needs entries that are compacted away: the sender has the state as of `index` or later. */
  | (Envelope & { readonly type: 'snapshot'; readonly index: number })

export type MessageType = Message['type']

export type RaftRole = 'leader' | 'follower' | 'candidate' | 'pre_candidate'

/** The log as it was found on disk at start. */
export interface Restored {
  readonly hardState: HardState
  /** The last entry the state machine has applied, at most `hardState.commit`. */
  readonly applied: number
  /** Index and term of the entry before the first one kept; zeros where nothing was compacted. */
  readonly truncated: { readonly index: number; readonly term: number }
  readonly lastIndex: number
  /** First index of every run of equal terms after `truncated`, ascending: enough to know the term of every entry. */
  readonly terms: readonly { readonly index: number; readonly term: number }[]
  /** Every configuration in the log, and the one before the first entry kept (index 0 for the founding one), ascending. At least one. */
  readonly configurations: readonly { readonly index: number; readonly configuration: Configuration }[]
}

/** What is known of a state that came from elsewhere: the last entry that was applied to it, and the configuration as of that entry. */
export interface Snapshot {
  readonly index: number
  readonly term: number
  readonly configuration: Restored['configurations'][number]
}

/** Ticks may change while the node runs. */
export interface RaftSettings {
  readonly id: NodeId
  /** A follower that hears nothing for this many ticks, plus a random share of as many again, looks for votes. At least 3 heartbeats. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** Bytes of entries in one append message (one entry always fits). */
  readonly appendBytesMax: number
  /** Append messages a follower may have unanswered. */
  readonly inflightMax: number
  /** Bytes of entries a follower may have unanswered. */
  readonly inflightBytesMax: number
  /** Bytes of proposals that may wait for their commit before further ones are refused. */
  readonly uncommittedBytesMax: number
  /** Bytes of recent entries kept in memory; older ones are read from disk by whoever drives the core. */
  readonly cacheBytesMax: number
  /** A whole number from 0 to `below` - 1. */
  readonly random: (below: number) => number
  /** Is told of every transition. Must not throw, and must not call the core. */
  readonly trace?: TraceSink | undefined
}

/** Why a proposal was not taken; it is in no log. */
export type Refusal = 'not_leader' | 'overloaded' | 'change_pending' | 'no_commit_in_term' | 'transferring' | 'no_voters' | 'not_a_voter'

/** Work that the core wants done. See `Raft.ready`. */
export interface Ready {
  /** Append these, after dropping every stored entry with an index at or above the first one's. Contiguous; may be empty. */
  readonly entries: readonly Entry[]
  /** Store in the same batch; `null` where nothing changed. */
  readonly hardState: HardState | null
  /** The batch must be on disk before `advance`: there are entries, or the term or vote changed. */
  readonly mustSync: boolean
  /** May leave at once, in parallel with the write. */
  readonly messages: readonly Message[]
  /** May leave only once the batch is durable: votes and acknowledgements. */
  readonly afterPersist: readonly Message[]
  /** The driver may apply up to here, in the same batch as the entries above or later. Never beyond what will be durable with this batch. */
  readonly commit: number
  /** Reads from disk that replication waits for; answer with `Raft.supply`. */
  readonly fetches: readonly Fetch[]
}

export interface Fetch {
  readonly to: NodeId
  /** First entry wanted. */
  readonly index: number
  readonly bytesMax: number
}

/** A read that may be answered once the entry `index` is applied. */
export interface ReadState {
  readonly id: number
  readonly index: number
}

export interface FollowerProgress {
  readonly id: NodeId
  readonly isVoter: boolean
  /** Highest index known to be durable there. */
  readonly match: number
  readonly next: number
  readonly state: 'probe' | 'replicate' | 'snapshot'
  /** Heard of within the last election timeout. */
  readonly isActive: boolean
}

export interface RaftStatus {
  readonly id: NodeId
  readonly role: RaftRole
  readonly term: number
  readonly vote: NodeId | null
  readonly leader: NodeId | null
  readonly commit: number
  readonly lastIndex: number
  readonly configuration: Configuration
  readonly configurationIndex: number
  /** The leader has committed an entry of its own term, so it may change the configuration and answer reads. */
  readonly hasCommittedInTerm: boolean
  /** On a leader: to whom it is handing over. */
  readonly transferTo: NodeId | null
  /** Only on a leader, every other member, in the order of ids. */
  readonly followers: readonly FollowerProgress[]
}

/**
 * The verbs the driver calls (implemented by `Raft` in raft.ts). Every call is synchronous and returns before it is called again; calling
 * it from within itself is an assertion failure.
 */
export interface RaftCore {
  /** One tick has passed: credited at most once for a pause of any length. `mayCampaign`: false for one that knows that it was removed. */
  tick(options?: { readonly mayCampaign?: boolean }): void
  /** A message of a peer that is authenticated as `message.from`. Unknown senders, old terms and duplicates are tolerated. */
  step(message: Message): void
  /** Appends `data` on a leader. */
  propose(data: Uint8Array): { readonly index: number; readonly term: number } | { readonly refused: Refusal }
  /** One member added, removed or promoted against the present configuration; one change at a time. */
  proposeConfiguration(next: Configuration): { readonly index: number; readonly term: number } | { readonly refused: Refusal }
  /** Starts an election now, with a pre-vote, if this node has a vote. */
  campaign(): void
  /** Hands leadership over to `to`, within an election timeout or not at all; meanwhile nothing is taken. `null`: it is tried. */
  transfer(to: NodeId): Refusal | null
  /** Asks up to which entry a read of now has to see; answered by `released`, or never if this node stops leading. `null`: it is asked. */
  read(id: number): Refusal | null
  /** Reads that were confirmed since the last call. */
  released(): readonly ReadState[]
  /** The connection to the leader broke: stop believing in it, so that others' pre-votes are answered. Hearing it again undoes this. */
  forgetLeader(): void
  /** Messages that need no write, also while one is outstanding. */
  outgoing(): readonly Message[]
  /** Whether `ready` would return work. */
  hasReady(): boolean
  /** Takes the pending work. Not called again before `advance`, so that one write is outstanding. */
  ready(): Ready
  /** The batch of the last `ready` is durable. */
  advance(): void
  /** The driver applied everything up to `index`. */
  applied(index: number): void
  /** Entries for a `Fetch`, contiguous from its index (possibly fewer than asked for, at least one); stale answers are tolerated. */
  supply(to: NodeId, entries: readonly Entry[]): void
  /** The transport dropped messages to `to`: probe it again. */
  unreachable(to: NodeId): void
  /** The state as of `snapshot` is about to be stored instead of what was. Only while no write is outstanding. @returns what to store with it; `null`: of no use */
  install(snapshot: Snapshot): HardState | null
  /** Forgets entries up to `index` at most, never one that is not applied. @returns the last one forgotten, or `null` */
  compact(index: number): { readonly index: number; readonly term: number } | null
  /** A recent entry from memory, or `undefined` where it must be read from disk. */
  cached(index: number): Entry | undefined
  termAt(index: number): number | undefined
  /** What is asked for at every turn, without the cost of a whole status. */
  readonly role: RaftRole
  readonly term: number
  readonly leader: NodeId | null
  readonly commit: number
  readonly transferTo: NodeId | null
  /** Who has the state that this node needs to go on, because the entries are compacted away. */
  readonly snapshotFrom: NodeId | null
  /** The same object until it changes. */
  readonly configuration: Configuration
  /** The latest one that is known to be committed, and those behind it, with their indexes. At least one. */
  readonly configurations: Restored['configurations']
  status(): RaftStatus
}
