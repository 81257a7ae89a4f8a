import { ClusterError } from '../../src/errors.ts'
import type { Abortable } from '../../src/lifetime.ts'
import type { PeerId } from '../../src/types.ts'
import type { Placed } from '../raft/membership.ts'
import type { Raft } from '../raft/raft.ts'
import type { Configuration, Fetch, Message, NodeId, RaftRole, RaftStatus, Refusal } from '../raft/types.ts'
import type { WriteOp } from '../state/store.ts'
import { Applier, type Step } from './apply.ts'
import { CatchUp } from './catch-up.ts'
import { Commits } from './commits.ts'
import type { ClusterMember, ConsensusStatus, Proposed } from './consensus.ts'
import { coreOf } from './core.ts'
import { type Acceptance, Delivery } from './delivery.ts'
import { DiskWatch } from './disk-watch.ts'
import { handOver } from './hand-over.ts'
import { hurry } from './hurry.ts'
import { KnownMembers } from './known-members.ts'
import { LaterWrites } from './later-writes.ts'
import type { DriverParts, DriverSettings } from './parts.ts'
import { Proposals } from './proposals.ts'
import { Reads } from './reads.ts'
import { removedError } from './removal.ts'
import { Sessions } from './sessions.ts'
import { Snapshots } from './snapshots.ts'
import { statusOf } from './status.ts'
import { RaftTransport } from './transport.ts'

/** Entries looked at for one append that is read from disk. */
const fetchedMax = 4_096

export class Driver implements AsyncDisposable {
  readonly #parts: DriverParts
  readonly #settings: DriverSettings
  readonly #proposals: Proposals
  readonly #delivery: Delivery
  readonly #reads: Reads
  readonly #transport: RaftTransport
  readonly #sessions = new Sessions()
  readonly #subscriptions = new DisposableStack()
  readonly #stopping = new AbortController()
  readonly #commits = new Commits()
  readonly #later: LaterWrites
  readonly #snapshots: Snapshots
  readonly #members: KnownMembers
  readonly #disk: DiskWatch
  /** Whether what was in the log at the start is in the state. */
  readonly catchUp = new CatchUp()
  #raft: Raft | undefined
  #applier!: Applier
  #applied = 0
  #isTickDue = false
  #isAwake = false
  #round: Promise<void> | undefined
  /** Why nothing can be proposed any more. */
  #end: ClusterError | undefined
  /** What was last told of. */
  #reign: { readonly term: number; readonly leader: NodeId | null; readonly role: RaftRole } | undefined
  #onStatus: () => void = () => {}

  constructor(parts: DriverParts, settings: DriverSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#proposals = new Proposals(parts, settings.proposals)
    this.#disk = new DiskWatch(settings.pace)
    this.#transport = new RaftTransport(parts)
    this.#later = new LaterWrites(parts.store, error => this.#fail(error))
    this.#members = new KnownMembers(parts.rpc, () => this.#onStatus())
    const hooks = { core: () => this.#core, wake: () => this.#wake(), onFatal: (error: unknown) => this.#fail(error) }
    const writeLater = (writes: readonly WriteOp[]) => void this.#later.write(writes)
    this.#snapshots = new Snapshots({ ...parts, ...hooks, sessions: this.#sessions, writeLater }, settings.snapshots)
    this.#delivery = new Delivery({
      ...parts,
      proposals: this.#proposals,
      accept: (proposals, from) => this.#accept(proposals, from),
      wake: () => this.#wake()
    })
    this.#reads = new Reads(
      {
        ...parts,
        leader: () => this.#core.leader,
        ask: id => (this.#end ? 'not_leader' : this.#command(core => core.read(id))),
        applied: () => this.#applied,
        noLeader: () => this.#members.reach.noLeader()
      },
      settings.proposals
    )
  }

  /** @param onStatus called when anything in the status but the indexes changed */
  async start(onStatus: () => void): Promise<void> {
    const { storage, state, rpc, machine, clock } = this.#parts
    const restored = await storage.load(state)
    await this.#sessions.load(state)
    this.#members.begin({ present: await storage.present(), wasMember: await storage.isReady() })
    const raft = coreOf(rpc.self, restored, this.#settings.pace, this.#parts)
    this.#applied = restored.applied
    this.#applier = new Applier({ machine, sessions: this.#sessions, storage, state, raft })
    this.#raft = raft
    this.catchUp.begin(restored.lastIndex)
    this.#onStatus = onStatus
    await this.#snapshots.start()
    this.#members.follow(this.#core.configurations)
    this.#transport.receive(message => this.#receive(message))
    this.#delivery.serve()
    this.#reads.serve()
    this.#subscriptions.use(rpc.onConnection((peer, isUp) => this.#connection(peer, isUp)))
    this.#subscriptions.use(clock.every(this.#settings.pace.tickMs, () => this.#tick()))
    // A cluster of one need not wait for anybody.
    if (this.#members.hasOneVoter) raft.campaign()
    this.#wake()
  }

  /** Gets `data` agreed and applied here, wherever the leader is. */
  propose(data: Uint8Array, options: Abortable): Promise<Proposed> {
    if (this.#end) return Promise.reject(this.#end)
    const answer = this.#proposals.add(data, options)
    this.#wake()
    return answer
  }

  /** This peer has applied everything that was committed anywhere before the call. */
  readBarrier(options: Abortable): Promise<void> {
    return this.#reads.barrier(options)
  }

  /** Appends a configuration on this leader, and returns once it is committed, or why that is not going to be. */
  async change(next: Configuration, { signal }: Abortable): Promise<Refusal | null> {
    if (this.#end) return 'not_leader'
    const raft = this.#core
    const outcome = this.#command(core => core.proposeConfiguration(next))
    if ('refused' in outcome) return outcome.refused
    const { index, term } = outcome
    await this.#commits.wait(index, { signal })
    return raft.termAt(index) === term ? null : 'not_leader'
  }

  /** Gives leadership to another voter. @returns whether this peer leads no more, and knows who does */
  handOver(signal: AbortSignal): Promise<boolean> {
    const transfer = (to: NodeId) => this.#command(core => core.transfer(to))
    return handOver({ ...this.#parts, core: () => this.core, transfer }, { signal: AbortSignal.any([signal, this.#stopping.signal]) })
  }

  /** As the core sees it. Before `start` there is no cluster to speak of. */
  get core(): RaftStatus {
    return this.#core.status()
  }

  get members(): readonly ClusterMember[] {
    return this.#members.all
  }

  get removedAt(): number | null {
    return this.#members.removedAt
  }

  status(): Omit<ConsensusStatus, 'clusterId' | 'isReady'> {
    return statusOf(this.#raft?.status(), {
      self: this.#parts.rpc.self,
      applied: this.#applied,
      members: this.#members.all,
      removedAt: this.#members.removedAt
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop(new ClusterError({ code: 'not_ready' }, 'this peer is stopping: ask another one'))
    await this.#snapshots[Symbol.asyncDispose]()
    await this.#round
  }

  // ---- the loop ----

  #tick(): void {
    // However late the timer is, one tick is credited: a pause is not a silent leader.
    this.#isTickDue = true
    this.#wake()
  }

  #wake(): void {
    if (this.#isAwake || this.#end || this.#raft === undefined) return
    this.#isAwake = true
    // After the events of this turn of the event loop: messages that came together are handled together, and before the tick.
    setImmediate(() => {
      this.#isAwake = false
      if (!this.#end) this.#tryOrStop(() => this.#turn())
    })
  }

  #turn(): void {
    const raft = this.#core
    if (this.#isTickDue) {
      this.#isTickDue = false
      raft.tick({ mayCampaign: this.#members.removedAt === null })
      this.#expire()
      this.#snapshots.tick()
      this.#watchDisk()
    }
    this.#watchReign()
    if (this.catchUp.look(this.#applied, () => raft.status().lastIndex)) this.#onStatus()
    if (this.#commits.isAwaited)
      this.#commits.settle({ commit: raft.commit, isLeader: raft.role === 'leader' }, () => this.#members.reach.noLeader())
    if (raft.leader !== null && raft.transferTo === null) this.#delivery.deliver(raft.leader as PeerId)
    if (this.#round === undefined && this.#snapshots.isComplete) this.#round = this.#runRound(() => this.#install())
    else if (this.#round === undefined && (raft.hasReady() || this.#applied < raft.commit))
      this.#round = this.#runRound(() => this.#write())
    else this.#send(raft.outgoing())
    this.#reads.released(raft.released())
  }

  /** Who waited for too long, or waits without any hope, is told so. */
  #expire(): void {
    const { reach } = this.#members
    this.#proposals.expire(reach.patienceMs(this.#core.leader, this.#settings.proposals.timeoutMs), () => reach.noLeader())
    if (reach.isCutOff(this.#parts.clock.monotonicMs()) && this.#core.leader === null) this.#reads.fail(reach.noLeader())
  }

  #watchDisk(): void {
    const stalledMs = this.#round === undefined ? null : this.#disk.tick()
    if (stalledMs === null || this.#core.role !== 'leader' || this.#core.transferTo !== null) return
    this.#parts.log.warn({ forMs: stalledMs }, 'the disk does not finish a write: another peer is asked to lead')
    this.handOver(this.#stopping.signal).catch(error => this.#fail(error))
  }

  /** Never rejects. */
  async #runRound(work: () => Promise<void>): Promise<void> {
    this.#disk.began()
    try {
      await work()
    } catch (error) {
      this.#fail(error)
    }
    this.#round = undefined
    this.#wake()
  }

  /** What the core wants kept, and, meanwhile, what it allows to be applied. */
  async #write(): Promise<void> {
    const raft = this.#core
    const ready = raft.ready()
    this.#send(ready.messages)
    for (const fetch of ready.fetches) void this.#fetch(fetch)
    const kept = this.#parts.storage.writesFor(ready)
    // A commit index alone promises nothing to anybody: it goes with the rows of the state.
    if (ready.mustSync) await Promise.all([this.#parts.store.write(kept, { sync: true }), this.#apply(ready.commit)])
    else await this.#apply(ready.commit, kept)
    if (this.#end) return
    raft.advance()
    this.#send(ready.afterPersist)
    this.#members.follow(this.#core.configurations)
  }

  /**
   * What is agreed is safe in the logs of a majority: a client is answered once the change can be seen here, and its rows go with the next batch
   * of the log. What a crash loses of them is applied again, for the applied index is in the same batch.
   */
  async #apply(commit: number, writes: readonly WriteOp[] = []): Promise<void> {
    const step = commit > this.#applied ? await this.#applier.step(this.#applied + 1, commit) : undefined
    if (this.#end) return
    const { shown, written } = this.#later.write(step ? writes.concat(step.writes) : writes)
    if (shown) await shown
    if (this.#end) return
    if (step) this.#finish(step)
    await written
  }

  #finish({ index, outcomes, committed }: Step): void {
    this.#applied = index
    this.#core.applied(index)
    this.#reads.applied(index)
    committed()
    for (const { stamp, outcome } of outcomes) this.#proposals.answer(stamp, outcome)
  }

  /** The state of another peer, instead of applying what is not in anybody's log any more. */
  async #install(): Promise<void> {
    const isInstalled = await this.#snapshots.install(index => {
      this.#applied = index
      this.#reads.applied(index)
    })
    if (!isInstalled || this.#end) return
    this.#proposals.answerFrom(stamp => this.#sessions.outcome(stamp))
    this.#members.follow(this.#core.configurations)
  }

  /** Reads old entries for a follower. Never rejects. */
  async #fetch({ to, index, bytesMax }: Fetch): Promise<void> {
    try {
      const entries = await this.#parts.storage.read(index, index + fetchedMax - 1, bytesMax)
      if (this.#end) return
      this.#core.supply(to, entries)
      this.#wake()
    } catch (error) {
      if (this.#end) return
      // They may be cut away by now, or dropped where this peer does not lead any more; else they must be there.
      if (this.#core.role !== 'leader' || index <= this.#parts.storage.truncated.index) this.#core.supply(to, [])
      else this.#fail(error)
    }
  }

  #receive(message: Message): void {
    if (this.#end) return
    this.#tryOrStop(() => this.#core.step(message))
    this.#wake()
  }

  #send(messages: readonly Message[]): void {
    for (const missed of this.#transport.send(messages)) this.#core.unreachable(missed)
  }

  /** Appends proposals, of this peer or of another one, while this peer leads. */
  #accept(proposals: readonly Uint8Array[], from: PeerId): Acceptance {
    if (this.#end) return { accepted: 0, refused: 'not_leader' }
    let accepted = 0
    for (const data of proposals) {
      const outcome = this.#guard(() => this.#core.propose(data))
      if ('refused' in outcome) return { accepted, refused: outcome.refused }
      accepted++
      if (from !== this.#parts.rpc.self) this.#transport.awaitCommit(from, outcome.index)
    }
    this.#wake()
    return { accepted, refused: null }
  }

  /** A new leader or term: what was given to the old one may be lost. */
  #watchReign(): void {
    const { term, leader, role } = this.#core
    const known = this.#reign
    if (known?.term === term && known.leader === leader && known.role === role) return
    this.#reign = { term, leader, role }
    if (known?.term !== term || known.leader !== leader) {
      this.#delivery.newReign()
      this.#reads.newReign()
      this.#transport.newReign()
    }
    this.#onStatus()
  }

  // ---- members and connections ----

  /** A peer of this cluster says who its members are. */
  introduced(placed: Placed): void {
    if (this.#end || !this.#members.introduced(placed, this.#core.configurations)) return
    const { removedAt: at } = this.#members
    if (at !== null) {
      this.#core.forgetLeader()
      this.#proposals.rejectAll(removedError(at))
      this.#reads.fail(removedError(at))
    }
    this.#onStatus()
  }

  /** The latest configuration that is known to be committed. */
  get settled(): Placed {
    return this.#core.configurations[0] as Placed // there is always one
  }

  #connection(peer: PeerId, isUp: boolean): void {
    const { leader, role } = this.#core
    if (this.#end || isUp || leader !== peer || role === 'leader' || this.#members.removedAt !== null) return
    this.#core.forgetLeader()
    this.#watchReign()
    const campaign = () => {
      this.#tryOrStop(() => this.#core.campaign())
      this.#wake()
    }
    const options = { forMs: this.#settings.pace.electionMs, signal: this.#stopping.signal }
    void hurry({ ...this.#parts, core: () => this.#core, campaign }, peer, options)
  }

  // ---- the end ----

  get #core(): Raft {
    if (this.#raft === undefined) throw new ClusterError({ code: 'not_ready' }, 'this peer is starting')
    return this.#raft
  }

  #command<T>(verb: (core: Raft) => T): T {
    const outcome = this.#guard(() => verb(this.#core))
    this.#wake()
    return outcome
  }

  /** Where the core throws, an invariant is broken: it is not asked again. */
  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  #tryOrStop(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#end) return
    const fault = error instanceof ClusterError ? error : undefined
    this.#stop(fault ?? new ClusterError({ code: 'storage_failed' }, 'this peer had to stop: ask another one', { cause: error }))
    this.#parts.onFatal(error)
  }

  #stop(end: ClusterError): void {
    if (this.#end) return
    this.#end = end
    this.#stopping.abort(end)
    this.#subscriptions.dispose()
    this.#delivery.newReign()
    this.#reads.stop(end)
    this.#proposals.rejectAll(end)
    this.#commits.rejectAll(end)
  }
}
