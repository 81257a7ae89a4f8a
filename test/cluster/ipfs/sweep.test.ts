/** Rows, wishes and Kubo's list, while all three change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cid } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { TrackerWorld } from '../../support/tracker-world.ts'
import { until } from '../../support/until.ts'

const many = (count: number, name = 'pin'): Cid[] => Array.from({ length: count }, (_, index) => inline(`${name} ${index}`))
const lists = (world: TrackerWorld) => world.fake.count('pin/ls')

/** A comparison from beginning to end. */
async function compare(world: TrackerWorld): Promise<void> {
  const before = lists(world)
  await world.tracker.recover()
  await until('a comparison', () => lists(world) >= before + 2)
  await world.idle()
}

test("an unpin that ends while Kubo's list is on its way is not undone by the list", async () => {
  await using world = await TrackerWorld.open()
  const cids = many(5)
  for (const one of cids) world.want(one)
  for (const one of cids) await world.untilStatus(one, 'pinned')
  const [first] = cids
  assert.ok(first)
  // The whole list is taken before its first line is read.
  let isHeld = false
  const gate = Promise.withResolvers<void>()
  world.fake.onListed = () => {
    isHeld = true
    return gate.promise
  }
  world.tracker.start()
  await until('the list to begin', () => isHeld)
  world.release(first)
  await world.untilStatus(first, 'unpinned')
  world.fake.onListed = undefined
  gate.resolve()
  await world.idle()
  assert.equal((await world.status(first)).status, 'unpinned')
  // Wanted again it is asked of Kubo, and not believed to be there.
  world.want(first)
  await world.untilStatus(first, 'pinned')
  assert.ok(world.fake.pins.has(first))
  assert.equal(world.tracker.counts().pinned, 5)
})

test('a pin that goes and is wanted again while the list is on its way is not believed to be there, also where the wish did not fit', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 8, concurrentPins: 2, recoverIntervalMs: 3_600_000 } })
  const cids = many(5)
  for (const one of cids) world.want(one)
  for (const one of cids) await world.untilStatus(one, 'pinned')
  const [first] = cids
  assert.ok(first)
  let isHeld = false
  const list = Promise.withResolvers<void>()
  world.fake.onListed = () => {
    isHeld = true
    return list.promise
  }
  world.tracker.start()
  await until('the list to begin', () => isHeld)
  world.release(first)
  await world.untilStatus(first, 'unpinned')
  const pins = Promise.withResolvers<void>()
  world.fake.faults.set('pin/add', { type: 'slow', until: pins.promise })
  for (const one of many(8, 'fresh')) world.want(one)
  world.want(first)
  assert.equal(
    [...world.tracker.operations()].some(([cid]) => cid === first),
    false,
    'it did not fit'
  )
  world.fake.onListed = undefined
  list.resolve()
  await until('the comparison to end', () => world.fake.count('pin/ls') === 2)
  pins.resolve()
  world.fake.faults.clear()
  await world.idle()
  assert.ok(world.fake.pins.has(first))
  assert.equal(world.tracker.counts().pinned, 13)
})

test('a pin that is made while the list is on its way is not taken for lost', async () => {
  await using world = await TrackerWorld.open()
  const old = many(3, 'old')
  for (const one of old) world.fake.pins.set(one, { mode: 'recursive', name: '' })
  let isHeld = false
  const gate = Promise.withResolvers<void>()
  world.fake.onListed = () => {
    isHeld = true
    return gate.promise
  }
  world.tracker.start()
  await until('the list to begin', () => isHeld)
  const fresh = many(5, 'fresh')
  for (const one of fresh) world.want(one)
  for (const one of fresh) await until(`${one} to be pinned`, () => world.fake.pins.has(one))
  gate.resolve()
  await world.idle()
  assert.equal(world.fake.pinned.length, 5)
  for (const one of fresh) assert.equal((await world.status(one)).status, 'pinned')
  assert.equal(world.tracker.counts().pinned, 5)
})

test('a wish that comes while the walk is behind it does not lose its pin to an older list', async () => {
  await using world = await TrackerWorld.open()
  const cids = many(20)
  for (const one of cids) world.want(one)
  for (const one of cids) await world.untilStatus(one, 'pinned')
  const gone = cids.slice(0, 10)
  // Released while the tracker was not there, so that the walk finds them as surplus; and wanted again while it walks.
  await world.restart(() => {
    for (const one of gone) world.disagree(one)
    let isFirst = true
    world.onWished = () => {
      if (!isFirst) return
      isFirst = false
      for (const one of gone) world.agree(one)
    }
  })
  await world.idle()
  await compare(world)
  for (const one of cids) assert.ok(world.fake.pins.has(one))
  for (const one of cids) assert.equal((await world.status(one)).status, 'pinned')
})

test('a pin that is let go while the walk is on its way to it is not made', async () => {
  await using world = await TrackerWorld.open()
  const cids = many(20)
  for (const one of cids) world.agree(one)
  let isFirst = true
  world.onWished = () => {
    if (!isFirst) return
    isFirst = false
    for (const one of cids.slice(0, 10)) world.disagree(one)
  }
  world.tracker.start()
  await world.idle()
  assert.deepEqual(new Set(world.fake.pins.keys()), new Set(cids.slice(10)))
  assert.equal(world.fake.pinned.length, 10)
})

test('pins lost by Kubo are noticed by the next comparison, and shown as queued meanwhile, not as pinned', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 8 } })
  world.tracker.start()
  const cids = many(40)
  for (const one of cids) world.want(one)
  await world.idle()
  const gate = Promise.withResolvers<void>()
  world.fake.faults.set('pin/add', { type: 'slow', until: gate.promise })
  world.fake.pins.clear()
  await world.tracker.recover()
  await until('the loss to be seen', () => world.tracker.counts().queued > 30)
  for (const one of cids) assert.match((await world.status(one)).status, /^pin(_queued|ning)$/)
  assert.equal(world.tracker.counts().pinned, 0)
  gate.resolve()
  world.fake.faults.clear()
  await world.idle()
  assert.equal(world.fake.pins.size, 40)
})

test('a list that breaks off concludes nothing', async () => {
  await using world = await TrackerWorld.open()
  world.tracker.start()
  const cids = many(10)
  for (const one of cids) world.want(one)
  await world.idle()
  const before = lists(world)
  for (const type of ['late', 'close', 'error'] as const) {
    world.fake.faults.set('pin/ls', { type, message: 'datastore closed' })
    const seen = lists(world)
    await world.tracker.recover()
    await until('an attempt', () => lists(world) > seen)
    for (const one of cids) assert.equal((await world.status(one)).status, 'pinned')
  }
  world.fake.faults.clear()
  await until('a whole comparison', () => lists(world) > before + 5)
  assert.equal(world.fake.pinned.length, 10)
  assert.equal(world.fake.count('pin/rm'), 0)
})

test('rows of what is neither wanted nor there are removed', async () => {
  await using world = await TrackerWorld.open()
  world.tracker.start()
  const cids = many(10)
  for (const one of cids) world.want(one)
  await world.idle()
  for (const one of cids) world.release(one)
  await world.idle()
  await compare(world)
  await compare(world)
  const left = await Promise.all(cids.map(one => world.holdings().get(one)))
  assert.deepEqual(
    left.filter(row => row !== undefined),
    []
  )
})
