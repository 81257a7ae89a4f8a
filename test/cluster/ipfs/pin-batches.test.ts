import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Awaited, PinBatches } from '../../../cluster/ipfs/pin-batches.ts'
import type { Clock } from '../../../src/clock.ts'
import type { Abortable } from '../../../src/lifetime.ts'
import type { Cid, PinMode } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { until } from '../../support/until.ts'

/** A Kubo that ends its calls when told, and time that passes when told. */
class World {
  readonly alone: Cid[] = []
  readonly together: (readonly Cid[])[] = []
  readonly dead = new Set<Cid>()
  /** Ends of calls for several pins, in their order; `null` ends them at once. */
  gates: PromiseWithResolvers<void>[] | null = null
  nowMs = 0
  /** Time that a pin takes. */
  pinMs = 1
  running = 0
  runningMost = 0
  #sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>()
  readonly batches: PinBatches

  constructor() {
    const clock: Pick<Clock, 'monotonicMs' | 'sleep' | 'every'> = {
      monotonicMs: () => this.nowMs,
      sleep: ms => new Promise(wake => this.#sleepers.add({ atMs: this.nowMs + ms, wake })),
      // Once is enough here.
      every: (ms, wake) => {
        const sleeper = { atMs: this.nowMs + ms, wake }
        this.#sleepers.add(sleeper)
        return { [Symbol.dispose]: () => this.#sleepers.delete(sleeper) }
      }
    }
    const kubo = {
      pin: async ({ cid }: { cid: Cid }) => {
        this.alone.push(cid)
        this.nowMs += this.pinMs
        if (this.dead.has(cid)) throw new Error(`no ${cid}`)
      },
      pinTogether: async (cids: readonly Cid[], { signal }: Abortable = {}) => {
        this.together.push(cids)
        this.runningMost = Math.max(this.runningMost, ++this.running)
        try {
          if (signal?.aborted) throw signal.reason
          const gate = Promise.withResolvers<void>()
          this.gates?.push(gate)
          signal?.addEventListener('abort', () => gate.reject(signal.reason))
          if (this.gates) await gate.promise
          if (cids.some(cid => this.dead.has(cid))) throw new Error('one of them')
        } finally {
          this.running--
        }
      }
    }
    this.batches = new PinBatches({ kubo, clock: clock as Clock }, { concurrentPins: 20 })
  }

  pin(
    cid: Cid,
    { signal = new AbortController().signal, awaited = null as Awaited, mode = 'recursive' as PinMode, name = '' } = {}
  ): Promise<void> {
    return this.batches.pin({ cid, mode, name }, { signal, awaited, onProgress: () => {} })
  }

  /** Ten that were quick. */
  async warm(): Promise<void> {
    for (const cid of many(10, 'warm')) await this.pin(cid)
    this.alone.length = 0
  }

  pass(ms: number): void {
    this.nowMs += ms
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.atMs > this.nowMs) continue
      this.#sleepers.delete(sleeper)
      sleeper.wake()
    }
  }
}

const many = (count: number, name: string): Cid[] => Array.from({ length: count }, (_, index) => inline(`${name} ${index}`))

test('after ten quick pins those that nobody waits for are kept for a moment and share a call', async () => {
  const world = new World()
  await world.warm()
  const cids = many(5, 'shared')
  const pins = cids.map(cid => world.pin(cid))
  assert.deepEqual([world.alone, world.together], [[], []])
  world.pass(20)
  await Promise.all(pins)
  assert.deepEqual([world.alone, world.together], [[], [cids]])
})

test('before that, and with a name or another mode, each has a call of its own', async () => {
  const world = new World()
  await Promise.all(many(9, 'first').map(cid => world.pin(cid)))
  assert.equal(world.alone.length, 9)
  await world.pin(inline('tenth'))
  await Promise.all([world.pin(inline('named'), { name: 'n' }), world.pin(inline('direct'), { mode: 'direct' })])
  assert.equal(world.alone.length, 12)
  // One that was slow had something to fetch, and so may the next.
  world.pinMs = 300
  await world.pin(inline('slow'), { name: 'n' })
  world.pinMs = 1
  await Promise.all(many(9, 'again').map(cid => world.pin(cid)))
  assert.deepEqual([world.alone.length, world.together.length], [22, 0])
})

test('a pin whose progress somebody looks at has a call of its own, also where that begins while it is kept', async () => {
  const world = new World()
  await world.warm()
  const [one, other, late] = many(3, 'seen') as [Cid, Cid, Cid]
  const kept = [world.pin(one), world.pin(late)]
  await world.pin(other, { awaited: 'seeing' })
  assert.deepEqual([world.alone, world.together], [[other], []])
  world.batches.hurry(inline('somebody else'), false)
  world.batches.hurry(late, false)
  await kept[1]
  assert.deepEqual([world.alone, world.together], [[other, late], []])
  world.pass(20)
  await kept[0]
  assert.deepEqual(world.together, [[one]])
})

test('a pin that somebody waits for, and does not look at, leaves at once with those that are there', async () => {
  const world = new World()
  await world.warm()
  const [one, other, late] = many(3, 'awaited') as [Cid, Cid, Cid]
  await Promise.all([world.pin(one), world.pin(other, { awaited: 'blind' })])
  assert.deepEqual([world.alone, world.together], [[], [[one, other]]])
  const pin = world.pin(late)
  world.batches.hurry(inline('somebody else'), true)
  assert.equal(world.together.length, 1)
  world.batches.hurry(late, true)
  await pin
  assert.deepEqual(world.together[1], [late])
})

test('one call at a time, of sixteen pins at most; the rest leaves when it ends', async () => {
  const world = new World()
  await world.warm()
  world.gates = []
  const cids = many(50, 'crowd')
  const pins = Promise.all(cids.map(cid => world.pin(cid, { awaited: 'blind' })))
  for (let ended = 0; world.together.flat().length < 50; ended++) {
    await until('a call', () => world.gates![ended])
    world.gates[ended]?.resolve()
    await new Promise(resolve => setImmediate(resolve))
  }
  for (const gate of world.gates) gate.resolve()
  await pins
  assert.equal(world.runningMost, 1)
  assert.deepEqual(world.together.flat(), cids)
  assert.ok(world.together.every(({ length }) => length <= 16))
})

test('where no more company can come a batch leaves at once: sixteen, or as many as may be under way', async () => {
  const world = new World()
  await world.warm()
  world.gates = []
  const cids = many(20, 'crowd')
  const pins = Promise.all(cids.map(cid => world.pin(cid)))
  assert.deepEqual(world.together, [cids.slice(0, 16)])
  world.gates[0]?.resolve()
  await until('the rest', () => world.together.length === 2)
  assert.deepEqual(world.together[1], cids.slice(16))
  world.gates[1]?.resolve()
  await pins
})

test('where one of a batch fails, each is asked for alone: it says why, the others are pinned', async () => {
  const world = new World()
  await world.warm()
  const cids = many(3, 'mixed') as [Cid, Cid, Cid]
  world.dead.add(cids[1])
  const ends = Promise.allSettled(cids.map(cid => world.pin(cid)))
  world.pass(20)
  assert.deepEqual(
    (await ends).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled']
  )
  assert.deepEqual(world.alone, cids)
  await world.pin(inline('next'))
  assert.equal(world.together.length, 1, 'no batch until single ones are quick again')
})

test('a batch that stands still is given up after a second, for single calls that show their progress', async () => {
  const world = new World()
  await world.warm()
  world.gates = []
  const cids = many(2, 'fetched')
  const pins = Promise.all(cids.map(cid => world.pin(cid)))
  world.pass(20)
  await until('the call', () => world.running === 1)
  world.pass(999)
  assert.deepEqual(world.alone, [])
  world.pass(1)
  await pins
  assert.deepEqual(world.alone, cids)
  const next = inline('next')
  await world.pin(next)
  assert.deepEqual(world.alone, [...cids, next], 'no batch until more of them are quick')
})

test('who is told to stop waits for the end of the call, for Kubo may have pinned it; when all are, the call is ended', async () => {
  const world = new World()
  await world.warm()
  world.gates = []
  const [stop, other] = [new AbortController(), new AbortController()]
  const shared = Promise.allSettled([
    world.pin(inline('shared'), { signal: other.signal }),
    world.pin(inline('mate'), { signal: stop.signal })
  ])
  world.pass(20)
  await until('the call', () => world.running === 1)
  stop.abort(new Error('enough'))
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(world.running, 1, 'one of the two still wants it')
  other.abort(new Error('enough'))
  assert.deepEqual(
    (await shared).map(({ status }) => status),
    ['rejected', 'rejected']
  )
  assert.deepEqual(world.alone, [], 'nobody asks again')
})
