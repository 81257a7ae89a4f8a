import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GarbageRuns } from '../../cluster/garbage-runs.ts'
import { Repositories } from '../../cluster/repositories.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { ClusterError, isFault } from '../../src/errors.ts'
import { Tasks } from '../../src/lifetime.ts'
import type { Collected, PeerId } from '../../src/types.ts'
import { MemoryNetwork } from '../support/memory-rpc.ts'
import { testCid } from '../support/rest.ts'
import { collect } from '../support/stream.ts'
import { until } from '../support/until.ts'

const ids = ['peer-1', 'peer-2', 'peer-3'] as unknown as readonly [PeerId, PeerId, PeerId]
const noLimit = 2n ** 64n - 1n
type Item = Omit<Collected, 'peer'>

/** Removes `count` blocks, and then does as it is told. */
function collector(count: number, end: (signal: AbortSignal | undefined) => Promise<void> = async () => {}) {
  const state = { given: 0, isStopped: false }
  const collect = async function* ({ signal }: { signal?: AbortSignal | undefined } = {}): AsyncGenerator<Item, void, undefined> {
    try {
      for (; state.given < count; state.given++) yield { cid: testCid(state.given), error: '' }
      await end(signal)
    } finally {
      state.isStopped = true
    }
  }
  return { state, collect }
}

const forever = (signal: AbortSignal | undefined) =>
  new Promise<never>((_, reject) => {
    if (signal?.aborted) reject(signal.reason)
    signal?.addEventListener('abort', () => reject(signal.reason))
  })

function cluster(
  kubos: readonly {
    collect: (options?: { signal?: AbortSignal | undefined }) => AsyncIterable<Item>
    size?: (options?: { signal?: AbortSignal | undefined }) => Promise<never>
  }[]
) {
  const network = new MemoryNetwork()
  const tasks = new Tasks((_name, error) => {
    throw error
  })
  const peers = kubos.map(({ collect, size }, index) => {
    const id = ids[index] ?? ids[0]
    const rpc = network.open(id)
    rpc.setMembers(ids.map(id => ({ id, addresses: [] })))
    const kubo = { collect, size: size ?? (async () => ({ repoBytes: BigInt(index + 1), maxBytes: noLimit, objects: 2n })) }
    const runs = new GarbageRuns({ kubo, clock: systemClock, tasks })
    const repositories = new Repositories({ rpc, kubo, runs, members: () => ids.slice(0, kubos.length) })
    repositories.start()
    return repositories
  })
  return { network, first: peers[0] as Repositories, [Symbol.asyncDispose]: () => tasks[Symbol.asyncDispose]() }
}

test('sizes come from every peer, and a peer that does not answer says why', async () => {
  const refuse = () => {
    throw new ClusterError({ code: 'kubo_unreachable' }, 'Kubo does not answer')
  }
  await using world = cluster([collector(0), collector(0), { ...collector(0), size: refuse }])
  const sizes = await collect(world.first.sizes())
  const shown = sizes.map(({ peer, repoBytes, maxBytes, error }) => [peer, repoBytes, maxBytes, error])
  assert.deepEqual(shown.toSorted(), [
    ['peer-1', 1n, noLimit, ''],
    ['peer-2', 2n, noLimit, ''],
    ['peer-3', 0n, 0n, 'Kubo does not answer']
  ])
  assert.deepEqual((await collect(world.first.sizes({ which: 'others' }))).map(({ peer }) => peer).toSorted(), ['peer-2', 'peer-3'])
  assert.deepEqual(
    (await collect(world.first.sizes({ which: 'local' }))).map(({ peer }) => peer),
    ['peer-1']
  )
})

test('a peer whose Kubo hangs is an item of its own when its time is over', async () => {
  const hang = ({ signal }: { signal?: AbortSignal | undefined } = {}) => forever(signal)
  await using world = cluster([collector(0), collector(0), { ...collector(0), size: hang }])
  const sizes = await collect(world.first.sizes({ limitMs: 1 }))
  assert.deepEqual(sizes.map(({ peer }) => peer).toSorted(), ['peer-1', 'peer-2', 'peer-3'])
  assert.match(sizes.find(({ peer }) => peer === 'peer-3')?.error ?? '', /timeout/)
})

test('everything that any peer removes is told once, of however much', async () => {
  await using world = cluster([collector(3), collector(2_500), collector(0)])
  const items = await collect(world.first.collect())
  assert.ok(items.every(({ error }) => error === ''))
  const of = (peer: PeerId) => items.filter(item => item.peer === peer).map(({ cid }) => cid)
  assert.deepEqual(
    of(ids[1]),
    Array.from({ length: 2_500 }, (_, number) => testCid(number))
  )
  assert.equal(of(ids[0]).length, 3)
  assert.equal(items.length, 2_503)
})

test('a peer that fails, or is gone, ends with the reason and stops nobody', async () => {
  const fails = collector(1, async () => {
    throw new ClusterError({ code: 'kubo_unreachable' }, 'Kubo went away')
  })
  await using world = cluster([collector(1), fails, collector(5)])
  world.network.close(ids[2])
  const items = await collect(world.first.collect())
  const errors = items.filter(({ cid }) => cid === null).map(({ peer, error }) => `${peer}: ${error}`)
  assert.deepEqual(errors.toSorted(), ['peer-2: Kubo went away', 'peer-3: peer-3 does not answer'])
  assert.equal(items.filter(({ cid }) => cid !== null).length, 2)
})

test('what nobody takes holds the collection back', async () => {
  const { state, collect } = collector(5_000)
  await using tasks = new Tasks(() => {})
  const runs = new GarbageRuns({ kubo: { collect }, clock: systemClock, tasks })
  const { signal } = new AbortController()
  const first = await runs.answer({ run: 'a', isFirst: true, waitMs: 1_000 }, signal)
  await until('it stands still', () => state.given >= 1_000)
  assert.ok(state.given <= 1_001 + first.items.length)
  let sum = first.items.length
  for (let isOver = first.isOver; !isOver; ) {
    const page = await runs.answer({ run: 'a', isFirst: false, waitMs: 1_000 }, signal)
    assert.ok(page.items.length <= 1_000)
    sum += page.items.length
    isOver = page.isOver
  }
  assert.equal(sum, 5_000)
})

test('a collection that nobody asks for any more is given up', async () => {
  const { state, collect } = collector(1, forever)
  await using tasks = new Tasks(() => {})
  let nowMs = 0
  let look = () => {}
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    every: (_ms, run) => {
      look = run
      return { [Symbol.dispose]: () => {} }
    }
  }
  const runs = new GarbageRuns({ kubo: { collect }, clock, tasks })
  const { signal } = new AbortController()
  await runs.answer({ run: 'a', isFirst: true, waitMs: 1_000 }, signal)
  nowMs = 19_000
  look()
  assert.ok(!state.isStopped)
  nowMs = 21_000
  look()
  await until('it has stopped', () => state.isStopped)
  await assert.rejects(runs.answer({ run: 'a', isFirst: false, waitMs: 0 }, signal), error => isFault(error, 'not_ready'))
})

test('four collections at a time', async () => {
  const { collect } = collector(0, forever)
  await using tasks = new Tasks(() => {})
  const runs = new GarbageRuns({ kubo: { collect }, clock: systemClock, tasks })
  const { signal } = new AbortController()
  for (const run of ['a', 'b', 'c', 'd']) await runs.answer({ run, isFirst: true, waitMs: 0 }, signal)
  await assert.rejects(runs.answer({ run: 'e', isFirst: true, waitMs: 0 }, signal), error => isFault(error, 'overloaded'))
})
