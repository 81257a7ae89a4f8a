/**
 * The log of a folder whose peer does not run: what it holds, with everything applied that is known to be committed, and, where this peer has the only
 * vote, more entries. It goes by the same rules as the driver: one batch for what belongs together, and nothing repaired.
 */
import { randomBytes } from 'node:crypto'
import { ClusterError } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import type { Configuration, Entry, Restored } from '../raft/types.ts'
import type { Spaces } from '../state/spaces.ts'
import type { Store, WriteOp } from '../state/store.ts'
import { Applier, type Step } from './apply.ts'
import type { ClusterMember, Proposed, StateMachine } from './consensus.ts'
import { foundingState } from './marker.ts'
import { fromConfiguration, type Newcomer, toMember } from './members.ts'
import { Sessions, stamp } from './sessions.ts'
import { type Identity, LogStorage } from './storage.ts'

export interface StoppedLogParts {
  readonly store: Store
  /** Of the same store. */
  readonly state: Spaces
  readonly machine: StateMachine
}

export interface LogPosition {
  /** Of the last entry; the peer with the higher term, then the higher index, has the longer history. */
  readonly lastTerm: number
  readonly lastIndex: number
  readonly commit: number
  readonly applied: number
}

export class StoppedLog {
  readonly #store: Store
  readonly #storage: LogStorage
  readonly #applier: Applier
  readonly #origin = randomBytes(8).toString('hex')
  #identity: Identity
  #terms: Restored['terms']
  readonly #truncated: Restored['truncated']
  #configuration: Configuration
  #term: number
  #lastIndex: number
  #commit: number
  #applied: number
  /** The term in which this peer adds entries; 0 until it does. */
  #ownTerm = 0
  #sequence = 0
  #last: Promise<unknown> = Promise.resolve()

  private constructor(
    { store, state, machine }: StoppedLogParts,
    { storage, identity, restored, sessions }: { storage: LogStorage; identity: Identity; restored: Restored; sessions: Sessions }
  ) {
    this.#store = store
    this.#storage = storage
    this.#identity = identity
    this.#terms = restored.terms
    this.#truncated = restored.truncated
    this.#configuration = restored.configurations.at(-1)?.configuration ?? { members: [] }
    this.#term = restored.hardState.term
    this.#lastIndex = restored.lastIndex
    this.#commit = restored.hardState.commit
    this.#applied = restored.applied
    const raft = { cached: () => undefined, termAt: (index: number) => this.#termAt(index) }
    this.#applier = new Applier({ machine, sessions, storage, state, raft })
  }

  /** `undefined` where the folder belongs to no cluster yet. @throws ClusterError `cannot_start` where the rows contradict each other */
  static async open(parts: StoppedLogParts, self: PeerId): Promise<StoppedLog | undefined> {
    const storage = new LogStorage(parts.store)
    const identity = await storage.identityOf(self)
    if (identity === undefined) return undefined
    const restored = await storage.load(parts.state)
    const sessions = new Sessions()
    await sessions.load(parts.state)
    return new StoppedLog(parts, { storage, identity, restored, sessions })
  }

  /** Makes an empty folder that of a new cluster with this peer alone. */
  static async found(parts: StoppedLogParts, { clusterId, self }: { clusterId: string; self: Newcomer }): Promise<StoppedLog> {
    const configuration = { members: [toMember(self, true)] }
    const storage = new LogStorage(parts.store)
    await storage.found({ clusterId, nodeId: self.id }, configuration, {
      isReady: true,
      present: configuration,
      state: foundingState(parts.state, configuration)
    })
    const log = await StoppedLog.open(parts, self.id)
    if (log === undefined) throw new Error('a folder that was founded belongs to nobody')
    return log
  }

  get identity(): Identity {
    return this.#identity
  }

  get position(): LogPosition {
    const lastTerm = this.#termAt(this.#lastIndex) ?? 0
    return { lastTerm, lastIndex: this.#lastIndex, commit: this.#commit, applied: this.#applied }
  }

  /** As the last entry about them says, be it committed or not. */
  get members(): readonly ClusterMember[] {
    return fromConfiguration(this.#configuration)
  }

  /** Applies what is known to be committed, as a start of the peer would. */
  async catchUp(): Promise<void> {
    await this.#apply()
  }

  /** @returns what the last step answered */
  async #apply(): Promise<Step['outcomes']> {
    let outcomes: Step['outcomes'] = []
    while (this.#applied < this.#commit) {
      const step = await this.#applier.step(this.#applied + 1, this.#commit)
      // In order, so that a crash in between loses the end and no more: the next look goes on from there.
      await this.#store.write(step.writes, { sync: step.index === this.#commit })
      this.#applied = step.index
      step.committed()
      outcomes = step.outcomes
    }
    return outcomes
  }

  /** Adds an operation, one after the other, and with it commits everything before. @throws ClusterError `refused` where others have a vote too */
  propose(operation: Uint8Array): Promise<Proposed> {
    const proposed = this.#last.then(() => this.#append(operation))
    this.#last = proposed.catch(() => {})
    return proposed
  }

  async #append(operation: Uint8Array): Promise<Proposed> {
    this.#requireOnlyVote()
    const sequence = ++this.#sequence
    const index = this.#lastIndex + 1
    const data = stamp({ origin: this.#origin, sequence, answeredBelow: sequence }, operation)
    await this.#write([{ type: 'normal', index, term: this.#nextTerm(), data }])
    const outcomes = await this.#apply()
    const own = outcomes.find(({ stamp }) => stamp.origin === this.#origin && stamp.sequence === sequence)
    if (own === undefined) throw new Error('an operation was committed, but not applied')
    return own.outcome
  }

  /**
   * Makes this peer the only member, in a cluster with another id, by an entry that commits everything before it: what the others may have agreed with
   * this peer's log stays, and what they agreed without it is lost. Peers of the old cluster are refused from then on, whatever they know.
   *
   * @param operation an entry behind it, which says what was done
   * @throws ClusterError `refused` where this peer is no member
   */
  async recover({ clusterId, operation }: { readonly clusterId: string; readonly operation: Uint8Array }): Promise<void> {
    const { nodeId } = this.identity
    const self = this.#configuration.members.find(({ id }) => id === nodeId)
    if (self === undefined)
      throw new ClusterError({ code: 'refused' }, 'this peer is no member of its cluster any more: it has nothing to recover')
    const configuration: Configuration = { members: [{ ...self, isVoter: true }] }
    const term = this.#nextTerm()
    const index = this.#lastIndex + 1
    const sequence = ++this.#sequence
    const data = stamp({ origin: this.#origin, sequence, answeredBelow: sequence }, operation)
    const entries: readonly Entry[] = [
      { type: 'configuration', index, term, configuration },
      { type: 'normal', index: index + 1, term, data }
    ]
    // One batch: the folder belongs to the old cluster, or to the new one.
    await this.#write(entries, [this.#storage.identified({ clusterId, nodeId }), this.#storage.markReady()])
    this.#configuration = configuration
    this.#identity = { clusterId, nodeId }
    await this.#apply()
  }

  async #write(entries: readonly Entry[], more: readonly WriteOp[] = []): Promise<void> {
    const term = this.#nextTerm()
    const commit = this.#lastIndex + entries.length
    const hardState = { term, vote: this.identity.nodeId, commit }
    await this.#store.write([...this.#storage.writesFor({ entries, hardState }), ...more], { sync: true })
    if (this.#terms.at(-1)?.term !== term && entries[0] !== undefined) this.#terms = [...this.#terms, { index: entries[0].index, term }]
    this.#term = term
    this.#lastIndex = commit
    this.#commit = commit
  }

  /** One that nobody has been in: whoever voted in the present one may have done it for another peer. */
  #nextTerm(): number {
    this.#ownTerm ||= this.#term + 1
    return this.#ownTerm
  }

  #requireOnlyVote(): void {
    const voters = this.members.filter(({ isVoter }) => isVoter)
    if (voters.length === 1 && voters[0]?.id === this.identity.nodeId) return
    const message = `${voters.length} peers have a vote, so this folder alone cannot be changed: do it through a peer that runs`
    throw new ClusterError({ code: 'refused' }, message)
  }

  #termAt(index: number): number | undefined {
    if (index === this.#truncated.index) return this.#truncated.term
    return this.#terms.findLast(run => run.index <= index)?.term
  }
}
