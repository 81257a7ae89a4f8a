/** More to do than fits in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cid } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { TrackerWorld } from '../../support/tracker-world.ts'
import { until } from '../../support/until.ts'

const many = (count: number, name = 'pin'): Cid[] => Array.from({ length: count }, (_, index) => inline(`${name} ${index}`))
const small = { tracker: { windowMax: 40 } }
/** For tests that count calls: none is given up because the machine is busy. */
const unhurried = { ...small, pace: 5 }
const inMemory = (world: TrackerWorld) => [...world.tracker.operations()].length

test('with Kubo gone, memory holds a window of what waits, statuses and sums speak of all of it, and all of it is done later', async () => {
  await using world = await TrackerWorld.open(unhurried)
  world.tracker.start()
  await world.idle()
  await world.fake.stop()
  const cids = many(500)
  for (const one of cids) world.want(one)
  assert.ok(inMemory(world) <= 40)
  await until('the loss to be noticed', () => world.tracker.kuboError !== '')
  for (const one of cids) assert.equal((await world.status(one)).status, 'pin_queued')
  assert.equal(world.tracker.counts().queued, 500)
  assert.equal(world.tracker.isPartial, true)
  await world.fake.start()
  await world.idle()
  assert.equal(world.fake.pins.size, 500)
  assert.equal(world.fake.pinned.length, 500, 'each once')
  for (const one of cids) assert.equal((await world.status(one)).status, 'pinned')
  assert.equal(world.tracker.counts().pinned, 500)
})

test('wishes, releases and changes that did not fit end as the last word says', async () => {
  await using world = await TrackerWorld.open(small)
  world.tracker.start()
  const cids = many(300)
  for (const one of cids) world.want(one, { name: 'first' })
  await world.idle()
  const gate = Promise.withResolvers<void>()
  world.fake.faults.set('pin/add', { type: 'slow', until: gate.promise })
  world.fake.faults.set('pin/rm', { type: 'slow', until: gate.promise })
  const [gone, renamed, back] = [cids.slice(0, 100), cids.slice(100, 200), cids.slice(200)]
  for (const one of gone) world.release(one)
  for (const one of renamed) world.want(one, { name: 'second' })
  for (const one of back) world.release(one)
  for (const one of back) world.want(one, { name: 'third' })
  for (const one of gone) assert.match((await world.status(one)).status, /^unpin/)
  for (const one of [...renamed, ...back]) assert.match((await world.status(one)).status, /^pin(_queued|ning)$/)
  assert.ok(inMemory(world) <= 40)
  gate.resolve()
  world.fake.faults.clear()
  await world.idle()
  assert.equal(world.fake.pins.size, 200)
  for (const one of gone) assert.equal((await world.status(one)).status, 'unpinned')
  for (const one of renamed) assert.equal(world.fake.pins.get(one)?.name, 'second')
  for (const one of back) assert.equal(world.fake.pins.get(one)?.name, 'third')
  assert.equal(world.tracker.counts().pinned, 200)
})

test('a start with more missing than fits pins all of it, in rounds, each once', async () => {
  await using world = await TrackerWorld.open(unhurried)
  for (const one of many(400)) world.agree(one)
  for (const one of many(100)) world.fake.pins.set(one, { mode: 'recursive', name: '' })
  world.tracker.start()
  await world.idle()
  assert.equal(world.fake.pins.size, 400)
  assert.equal(world.fake.pinned.length, 300)
  assert.equal(world.fake.count('pin/ls'), 2, 'Kubo is asked for its list once')
})

test('what does not fit while a round is under way is found by the next one', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 8, recoverIntervalMs: 3_600_000_000 } })
  const gate = Promise.withResolvers<void>()
  world.fake.faults.set('pin/add', { type: 'slow', until: gate.promise })
  for (const one of many(60)) world.agree(one)
  world.tracker.start()
  await until('the first comparison', () => world.tracker.counts().queued > 50)
  let listed = 0
  // Far into a later round: most of these lie behind it.
  world.onWished = () => {
    if (++listed === 30) for (const one of many(60, 'late')) world.want(one)
  }
  gate.resolve()
  world.fake.faults.clear()
  await world.idle()
  assert.ok(listed > 30)
  assert.equal(world.fake.pins.size, 120)
})

test('what is asked for now does not wait behind everything there is', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 40, concurrentPins: 1 } })
  for (const one of many(300)) world.agree(one)
  world.tracker.start()
  await until('the first rounds', () => world.fake.pins.size > 5)
  const fresh = inline('fresh')
  world.want(fresh)
  await world.untilStatus(fresh, 'pinned')
  assert.ok(world.fake.pins.size < 100, `${world.fake.pins.size} went before`)
})

test('more failures than fit are told of, do not keep the others out, and are tried again at the pace of comparisons', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 40, recoverIntervalMs: 3_600_000 } })
  world.tracker.start()
  await world.idle()
  const dead = many(200, 'dead')
  for (const one of dead) {
    world.fake.faults.set(`pin/add ${one}`, { type: 'error', message: 'merkledag: not found' })
    world.want(one)
  }
  const living = many(200, 'living')
  for (const one of living) world.want(one)
  await until('the living', () => world.fake.pins.size === 200)
  await until('the failures to be counted', () => world.tracker.counts().failed === 200)
  for (const one of dead) assert.equal((await world.untilStatus(one, 'pin_error')).error, 'merkledag: not found')
  assert.ok(inMemory(world) <= 40)
  // Those in memory are tried again by themselves; the others once, not over and over.
  assert.ok(world.fake.count('pin/add') < 600, `${world.fake.count('pin/add')} calls`)
  world.fake.faults.clear()
  await world.tracker.recover()
  await world.idle()
  assert.equal(world.fake.pins.size, 400)
})

test('what fails while a round is under way is not tried again by it, and counts once', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 40, recoverIntervalMs: 3_600_000_000 } })
  world.tracker.start()
  await world.idle()
  const dead = many(300, 'dead')
  for (const one of dead) world.fake.faults.set(`pin/add ${one}`, { type: 'error', message: 'merkledag: not found' })
  let most = 0
  const hasTriedAll = () => {
    most = Math.max(most, world.tracker.counts().failed)
    return [...world.tracker.operations()].every(([, { status }]) => status === 'pin_error')
  }
  // The rows were read when a round began: whatever is in memory then fails before it comes to them.
  world.onWished = async () => void (await until('what is in memory to be tried', hasTriedAll))
  for (const one of dead) world.want(one)
  await until('all of them', () => hasTriedAll() && world.tracker.counts().failed >= dead.length)
  assert.equal(most, dead.length)
})

test('more unpins that fail than fit are told of and tried again', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 40, recoverIntervalMs: 3_600_000 } })
  world.tracker.start()
  const cids = many(150)
  for (const one of cids) world.want(one)
  await world.idle()
  world.fake.faults.set('pin/rm', { type: 'error', message: 'locked' })
  for (const one of cids) world.release(one)
  await until('the failures to be counted', () => world.tracker.counts().failed === 150)
  for (const one of cids) assert.equal((await world.untilStatus(one, 'unpin_error')).error, 'locked')
  world.fake.faults.clear()
  await world.tracker.recover()
  await world.idle()
  assert.equal(world.fake.pins.size, 0)
  assert.equal(world.tracker.counts().pinned, 0)
})

test('changes in any order, with Kubo coming and going, end as agreed, and the sum is exact', async () => {
  await using world = await TrackerWorld.open({ tracker: { windowMax: 40, recoverIntervalMs: 20_000 } })
  world.tracker.start()
  const cids = many(200)
  for (let round = 0; round < 12; round++) {
    for (let change = 0; change < 150; change++) {
      const one = cids[Math.floor(Math.random() * cids.length)]
      if (one === undefined) continue
      if (world.wishes.has(one) && Math.random() < 0.5) world.release(one)
      else world.want(one, { name: `round ${round}`, mode: Math.random() < 0.2 ? 'direct' : 'recursive' })
    }
    if (round % 4 === 1) await world.fake.stop()
    if (round % 4 === 2) await world.fake.start()
    if (round % 4 === 3) await world.restart()
    const lists = world.fake.count('pin/ls')
    if (round % 4 !== 1) await until('a comparison', () => world.fake.count('pin/ls') > lists)
  }
  await world.idle()
  await until('Kubo to hold what is agreed', () => {
    const isMissing = [...world.wishes.keys()].some(one => !world.fake.pins.has(one))
    return !isMissing && world.fake.pins.size === world.wishes.size
  })
  await world.idle()
  assert.equal(world.tracker.counts().pinned, world.wishes.size)
})
