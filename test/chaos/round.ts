/** One round: a new cluster under load, one kind of harm again and again, and then the reckoning. */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../src/errors.ts'
import { deadline } from '../../src/lifetime.ts'
import type { Cid } from '../../src/types.ts'
import type { Harm } from './harms.ts'
import { describe } from './history.ts'
import { check } from './linearizable.ts'
import type { Nemesis } from './nemeses.ts'
import type { Build, ChaosPeer } from './peer.ts'
import { brokenPromises } from './sightings.ts'
import type { Wires } from './wires.ts'
import { World } from './world.ts'

export interface RoundSettings {
  readonly nemesis: string
  readonly seed: number
  readonly seconds: number
  readonly dir: string
  readonly build: Build
  /** Limits of time are so many times as long: for a machine that does other things. */
  readonly patience: number
  readonly say: (line: string) => void
}

export interface RoundResult {
  readonly nemesis: string
  readonly seed: number
  readonly peers: number
  readonly strikes: number
  readonly acknowledged: number
  readonly refused: Readonly<Record<string, number>>
  readonly unknown: Readonly<Record<string, number>>
  readonly operations: number
  readonly cids: number
  readonly linearizableReads: boolean
  /** From the end of a harm until the last peer acknowledged a write: the longest. */
  readonly healedMs: number | null
  /** From its begin until the last of the peers that must go on did. */
  readonly goOnMs: number | null
  /** A client of a peer that reaches nobody waited so long for an answer. */
  readonly aloneMs: number | null
  readonly deaths: readonly string[]
  /** What must never be. */
  readonly violations: readonly string[]
  /** What took longer than is promised. */
  readonly late: readonly string[]
  readonly undecided: number
}

/** No write: after this time, which is longer than a peer lets a client wait, something hangs for good. */
const hangMs = 15_000
/** A peer that reaches nobody says so within this time. */
const aloneLimitMs = 2_000
const agreeMs = 15_000
/** Between a harm and the first look at who goes on. */
const settleMs = 300

export interface RoundEnd {
  readonly result: RoundResult
  /** What the clients saw. */
  readonly history: readonly object[]
  /** For people: what they saw of each CID that cannot be explained, a line an operation. */
  readonly unexplained: readonly string[]
}

export async function runRound(wires: Wires, nemesis: Nemesis, settings: RoundSettings): Promise<RoundEnd> {
  const { founders, spare = 0, disk = 'plain', trailingLogs, stock = 0 } = nemesis
  await using world = await World.start(wires, { ...settings, founders, spare, disk, trailingLogs, stock })
  const round = new Round(world, nemesis, settings)
  await round.run()
  return { result: round.result(), history: [...world.load.operations, ...world.load.sightings], unexplained: round.unexplained }
}

class Round {
  readonly #world: World
  readonly #nemesis: Nemesis
  readonly #settings: RoundSettings
  readonly #violations: string[] = []
  readonly #late: string[] = []
  readonly #longest = { healed: 0, goOn: 0, alone: 0 }
  readonly unexplained: string[] = []
  #strikes = 0
  #undecided = 0

  constructor(world: World, nemesis: Nemesis, settings: RoundSettings) {
    this.#world = world
    this.#nemesis = nemesis
    this.#settings = settings
  }

  async run(): Promise<void> {
    const { random } = this.#world
    const end = performance.now() + this.#settings.seconds * 1_000
    while (this.#strikes === 0 || (performance.now() < end && this.#violations.length === 0)) {
      await sleep(random.between(200, 1_000))
      this.#strikes++
      await this.#strike()
    }
    await this.#reckon()
  }

  result(): RoundResult {
    const { load, deaths, peers } = this.#world
    const ms = (value: number) => (value === 0 ? null : Math.round(value))
    return {
      nemesis: this.#settings.nemesis,
      seed: this.#settings.seed,
      peers: peers.length,
      strikes: this.#strikes,
      acknowledged: load.acknowledged,
      refused: Object.fromEntries(load.refused),
      unknown: Object.fromEntries(load.unknown),
      operations: load.operations.length,
      cids: new Set(load.operations.map(({ key }) => key)).size,
      linearizableReads: load.hasLinearizableReads,
      healedMs: ms(this.#longest.healed),
      goOnMs: ms(this.#longest.goOn),
      aloneMs: ms(this.#longest.alone),
      deaths: deaths.map(({ peer, how }) => `peer-${peer}: ${how}`),
      violations: this.#violations,
      late: this.#late,
      undecided: this.#undecided
    }
  }

  /** Harm, for a while, and its end; each with what is promised meanwhile. */
  async #strike(): Promise<void> {
    const { random } = this.#world
    const [low, high] = this.#nemesis.holdMs
    const holdMs = random.between(low, high)
    const askedMs = performance.now()
    const harm = await this.#nemesis.strike(this.#world)
    const { beganMs = askedMs } = harm
    this.#say(`${harm.what}, for ${holdMs} ms`)
    const held = sleep(holdMs)
    await Promise.all([held, this.#expectToGoOn(harm, beganMs), this.#expectToBeTold(harm, holdMs)])
    const healedMs = performance.now()
    try {
      await harm.heal()
    } catch (error) {
      this.#violations.push(`not undone: ${messageOf(error)}`)
      return
    }
    this.#say('healed')
    await this.#expectAll(healedMs)
    if (this.#world.deaths.length > 0 && this.#nemesis.mayDie !== true) this.#violations.push('a process ended by itself')
  }

  async #expectToGoOn({ goOn, what }: Harm, sinceMs: number): Promise<void> {
    if (goOn.length === 0) return
    // What was under way when it struck may still end well.
    await sleep(settleMs)
    const waits = await this.#world.resumed(goOn, { sinceMs, limitMs: this.#hangMs })
    this.#longest.goOn = Math.max(this.#longest.goOn, this.#judge(waits, goOn, this.#nemesis.goOnMs, `of ${what}`))
  }

  /** Asks once the loss can be known: a link is given up after 1.5 s of silence. */
  async #expectToBeTold({ alone, what }: Harm, holdMs: number): Promise<void> {
    if (alone.length === 0 || holdMs < 2 * aloneLimitMs) return
    await sleep(aloneLimitMs)
    const waits = await Promise.all(alone.map(peer => this.#world.answered(peer, this.#hangMs)))
    this.#longest.alone = Math.max(this.#longest.alone, this.#judge(waits, alone, aloneLimitMs, `for any answer, cut off by ${what}`))
  }

  async #expectAll(sinceMs: number): Promise<void> {
    const { running } = this.#world
    // To undo it may take a while by itself.
    const limitMs = performance.now() - sinceMs + this.#hangMs
    const waits = await this.#world.resumed(running, { sinceMs, limitMs })
    this.#say(`all write again after ${waits.map(ms => (ms === null ? 'never' : Math.round(ms))).join(', ')} ms`)
    this.#longest.healed = Math.max(this.#longest.healed, this.#judge(waits, running, this.#nemesis.healedMs, 'after the end of the harm'))
  }

  /** @returns the longest of them */
  #judge(waits: readonly (number | null)[], peers: readonly ChaosPeer[], limitMs: number, when: string): number {
    let longest = 0
    for (const [at, ms] of waits.entries()) {
      const { name } = peers[at] as ChaosPeer
      longest = Math.max(longest, ms ?? this.#hangMs)
      if (ms === null) this.#violations.push(`${name} hangs: nothing for ${this.#hangMs / 1_000} s ${when}`)
      else if (ms > limitMs * this.#settings.patience) this.#late.push(`${name}: ${Math.round(ms)} ms ${when}, promised ${limitMs}`)
    }
    return longest
  }

  get #hangMs(): number {
    return hangMs * this.#settings.patience
  }

  /** Everything is whole again: what was acknowledged must be there, on all peers alike. */
  async #reckon(): Promise<void> {
    const { load } = this.#world
    await load.stop()
    await this.#expectAgreement()
    this.#say(`checking ${load.operations.length} operations, ${load.sightings.length} sightings`)
    for (const { verdict, key, operations, placed } of check(load.operations)) {
      if (verdict === 'undecided') this.#undecided++
      else {
        const last = placed.at(-1)
        const explained = last === undefined ? 'not even a first operation' : `${placed.length} of them, up to ${describe([last])[0]}`
        this.#violations.push(`not linearizable: ${key}, ${operations.length} operations; can be explained: ${explained}`)
        this.unexplained.push(key, ...describe(operations).map(line => `  ${line}`))
      }
    }
    this.#violations.push(...brokenPromises(load.sightings, { denied: load.denied }))
  }

  /** All peers have the same pins, and say so of every CID of the history. */
  async #expectAgreement(): Promise<void> {
    const { load, running } = this.#world
    const keys = new Set(load.operations.map(({ key }) => key))
    // Those that hang will not.
    const end = performance.now() + (this.#violations.length === 0 ? agreeMs : 1_000)
    for (;;) {
      const lists = await Promise.all(
        running.map(peer => this.#lookAt(peer, keys, deadline(Math.max(1_000, Math.ceil(end - performance.now())))))
      )
      if (lists.every(list => list !== undefined && list === lists[0])) return
      if (performance.now() < end) continue
      this.#violations.push(`the peers do not have the same pins at the end`)
      return
    }
  }

  /**
   * A pin through a peer is acknowledged when that peer has applied it, and with it all that was agreed before: the list that it then shows is a
   * read of every CID, asked for when the pin was.
   */
  async #lookAt(peer: ChaosPeer, keys: ReadonlySet<Cid>, signal: AbortSignal): Promise<string | undefined> {
    const { load } = this.#world
    const client = this.#world.client(peer)
    const calledAt = performance.now()
    const answer = await load.pin(peer.name, client, load.freshKey(), signal)
    if (answer.type !== 'done') return undefined
    const list = await client.list(signal).catch(() => undefined)
    if (list === undefined) return undefined
    const span = { peer: peer.name, calledAt, returnedAt: performance.now() }
    const lines: string[] = []
    for (const key of keys) {
      const pin = list.get(key) ?? null
      load.operations.push({ ...span, key, kind: 'get', found: pin?.name ?? null })
      load.sightings.push({ ...span, key, pin })
    }
    // Also those that were there before the first client.
    for (const [key, { name, version }] of list) lines.push(`${key} ${name} ${version}`)
    return lines.join()
  }

  #say(line: string): void {
    this.#settings.say(`${this.#settings.nemesis} ${this.#strikes}: ${line}`)
    for (const peer of this.#world.running) peer.note(line)
  }
}
