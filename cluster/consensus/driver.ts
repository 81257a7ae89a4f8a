/**
 * Drives the Raft core: everything around it is I/O. One loop owns the core; one write is outstanding; what arrives meanwhile goes into the next
 * batch, and that is what makes many clients cheap. Log, hard state, state and applied index move in one batch.
 */
import type { Clock } from '../../src/clock.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Abortable } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import { Raft } from '../raft/raft.ts'
import type { Configuration, Fetch, Message, RaftSettings, Refusal } from '../raft/types.ts'
import type { Store, WriteOp } from '../state/store.ts'
import { Applier, type Step } from './apply.ts'
import { decodeMessage, encodeMessage } from './codec.ts'
import type { ClusterMember, ConsensusStatus, Proposed, StateMachine } from './consensus.ts'
import { fromConfiguration } from './members.ts'
import { type ProposalLimits, Proposals } from './proposals.ts'
import { Sessions } from './sessions.ts'
import type { LogStorage } from './storage.ts'

export interface DriverParts {
  readonly store: Store
  readonly storage: LogStorage
  readonly rpc: Pick<Rpc, 'self' | 'send' | 'receive' | 'setMembers' | 'onConnection' | 'isConnected'>
  readonly machine: StateMachine
  readonly clock: Clock
  readonly log: Log
  /** A whole number from 0 to `below` - 1. */
  readonly random: (below: number) => number
  /** 8 bytes as hexadecimal text, new at every start. */
  readonly origin: string
  /** Gives proposals to a leader elsewhere; answers how many it took, or throws. */
  readonly forward: (leader: PeerId, proposals: readonly Uint8Array[]) => Promise<{ accepted: number; refused: Refusal | null }>
  /** The peer cannot go on: the store failed, or an invariant broke. */
  readonly onFatal: (error: unknown) => void
}

export interface DriverSettings {
  readonly tickMs: number
  /** A follower looks for votes after this time without its leader, plus a random share of as much again. */
  readonly electionMs: number
  readonly heartbeatMs: number
  readonly proposals: ProposalLimits
}

export const raftChannel = 'raft'
const limits: Omit<RaftSettings, 'id' | 'electionTicks' | 'heartbeatTicks' | 'random'> = {
  appendBytesMax: 512 << 10,
  inflightMax: 64,
  inflightBytesMax: 8 << 20,
  uncommittedBytesMax: 32 << 20,
  cacheBytesMax: 2 << 20
}
/** Proposals given to a leader elsewhere in one call. */
const forwardMax = 512
/** A follower that lost the connection to its leader waits this long at most before it looks for votes. */
const hurryMs = 100

export class Driver implements AsyncDisposable {
  readonly #parts: DriverParts
  readonly #settings: DriverSettings
  readonly #proposals: Proposals
  readonly #sessions = new Sessions()
  readonly #subscriptions = new DisposableStack()
  readonly #commitWaiters: { readonly index: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = []
  #raft!: Raft
  #applier!: Applier
  #applied = 0
  #isTickDue = false
  #isAwake = false
  #isForwarding = false
  #round: Promise<void> | undefined
  #isStopped = false
  #reign = ''
  #followed: Configuration | undefined
  #members: readonly ClusterMember[] = []
  #onStatus: () => void = () => {}

  constructor(parts: DriverParts, settings: DriverSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#proposals = new Proposals(parts, settings.proposals)
  }

  get raft(): Raft {
    return this.#raft
  }

  get applied(): number {
    return this.#applied
  }

  /** @param onStatus called after anything in the status may have changed */
  async start(onStatus: () => void): Promise<void> {
    const { storage, store, rpc, machine, clock, random } = this.#parts
    const { tickMs, electionMs, heartbeatMs } = this.#settings
    const restored = await storage.load()
    await this.#sessions.load(store)
    const electionTicks = Math.ceil(electionMs / tickMs)
    this.#raft = new Raft({ id: rpc.self, electionTicks, heartbeatTicks: Math.ceil(heartbeatMs / tickMs), random, ...limits }, restored)
    this.#applied = restored.applied
    this.#applier = new Applier({ machine, sessions: this.#sessions, storage, raft: this.#raft })
    this.#onStatus = onStatus
    rpc.setMembers(this.#others(await storage.present()))
    this.#followMembers()
    rpc.receive(raftChannel, (from, payload) => this.#receive(from, payload))
    this.#subscriptions.use(rpc.onConnection((peer, isUp) => this.#connection(peer, isUp)))
    this.#subscriptions.use(
      clock.every(tickMs, () => {
        // However late the timer is, one tick is credited: a pause is not a silent leader.
        this.#isTickDue = true
        this.#wake()
      })
    )
    // A cluster of one need not wait for anybody.
    if (restored.configurations.at(-1)?.configuration.members.filter(({ isVoter }) => isVoter).length === 1) this.#raft.campaign()
    this.#wake()
  }

  /** Gets `data` agreed and applied here, wherever the leader is. */
  propose(data: Uint8Array, options: Abortable): Promise<Proposed> {
    if (this.#isStopped) return Promise.reject(stopped())
    const answer = this.#proposals.add(data, options)
    this.#wake()
    return answer
  }

  /** Takes proposals of another peer into this leader's log. They are its to answer. */
  accept(proposals: readonly Uint8Array[]): { accepted: number; refused: Refusal | null } {
    let accepted = 0
    for (const data of proposals) {
      const outcome = this.#raft.propose(data)
      if ('refused' in outcome) return { accepted, refused: outcome.refused }
      accepted++
    }
    this.#wake()
    return { accepted, refused: null }
  }

  /** Appends a configuration on this leader, and returns once it is committed. */
  async change(next: Configuration, { signal }: Abortable): Promise<Refusal | null> {
    const outcome = this.#raft.proposeConfiguration(next)
    if ('refused' in outcome) return outcome.refused
    const { index, term } = outcome
    this.#wake()
    await this.#committed(index, { signal })
    return this.#raft.termAt(index) === term ? null : 'not_leader'
  }

  status(): Omit<ConsensusStatus, 'clusterId' | 'isReady'> {
    const { role, term, leader, commit, followers } = this.#raft.status()
    const members = this.#members
    const isVoter = members.some(({ id, isVoter }) => id === this.#parts.rpc.self && isVoter)
    return {
      role: role === 'pre_candidate' ? 'candidate' : role === 'follower' && !isVoter ? 'learner' : role,
      term,
      leader: leader as PeerId | null,
      commit,
      applied: this.#applied,
      members,
      behind: new Map(followers.map(({ id, match }) => [id as PeerId, Math.max(0, commit - match)]))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop(stopped())
    await this.#round
  }

  // ---- the loop ----

  #wake(): void {
    if (this.#isAwake || this.#isStopped) return
    this.#isAwake = true
    // After the events of this turn of the event loop: messages that came together are handled together.
    setImmediate(() => {
      this.#isAwake = false
      this.#guard(() => this.#turn())
    })
  }

  #turn(): void {
    if (this.#isStopped) return
    if (this.#isTickDue) {
      this.#isTickDue = false
      this.#raft.tick()
      this.#proposals.expire(() => this.#noLeader())
      this.#propose()
    }
    this.#watchReign()
    this.#propose()
    this.#send(this.#raft.outgoing())
    if (this.#round === undefined && (this.#raft.hasReady() || this.#applied < this.#raft.commit)) {
      this.#round = this.#work()
        .catch(error => this.#fail(error))
        .finally(() => {
          this.#round = undefined
          this.#wake()
        })
    }
  }

  /** One batch: what the core wants kept, and what it allows to be applied. */
  async #work(): Promise<void> {
    const ready = this.#raft.ready()
    this.#send(ready.messages)
    for (const fetch of ready.fetches) void this.#fetch(fetch).catch(error => this.#fail(error))
    const writes: WriteOp[] = this.#parts.storage.writesFor(ready)
    const step: Step | undefined = ready.commit > this.#applied ? await this.#applier.step(this.#applied + 1, ready.commit) : undefined
    if (step) writes.push(...step.writes)
    if (writes.length > 0) await this.#parts.store.write(writes, { sync: ready.mustSync })
    if (this.#isStopped) return
    this.#raft.advance()
    this.#send(ready.afterPersist)
    if (step) this.#finish(step)
    this.#settleCommitted()
    this.#followMembers()
    this.#watchReign()
  }

  #finish({ index, outcomes, committed }: Step): void {
    this.#applied = index
    this.#raft.applied(index)
    committed()
    for (const { stamp, index, result } of outcomes) this.#proposals.answer(stamp, { index, result })
  }

  async #fetch({ to, index, bytesMax }: Fetch): Promise<void> {
    // What is being written now is in memory: a fetch asks for older entries only.
    const entries = await this.#parts.storage.read(index, index + 4_095, bytesMax)
    if (this.#isStopped) return
    this.#raft.supply(to, entries)
    this.#wake()
  }

  #receive(from: PeerId, payload: Uint8Array): void {
    if (this.#isStopped) return
    let message: Message
    try {
      message = decodeMessage(payload, { from, to: this.#parts.rpc.self })
    } catch (error) {
      this.#parts.log.warn({ peer: from, reason: messageOf(error) }, 'raft message refused')
      return
    }
    this.#guard(() => this.#raft.step(message))
    this.#wake()
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      const wasTaken = this.#parts.rpc.send(message.to as PeerId, raftChannel, encodeMessage(message))
      if (!wasTaken && message.type === 'append') this.#raft.unreachable(message.to)
    }
  }

  // ---- proposals ----

  /** Gives waiting proposals to the leader: into the own log, or in one call to the peer that leads. */
  #propose(): void {
    const { leader, role } = this.#raft
    if (leader === null) return
    if (role === 'leader') {
      const unsent = this.#proposals.takeUnsent(Number.POSITIVE_INFINITY)
      // Nothing to accept must not wake the loop: a leader would turn without end.
      if (unsent.length === 0) return
      const { accepted } = this.accept(unsent.map(({ data }) => data))
      this.#proposals.putBack(
        unsent.slice(accepted).map(({ sequence }) => sequence),
        { isKnownLost: false }
      )
    } else if (!this.#isForwarding) {
      const unsent = this.#proposals.takeUnsent(forwardMax)
      if (unsent.length > 0) void this.#forward(leader as PeerId, unsent)
    }
  }

  async #forward(leader: PeerId, proposals: readonly { readonly sequence: number; readonly data: Uint8Array }[]): Promise<void> {
    this.#isForwarding = true
    try {
      const { accepted } = await this.#parts.forward(
        leader,
        proposals.map(({ data }) => data)
      )
      this.#proposals.putBack(
        proposals.slice(accepted).map(({ sequence }) => sequence),
        { isKnownLost: true }
      )
      if (accepted < proposals.length) await this.#pause()
    } catch (error) {
      this.#parts.log.debug({ leader, reason: messageOf(error) }, 'proposals not forwarded')
      // They may have arrived all the same: the sessions make sending them again harmless.
      await this.#pause()
      this.#proposals.putBack(
        proposals.map(({ sequence }) => sequence),
        { isKnownLost: false }
      )
    } finally {
      this.#isForwarding = false
      this.#wake()
    }
  }

  #pause(): Promise<void> {
    return this.#parts.clock.sleep(20)
  }

  /** A new leader or term: what was given to the old one may be lost. */
  #watchReign(): void {
    const { leader, term, role } = this.#raft
    const reign = `${term}/${leader}/${role}`
    if (reign === this.#reign) return
    this.#reign = reign
    if (leader !== null) this.#proposals.resendAll()
    this.#onStatus()
  }

  #noLeader(): ClusterError {
    const voters = fromConfiguration(this.#raft.status().configuration).filter(({ isVoter }) => isVoter)
    const { rpc } = this.#parts
    const missing = voters.filter(({ id }) => id !== rpc.self && !rpc.isConnected(id)).map(({ name, id }) => name || id)
    const reached = voters.length - missing.length
    const names = missing.length === 0 ? '' : `, not reached: ${missing.join(', ')}`
    return new ClusterError(
      { code: 'no_leader', voters: voters.length, reached },
      `no leader: ${reached} of ${voters.length} voters are reached${names}`
    )
  }

  // ---- members and connections ----

  #followMembers(): void {
    const { configuration } = this.#raft
    if (configuration === this.#followed) return
    this.#followed = configuration
    this.#members = fromConfiguration(configuration)
    this.#onStatus()
    // A newcomer's log begins with the founders; until its own entry arrives it knows more members from its welcome, so none is dropped here.
    if (configuration.members.some(({ id }) => id === this.#parts.rpc.self)) this.#parts.rpc.setMembers(this.#others(configuration))
  }

  #others(configuration: Configuration): ClusterMember[] {
    return fromConfiguration(configuration).filter(({ id }) => id !== this.#parts.rpc.self)
  }

  #connection(peer: PeerId, isUp: boolean): void {
    if (this.#isStopped) return
    const { leader, role } = this.#raft
    if (isUp || leader !== peer || role === 'leader') return
    this.#raft.forgetLeader()
    this.#watchReign()
    // Not all at once; and if the leader is alive, it is heard again or the others refuse.
    void this.#parts.clock.sleep(10 + this.#parts.random(hurryMs)).then(() => {
      if (this.#isStopped || this.#raft.leader !== null) return
      this.#guard(() => this.#raft.campaign())
      this.#wake()
    })
  }

  #committed(index: number, { signal }: Abortable): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#commitWaiters.push({ index, resolve, reject })
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    return promise
  }

  #settleCommitted(): void {
    if (this.#commitWaiters.length === 0) return
    const { commit, role } = this.#raft
    for (const waiter of this.#commitWaiters.splice(0)) {
      if (waiter.index <= commit) waiter.resolve()
      else if (role !== 'leader') waiter.reject(this.#noLeader())
      else this.#commitWaiters.push(waiter)
    }
  }

  // ---- the end ----

  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return
    this.#stop(error)
    this.#parts.onFatal(error)
  }

  #stop(error: unknown): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#subscriptions.dispose()
    this.#proposals.rejectAll(error instanceof ClusterError ? error : stopped())
    for (const { reject } of this.#commitWaiters.splice(0)) reject(stopped())
  }
}

function stopped(): ClusterError {
  return new ClusterError({ code: 'outcome_unknown' }, 'this peer is stopping: ask another one')
}
