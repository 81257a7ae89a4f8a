/**
 * One peer of the simulated world: the real consensus over a slow, forgetful disk, a bad network and a wrong clock. Its process can be killed,
 * started again, and paused. What a killed process still had to do is never done.
 */
import { decodeMessage } from '../../cluster/consensus/codec.ts'
import type { Newcomer } from '../../cluster/consensus/members.ts'
import { type Beginning, RaftConsensus } from '../../cluster/consensus/raft-consensus.ts'
import type { Ready } from '../../cluster/raft/types.ts'
import { Spaces } from '../../cluster/state/spaces.ts'
import { isFault } from '../../src/errors.ts'
import { openLog } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import { type ClockLife, clockOf } from './clock.ts'
import { Disk } from './disk.ts'
import { SimMachine } from './machine.ts'
import type { Endpoint } from './network.ts'
import { electionMs, tickMs } from './plan.ts'
import type { Random } from './random.ts'
import { SimRpc } from './rpc.ts'
import { Violation } from './violation.ts'
import { WatchedRaft, type Watcher } from './watched.ts'
import type { World } from './world.ts'

const log = openLog({ level: 'silent', name: 'simulation' })
/** Kinds of messages that promise something: their first byte. */
const promises: ReadonlySet<number | undefined> = new Set([1, 2, 3, 4, 5, 7])

/** One run of a process, from its start to its end. */
export interface Life extends ClockLife {
  /** The process is gone: it hears, says and writes nothing any more. */
  readonly isOver: boolean
  /** Now, or when it goes on after a pause. */
  run(work: () => void): void
  /** A message is about to leave. */
  sending(to: PeerId, payload: Uint8Array): void
}

export class SimPeer implements Endpoint {
  readonly id: PeerId
  readonly name: string
  readonly disk: Disk
  readonly #self: Newcomer
  readonly #beginning: (peer: SimPeer) => Beginning
  readonly #world: World
  readonly #random: Random
  readonly #pace: number
  #life: (Life & { isOver: boolean }) | undefined
  #lives = 0
  /** What happened to the process while it was paused. */
  #held: (() => void)[] | null = null
  #core: WatchedRaft | undefined
  #machine: SimMachine | undefined
  #rpc: SimRpc | undefined
  #consensus: RaftConsensus | undefined

  constructor(self: Newcomer, beginning: (peer: SimPeer) => Beginning, world: World, random: Random) {
    this.id = self.id
    this.name = self.name
    this.#self = self
    this.#beginning = beginning
    this.#world = world
    this.#random = random
    this.disk = new Disk(random.fork(), world.plan.diskDelayMax)
    const factor = 1 + (world.plan.clockSkew - 1) * (random.below(1_001) / 1_000)
    this.#pace = random.chance(0.5) ? factor : 1 / factor
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  get isPaused(): boolean {
    return this.#held !== null
  }

  /** Started how often. */
  get life(): number {
    return this.#lives
  }

  get rpc(): SimRpc | undefined {
    return this.#rpc
  }

  /** `undefined` until it has begun. */
  get consensus(): RaftConsensus | undefined {
    return this.#consensus
  }

  get hasCore(): boolean {
    return this.#core !== undefined
  }

  /** @throws Error while it has none */
  get core(): WatchedRaft {
    if (this.#core === undefined) throw new Error(`${this.name} has no core`)
    return this.#core
  }

  get stateDigest(): number {
    return this.#machine?.digest ?? 0
  }

  start(): void {
    if (this.isUp) return
    this.#lives++
    const life = this.#beginLife()
    this.#life = life
    this.#rpc = new SimRpc(this.id, this.#world, life)
    this.#world.network.changed(this.id)
    this.#boot(life).catch(error => this.#stopped(life, error))
  }

  /** As kill -9, or as the power that fails. */
  crash(): void {
    if (this.#life === undefined) return
    this.#life.isOver = true
    this.#life = this.#core = this.#machine = this.#rpc = this.#consensus = undefined
    this.#held = null
    this.disk.crash()
    this.#world.network.changed(this.id)
  }

  /** As SIGTERM: hands leadership over, if it can, and ends in good order. Starts again after `forMs`. */
  stop({ forMs }: { readonly forMs: number }): void {
    const life = this.#life
    const consensus = this.#consensus
    if (life === undefined || consensus === undefined) return
    const ended = async (): Promise<void> => {
      await consensus.handOver({ signal: AbortSignal.timeout(1_000) })
      await consensus[Symbol.asyncDispose]()
      if (life.isOver) return
      this.crash()
      this.#world.after(forMs, () => this.start())
    }
    ended().catch(error => this.#stopped(life, error))
  }

  pause(): void {
    if (this.isUp) this.#held ??= []
  }

  resume(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const work of held) work()
  }

  connection(peer: PeerId, isUp: boolean): void {
    this.#rpc?.connection(peer, isUp)
  }

  /** Calls one of the verbs that a driver may call at any time. */
  poke(verb: (core: WatchedRaft) => void): void {
    if (this.#core !== undefined && !this.isPaused) verb(this.#core)
  }

  // ---- one life ----

  #beginLife(): Life & { isOver: boolean } {
    const world = this.#world
    const run = (work: () => void): void => {
      if (life.isOver) return
      // Held work looks again: the process may be killed or paused anew before its turn comes.
      if (this.#held !== null) this.#held.push(() => run(work))
      else work()
    }
    const life: Life & { isOver: boolean } = {
      isOver: false,
      pace: this.#pace,
      get now() {
        return world.now
      },
      run,
      later: (delay, work) => world.after(delay, () => run(work)),
      sending: (to, payload) => {
        if (world.isSteady && payload[0] === 4 && this.#consensus?.status().removedAt !== null)
          world.fail(new Violation('liveness', `${this.name} was removed and looks for votes`))
        if (promises.has(payload[0])) world.invariants.sent(this, decodeMessage(payload, { from: this.id, to }))
      }
    }
    return life
  }

  async #boot(life: Life): Promise<void> {
    const { history, invariants, plan } = this.#world
    const store = this.disk.open(life, () => this.hasCore && invariants.written(this))
    const state = await Spaces.open(store)
    const machine = new SimMachine(this.name, history)
    this.#machine = machine
    await machine.load(state, this.disk.durable.applied)
    const random = this.#random.fork()
    const consensus = new RaftConsensus(
      {
        store,
        state,
        rpc: this.rpc as SimRpc,
        machine,
        clock: clockOf(life),
        log,
        random: below => random.below(below),
        origin: [random.next(), random.next()].map(half => half.toString(16).padStart(8, '0')).join(''),
        onFatal: error => this.#stopped(life, error),
        createCore: (settings, restored) => {
          this.#core = new WatchedRaft({ ...settings, ...plan.limits, trace: this.#world.transitions }, restored, this.#watcher(life))
          invariants.started(this)
          return this.#core
        }
      },
      {
        pace: { tickMs, electionMs, heartbeatMs: plan.heartbeatMs },
        proposals: { timeoutMs: 5_000, countMax: plan.proposalsMax, bytesMax: 1 << 20 },
        snapshots: plan.snapshots,
        self: this.#self
      }
    )
    await consensus.start(this.#beginning(this))
    if (!life.isOver) this.#consensus = consensus
  }

  #watcher(life: Life): Watcher {
    const { invariants } = this.#world
    const whileAlive = (check: () => void): void => {
      if (!life.isOver) this.#world.guard(check)
    }
    return {
      observe: () => whileAlive(() => invariants.observe(this)),
      ticked: () => whileAlive(() => invariants.handOvers.ticked(this)),
      handed: (ready: Ready) => whileAlive(() => invariants.handed(this, ready)),
      proposed: (outcome, next) => whileAlive(() => invariants.proposed(this, outcome, next)),
      asked: id => invariants.asked(this, id),
      released: read => whileAlive(() => invariants.released(this, read)),
      transferring: () => whileAlive(() => invariants.handOvers.began(this)),
      applied: index => whileAlive(() => invariants.applied(this, index)),
      installed: snapshot => {
        this.#world.count('state installed')
        whileAlive(() => invariants.installed(this, snapshot))
      },
      compacted: last => {
        this.#world.count('log cut')
        whileAlive(() => invariants.compacted(this, last))
      }
    }
  }

  /** The process ended by itself: as it should where its disk is broken, and never else. */
  #stopped(life: Life, error: unknown): void {
    if (life.isOver) return
    if (isFault(error, 'storage_failed') && this.disk.isBroken) {
      this.crash()
      this.#world.after(this.#random.between(100, 2_000), () => this.start())
    } else
      this.#world.fail(error instanceof Violation ? error : new Violation('the peer failed', `${this.name}: ${error}`, { cause: error }))
  }
}
