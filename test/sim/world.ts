/**
 * A whole cluster in one thread, from one number: the same seed is the same run, byte for byte. First everything may go wrong, and nothing
 * wrong may come of it (safety); then all is healed, and the cluster must work again within a bound (liveness).
 */
import { crc32 } from 'node:zlib'
import { toMember } from '../../cluster/consensus/members.ts'
import type { Beginning } from '../../cluster/consensus/raft-consensus.ts'
import type { TraceSink } from '../../cluster/raft/trace.ts'
import type { PeerId } from '../../src/types.ts'
import { newcomer } from '../support/newcomer.ts'
import { Agenda } from './agenda.ts'
import { Clients } from './client.ts'
import { takeOver } from './globals.ts'
import { Invariants } from './invariants.ts'
import { History } from './machine.ts'
import { fairWeather, Network } from './network.ts'
import { SimPeer } from './peer.ts'
import { drawPlan, electionMs, type Plan, tickMs } from './plan.ts'
import { Random } from './random.ts'
import type { RpcWorld, SimRpc } from './rpc.ts'
import { leaderOf, makeTrouble } from './trouble.ts'
import { type Invariant, Violation } from './violation.ts'

export interface WorldOptions {
  readonly profile?: string
  /** Length of the safety phase; drawn by the seed where it is not said. */
  readonly ticks?: number | undefined
  /** Is given one line an event. */
  readonly trace?: ((line: string) => void) | undefined
}

export interface Outcome {
  readonly seed: number
  /** Of everything that arrived anywhere, in order. */
  readonly digest: number
  readonly events: number
  readonly messages: number
  readonly committed: number
  readonly acknowledged: number
  readonly leaders: number
  /** What happened how often: troubles, refusals, replaced logs, changes of members. */
  readonly seen: ReadonlyMap<string, number>
  /** Milliseconds of the world from the end of the troubles until everything was in order again. */
  readonly healedMs: number
  readonly failure: { readonly invariant: Invariant; readonly message: string; readonly atMs: number } | null
}

/** A healed cluster must be in order in this time (a join whose call was lost waits for two deadlines of 15 s), and those it may take longer for every entry: some seeds allow one in flight. */
const healingMs = 60_000
const healingMsPerEntry = 100
/** Healed links are up again in this time. */
const dialMs = 1_000
/** In fair weather a leader hands over in this time: less than any election timeout. */
const handOverMs = 400
/** For so long, by the slowest clock, it must then stay so, without another election; longer than any question may stay open. */
const steadyMs = 6_000
/** Messages a peer may cause in a tick while nobody asks for anything: heartbeats, their answers, and a little. */
const idleMessagesMax = 3

export async function simulate(seed: number, options: WorldOptions = {}): Promise<Outcome> {
  const world = new World(seed, options)
  using _ = takeOver(world.agenda, world.random.fork())
  return await world.run()
}

export class World implements RpcWorld {
  readonly plan: Plan
  readonly agenda = new Agenda()
  readonly random: Random
  readonly network: Network
  readonly history = new History()
  readonly invariants: Invariants
  readonly clients: Clients
  readonly peers = new Map<PeerId, SimPeer>()
  isCalm = false
  /** Everything is healed and agreed: whoever was removed knows it. */
  isSteady = false
  readonly #seed: number
  #healedMs = 0
  readonly #trace: ((line: string) => void) | undefined
  readonly #seen = new Map<string, number>()
  #failure: Outcome['failure'] = null
  #digest = 0
  #events = 0
  #messages = 0

  constructor(seed: number, { profile = 'all', ticks, trace }: WorldOptions) {
    this.#seed = seed
    this.#trace = trace
    this.random = new Random(seed)
    this.plan = drawPlan(this.random, { profile, ticks })
    this.network = new Network(this.plan.weather, this.random.fork(), (delay, work) => this.after(delay, work))
    this.clients = new Clients(this, this.random.fork())
    const { founders, joiners } = this.plan
    const all = Array.from({ length: founders + joiners }, (_, position) => newcomer(position + 1))
    const founding = all.slice(0, founders)
    const found: Beginning = { type: 'found', clusterId: 'simulated', members: founding }
    this.invariants = new Invariants({ members: founding.map(member => toMember(member, true)) })
    for (const [position, self] of all.entries()) {
      const join = (peer: SimPeer): Beginning => ({ type: 'join', contacts: ({ signal }) => this.#contacts(peer, signal) })
      const peer = new SimPeer(self, position < founders ? () => found : join, this, this.random.fork())
      this.peers.set(self.id, peer)
      this.network.add(peer)
    }
  }

  get now(): number {
    return this.agenda.now
  }

  async run(): Promise<Outcome> {
    let healedMs = 0
    try {
      this.note(`plan ${JSON.stringify(this.plan)}`)
      this.#begin()
      await this.#until(this.plan.lengthMs)
      this.#heal()
      healedMs = await this.#settle()
      // What was asked for by somebody who died since may still change the members, and one that is to go keeps no leadership: then once more.
      while (!(await this.#handOver())) await this.#settle()
      await this.#stay()
      this.clients.requireAnswered()
      this.clients.requireTruth()
    } catch (error) {
      this.fail(error)
    }
    const { committed, leadersCount, dropsCount, changesCount } = this.invariants
    return {
      seed: this.#seed,
      digest: this.#digest,
      events: this.#events,
      messages: this.#messages,
      committed,
      acknowledged: this.clients.acknowledgedCount,
      leaders: leadersCount,
      seen: this.#seen.set('log replaced', dropsCount).set('change committed', changesCount),
      healedMs,
      failure: this.#failure && { ...this.#failure, message: this.#named(this.#failure.message) }
    }
  }

  /** The first violation is the run's; what comes of it is not looked at. */
  fail(error: unknown): void {
    const violation = error instanceof Violation ? error : new Violation('the peer failed', String(error), { cause: error })
    this.#failure ??= { invariant: violation.invariant, message: violation.message, atMs: this.now }
    this.note(`violation ${violation.message}`)
  }

  /** A check whose violation must not be lost in the code under test. */
  guard(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.fail(error)
      throw error
    }
  }

  /** Names instead of ids. */
  #named(text: string): string {
    return [...this.peers.values()].reduce((named, { id, name }) => named.replaceAll(id, name), text)
  }

  count(event: string): void {
    this.#seen.set(event, (this.#seen.get(event) ?? 0) + 1)
  }

  after(delay: number, work: () => void): void {
    this.agenda.after(delay, work)
  }

  rpcOf(id: PeerId): SimRpc | undefined {
    return this.peers.get(id)?.rpc
  }

  /** Peers that take questions. */
  running(): readonly SimPeer[] {
    return [...this.peers.values()].filter(peer => peer.consensus !== undefined && !peer.isPaused)
  }

  /** A digest of what arrives where and when is one of everything: whatever differs in a peer differs in what it says next. */
  arrived(from: PeerId, to: PeerId, channel: string, payload: Uint8Array): void {
    this.#messages++
    const link = (this.peers.get(from)?.name ?? '').charCodeAt(1) * 16 + (this.peers.get(to)?.name ?? '').charCodeAt(1)
    const mixed = Math.imul(Math.imul(this.#digest ^ this.now, 0x85ebca6b) ^ crc32(payload), 0xc2b2ae35) ^ link
    this.#digest = (mixed ^ (mixed >>> 15)) >>> 0
    if (this.#trace)
      this.note(`${this.peers.get(to)?.name} hears ${this.peers.get(from)?.name} ${channel} ${Buffer.from(payload).toString('hex')}`)
  }

  /** For tools that read the trace events of etcd/raft: the lines of the trace that begin with a brace. */
  get transitions(): TraceSink | undefined {
    const trace = this.#trace
    return trace && (event => trace(JSON.stringify({ tag: 'trace', event })))
  }

  note(line: string): void {
    this.#trace?.(`${this.now} ${line}`)
  }

  // ---- safety ----

  #begin(): void {
    const { joiners, founders, lengthMs } = this.plan
    const all = [...this.peers.values()]
    for (const peer of all.slice(0, founders)) peer.start()
    for (const peer of all.slice(founders, founders + joiners)) this.after(this.random.below(lengthMs / 2), () => peer.start())
    this.#ask()
    this.#trouble()
  }

  #trouble(): void {
    this.after(this.random.between(1, this.plan.calmMax), () => {
      if (this.isCalm) return
      const trouble = this.random.any(this.plan.troubles)
      if (trouble !== undefined) {
        this.count(trouble)
        this.note(`trouble ${trouble}`)
        makeTrouble(trouble, this)
      }
      this.#trouble()
    })
  }

  #ask(): void {
    this.after(this.random.between(1, this.plan.askEvery), () => {
      if (this.isCalm) return
      this.clients.ask()
      this.#ask()
    })
  }

  async *#contacts(peer: SimPeer, signal: AbortSignal | undefined): AsyncIterable<PeerId> {
    const others = [...this.peers.keys()].filter(id => id !== peer.id)
    for (let life = peer.life; peer.life === life && !signal?.aborted; ) {
      const contact = this.random.any(others)
      if (contact !== undefined) yield contact
      await new Promise<void>(resolve => this.after(500, resolve))
    }
  }

  // ---- liveness ----

  #heal(): void {
    this.note('healed')
    this.#healedMs = this.now
    this.isCalm = true
    this.network.weather = fairWeather
    this.network.shape(() => false)
    for (const peer of this.peers.values()) {
      if (peer.disk.isBroken) peer.crash()
      peer.resume()
      peer.start()
      peer.disk.delayMax = Math.min(this.plan.diskDelayMax, 20)
    }
  }

  /** A leader, an answer to every member, and every member with the same log, all of it applied. @returns the time it took */
  async #settle(): Promise<number> {
    const healed = this.now
    const longest = Math.max(...[...this.peers.values()].map(peer => peer.disk.durable.lastIndex))
    const limit = healed + healingMs + healingMsPerEntry * longest
    const served = new Set<string>()
    let missing: string | undefined = 'there is no leader'
    for (let turn = 0; this.now < limit; turn++) {
      await this.#until(this.now + tickMs)
      const leader = leaderOf(this.peers)
      if (leader === undefined) continue
      if (turn % 10 === 0) for (const peer of this.#members(leader)) this.#serve(peer, served)
      missing = this.#missing(leader, served)
      if (missing === undefined) return this.now - healed
    }
    throw new Violation('liveness', `${missing}, ${limit - healed} ms after everything was healed: ${this.#describe()}`)
  }

  /** A write and a read, until they are answered. */
  #serve(peer: SimPeer, served: Set<string>): void {
    for (const what of ['write', 'read'] as const) {
      const name = `${peer.name} ${what}`
      if (!served.has(name)) this.clients[what](peer, () => served.add(name))
    }
  }

  /** What is still missing; `undefined` where nothing is. */
  #missing(leader: SimPeer, served: ReadonlySet<string>): string | undefined {
    const { lastIndex, term, commit, configuration } = leader.core.status()
    if (commit !== lastIndex) return 'the end of the log is not committed'
    const outside = [...this.peers.values()].find(({ consensus }) => consensus === undefined)
    if (outside) return `${outside.name} has not begun`
    if (this.clients.isRemoving) return 'a peer is being removed'
    const learner = configuration.members.find(({ isVoter }) => !isVoter)
    if (learner) return `${learner.id} has no vote`
    for (const peer of this.peers.values()) {
      const isOutside = !configuration.members.some(({ id }) => id === peer.id)
      const thinksItIsInside =
        peer.core.configuration.members.some(({ id }) => id === peer.id) && peer.consensus?.status().removedAt === null
      if (isOutside && thinksItIsInside) return `${peer.name} does not know that it was removed`
    }
    for (const peer of this.#members(leader)) {
      const { lastIndex: last, term: at } = peer.core.status()
      const status = peer.consensus?.status()
      if (last !== lastIndex || at !== term || status?.applied !== lastIndex) return `${peer.name} is behind`
      if (!status.isReady) return `${peer.name} is not ready`
      if (peer.stateDigest !== leader.stateDigest) return `${peer.name} has another state`
      for (const what of ['write', 'read']) if (!served.has(`${peer.name} ${what}`)) return `${peer.name} did not answer a ${what}`
    }
    return undefined
  }

  /**
   * A leader that stops in good order leaves no gap: another one commits long before anybody would have missed it.
   * @returns `false` where the members changed meanwhile, which is another matter
   */
  async #handOver(): Promise<boolean> {
    const { changesCount } = this.invariants
    // Everybody has to have dialled everybody, and what was sent in bad weather has to have arrived: it holds up what comes behind it.
    const { spikeChance, spikeMax } = this.plan.weather
    await this.#until(Math.max(this.now, this.#healedMs + (spikeChance > 0 ? spikeMax : 0)) + dialMs)
    const leader = leaderOf(this.peers)
    if (this.invariants.changesCount !== changesCount) return false
    if (leader === undefined) throw new Violation('liveness', 'the leader is gone')
    const { term, configuration } = leader.core.status()
    if (configuration.members.length < 2) return true
    void leader.consensus?.handOver({ signal: AbortSignal.timeout(handOverMs) }).catch(error => this.fail(error))
    await this.#until(this.now + handOverMs)
    const next = leaderOf(this.peers)
    const isDone = next !== undefined && next.core.term > term && next.core.status().hasCommittedInTerm
    if (this.invariants.changesCount !== changesCount) return false
    if (!isDone) throw new Violation('liveness', `${leader.name} does not hand over: ${this.#describe()}`)
    return true
  }

  /** Left alone, it stays with its leader and talks little. */
  async #stay(): Promise<void> {
    const before = { term: leaderOf(this.peers)?.core.term, messages: this.#messages }
    this.isSteady = true
    const lengthMs = steadyMs * this.plan.clockSkew
    await this.#until(this.now + lengthMs)
    const term = leaderOf(this.peers)?.core.term
    // A leader whose clock is slow beats too late for a follower whose clock is fast, where both are as far off as they get here.
    const { heartbeatMs, clockSkew } = this.plan
    const isHeardInTime = heartbeatMs * clockSkew < electionMs / clockSkew
    if (term !== before.term && isHeardInTime)
      throw new Violation('liveness', `an election for no reason: term ${before.term} became ${term}`)
    const perTick = (this.#messages - before.messages) / (lengthMs / tickMs) / this.peers.size
    if (perTick > idleMessagesMax * this.plan.clockSkew)
      throw new Violation('liveness', `${perTick} messages a tick and peer with nothing to say: ${this.#describe()}`)
  }

  /** Those of the leader's configuration. */
  #members(leader: SimPeer): readonly SimPeer[] {
    return leader.core.configuration.members.flatMap(({ id }) => this.peers.get(id as PeerId) ?? []).filter(({ hasCore }) => hasCore)
  }

  #describe(): string {
    return [...this.peers.values()]
      .map(peer => {
        if (!peer.hasCore) return `${peer.name} has not begun`
        const { applied, removedAt } = peer.consensus?.status() ?? {}
        return `${peer.name} ${JSON.stringify({ ...peer.core.status(), configuration: undefined, applied, removedAt })}`
      })
      .join('\n  ')
  }

  // ---- time ----

  /**
   * One event after the other, each with everything that follows from it at once: the promises that it settles are all done before the next one.
   * (The platform runs all of them before the next tick of the process.)
   */
  #until(time: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const next = (): void => {
        if (this.#failure) return reject(new Error('the run is over'))
        if (this.now >= time) return resolve()
        this.#events++
        try {
          this.agenda.step()
        } catch (error) {
          return reject(error)
        }
        queueMicrotask(() => process.nextTick(next))
      }
      next()
    })
  }
}
