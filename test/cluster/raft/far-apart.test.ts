/** Peers that are far from each other, with the timeouts that `flotilla init --profile` gives them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { profiles, Timing } from '../../../cli/timing.ts'
import { coreOf } from '../../../cluster/consensus/core.ts'
import type { Raft } from '../../../cluster/raft/raft.ts'
import type { Message } from '../../../cluster/raft/types.ts'
import { formatConfig } from '../../../src/config-file.ts'
import { parseConfig } from '../../../src/config-parse.ts'
import { Random } from '../../sim/random.ts'
import { configuration, flush, restored } from '../../support/raft.ts'

const ids = ['a', 'b', 'c', 'd', 'e'] as const

/**
 * Five peers, each as far from every other: one way takes 150 ms. A lost packet is sent again, and all behind it on its link waits for it. Twice a minute
 * the lines of one peer stand still for up to three seconds.
 */
class World {
  readonly #pace: Timing['pace']
  readonly #random: Random
  readonly #nodes: ReadonlyMap<string, Raft>
  readonly #underWay: { readonly at: number; readonly message: Message }[] = []
  readonly #lastArrival = new Map<string, number>()
  #nowMs = 0
  /** Who led when. */
  readonly reigns = new Set<string>()

  constructor(seed: number, profile: keyof typeof profiles) {
    this.#pace = new Timing(parseConfig(formatConfig(profiles[profile]), { file: profile, variables: {} }).config).pace
    this.#random = new Random(seed)
    const random = (below: number) => this.#random.below(below)
    this.#nodes = new Map(ids.map(id => [id, coreOf(id, restored({ founding: configuration([...ids]) }), this.#pace, { random })]))
  }

  run(untilMs: number): void {
    for (; this.#nowMs < untilMs; this.#nowMs += this.#pace.tickMs) {
      if (this.#nowMs % 30_000 === 0) this.#stand(this.#random.pick(ids), this.#random.between(1_000, 3_000))
      const arrived = this.#underWay.filter(({ at }) => at <= this.#nowMs)
      for (const one of arrived) {
        this.#underWay.splice(this.#underWay.indexOf(one), 1)
        this.#nodes.get(one.message.to)?.step(one.message)
      }
      for (const raft of this.#nodes.values()) {
        raft.tick()
        for (const message of flush(raft)) this.#send(message)
        if (raft.role === 'leader') this.reigns.add(`${raft.leader} in term ${raft.term}`)
      }
    }
  }

  #stand(id: string, forMs: number): void {
    for (const other of ids) for (const link of [`${id}>${other}`, `${other}>${id}`]) this.#lastArrival.set(link, this.#nowMs + forMs)
  }

  #send(message: Message): void {
    const link = `${message.from}>${message.to}`
    let takesMs = 150 + this.#random.below(50)
    // A sender waits longer for the acknowledgement than a round trip takes, and twice as long the next time.
    for (let againMs = 500; this.#random.chance(0.01); againMs *= 2) takesMs += againMs
    const at = Math.max(this.#nowMs + takesMs, this.#lastArrival.get(link) ?? 0)
    this.#lastArrival.set(link, at)
    this.#underWay.push({ at, message })
  }
}

test('over round trips of 300 ms and more, with packets lost and lines that stand still, the profile "wan" elects once and stays with its leader', () => {
  const seeds = Array.from({ length: 10 }, (_, seed) => seed)
  const reigns = (profile: keyof typeof profiles) =>
    seeds.map(seed => {
      const world = new World(seed, profile)
      world.run(600_000)
      return [...world.reigns]
    })
  const far = reigns('wan')
  assert.deepEqual(
    far.filter(({ length }) => length !== 1),
    []
  )
  assert.ok(
    reigns('lan').some(({ length }) => length > 1),
    'the world is no harder than the defaults can bear: it would show nothing'
  )
})

test('a pace that is changed while a peer runs holds for the wait that is going on as well', () => {
  for (const { before, after, first, last } of [
    { before: 10, after: 50, first: 50, last: 99 },
    { before: 50, after: 10, first: 10, last: 19 }
  ]) {
    const pace = { tickMs: 1, electionMs: before, heartbeatMs: 1 }
    const raft = coreOf('a', restored({ founding: configuration(['a', 'b', 'c']) }), pace, { random: below => below - 1 })
    let ticks = 0
    for (; raft.role === 'follower' && ticks < 100; ticks++) {
      if (ticks === 5) pace.electionMs = after
      raft.tick()
    }
    assert.ok(ticks >= first && ticks <= last, `from ${before} to ${after}: it looks for votes after ${ticks}`)
  }
})
