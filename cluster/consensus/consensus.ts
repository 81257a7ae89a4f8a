/**
 * Consensus as the verbs above see it: propose bytes, apply them in order, members, a read barrier, the leader. The Raft driver is the
 * first implementation; a deployment that already runs etcd could be given another without touching a verb. It does not know what a pin is.
 */
import type { Abortable } from '../../src/lifetime.ts'
import type { Multiaddr, PeerId } from '../../src/types.ts'
import type { Rows, WriteOp } from '../state/store.ts'

export interface ClusterMember {
  readonly id: PeerId
  readonly isVoter: boolean
  readonly name: string
  /** Where the others dial it, each with `/p2p/<id>`. */
  readonly addresses: readonly Multiaddr[]
}

export interface Proposed {
  readonly index: number
  /** What `StateMachine.apply` returned for this operation, the same on every peer. */
  readonly result: Uint8Array
}

export interface Operation {
  readonly index: number
  readonly data: Uint8Array
}

export interface Applied {
  /** Stored in one batch with the applied index, after the log. */
  readonly writes: readonly WriteOp[]
  /** One for each operation, in order. */
  readonly results: readonly Uint8Array[]
  /** Called once reads of the store see that batch: tell the tracker, wake the watchers. Must not throw and must not wait. */
  readonly committed: () => void
}

/** What consensus drives. Deterministic: no clock, no randomness, no network. */
export interface StateMachine {
  /** Operations in log order, each exactly once. One call at a time; it may read the store, which holds everything applied before. */
  apply(operations: readonly Operation[]): Promise<Applied>
  /** Another state is about to take the place of this one: looks at it. The function that comes back is called once it has, and must neither throw nor wait. */
  adopt(state: Rows): Promise<() => void>
}

export interface ConsensusStatus {
  readonly clusterId: string
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner'
  readonly term: number
  readonly leader: PeerId | null
  readonly commit: number
  readonly applied: number
  readonly members: readonly ClusterMember[]
  /** On the leader: commit minus what the member has durably; empty elsewhere. */
  readonly behind: ReadonlyMap<PeerId, number>
  /** The entry that removed this peer from the cluster: it stands by, and is not ready. */
  readonly removedAt: number | null
  /** It has served state at least once: false for a newcomer, and after a start, until it has caught up; then reads answer `not_ready`. */
  readonly isReady: boolean
}

export interface Consensus extends AsyncDisposable {
  /**
   * Gets `data` agreed and applied on this peer, through the leader wherever it is, exactly once also when it is sent again.
   * @throws ClusterError `no_leader`, `outcome_unknown`, `overloaded`, `not_ready`
   */
  propose(data: Uint8Array, options?: Abortable): Promise<Proposed>
  /** Returns when this peer has applied everything that was committed before the call. @throws ClusterError `no_leader`, `timeout` */
  readBarrier(options?: Abortable): Promise<void>
  /** Adds `member` as a learner (it promotes itself later), or renews its name and addresses. Through any member. */
  addMember(member: Omit<ClusterMember, 'isVoter'>, options?: Abortable): Promise<void>
  /**
   * Takes the vote and the place of a member, whoever it is. Through any member; nothing happens where it is none.
   * @throws ClusterError `no_leader`, `refused` for the last voter
   */
  removeMember(id: PeerId, options?: Abortable): Promise<void>
  /**
   * Gives leadership to another peer, if this one has it: before a stop, so that nobody has to miss it first. Returns when another one leads, when
   * nobody can, or when `signal` aborts.
   */
  handOver(options: { readonly signal: AbortSignal }): Promise<void>
  /** Returns once this peer has applied what was in its log when it started, or after `withinMs`: without a leader nobody knows what of it is agreed. */
  caughtUp(options: { readonly withinMs: number } & Abortable): Promise<void>
  status(): ConsensusStatus
  /** Parts of the status that cost nothing: they are asked for several times a pin. */
  readonly members: readonly ClusterMember[]
  readonly removedAt: number | null
  readonly isReady: boolean
  /** Called after role, leader, term, members or readiness changed. Returns what ends it. */
  onChange(listener: (status: ConsensusStatus) => void): Disposable
}
