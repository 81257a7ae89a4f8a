import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cid, Multiaddr } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { TrackerWorld } from '../../support/tracker-world.ts'
import { until } from '../../support/until.ts'

const cid = inline('tracker')
const many = (count: number, name = 'pin'): Cid[] => Array.from({ length: count }, (_, index) => inline(`${name} ${index}`))

test('a wish becomes a pin with its name, a release takes it away again, and statuses say so', async () => {
  await using world = await TrackerWorld.open()
  world.tracker.start()
  world.want(cid, { name: 'mine' })
  await world.untilStatus(cid, 'pinned')
  assert.deepEqual(world.fake.pins.get(cid), { mode: 'recursive', name: 'mine' })
  assert.equal(world.tracker.counts().pinned, 1)
  world.release(cid)
  await world.untilStatus(cid, 'unpinned')
  assert.equal(world.fake.pins.size, 0)
  assert.equal(world.tracker.counts().pinned, 0)
})

test('progress is told to whoever listens, and to nobody afterwards', async () => {
  await using world = await TrackerWorld.open()
  const enough = Promise.withResolvers<void>()
  world.fake.faults.set('pin/add', { type: 'slow', until: enough.promise })
  let told = 0
  const listening = world.tracker.onChange(cid, () => told++)
  world.want(cid)
  const status = await until('progress', async () => {
    const now = await world.status(cid)
    return now.progress && now.progress.nodes > 1 ? now : undefined
  })
  assert.equal(status.status, 'pinning')
  listening[Symbol.dispose]()
  const before = told
  enough.resolve()
  await world.untilStatus(cid, 'pinned')
  assert.ok(before > 2)
  assert.equal(told, before)
})

test('a newer wish takes over while the older one runs; an older one changes nothing', async () => {
  await using world = await TrackerWorld.open()
  world.fake.faults.set(`pin/add ${cid}`, { type: 'stuck' })
  const old = world.want(cid, { name: 'old' })
  await until('Kubo to pin', () => world.fake.running === 1)
  world.fake.faults.clear()
  world.want(cid, { name: 'new' })
  world.tracker.want(old)
  await world.untilStatus(cid, 'pinned')
  assert.equal(world.fake.pins.get(cid)?.name, 'new')
  await until('the older one to end', () => world.fake.cutOff.length === 1)
  assert.equal(world.fake.count('pin/add'), 2)
})

test('unpinning while it pins ends the fetch and leaves nothing, also when Kubo finishes the pin all the same', async () => {
  await using world = await TrackerWorld.open({ tracker: { recoverIntervalMs: 30_000 } })
  world.tracker.start()
  world.fake.faults.set('pin/add', { type: 'stuck' })
  world.want(cid)
  await until('Kubo to pin', () => world.fake.running === 1)
  world.release(cid)
  await world.untilStatus(cid, 'unpinned')
  assert.equal(world.fake.count('pin/rm'), 1)
  // Kubo had all but finished when it was told to stop.
  world.fake.pins.set(cid, { mode: 'recursive', name: '' })
  await until('the late pin to go', () => world.fake.pins.size === 0)
  // And from then on it is nobody's: somebody pins it by hand.
  await until('the next comparison', () => world.fake.count('pin/ls') > 6)
  world.fake.pins.set(cid, { mode: 'recursive', name: 'by hand' })
  const seen = world.fake.count('pin/ls')
  await until('two more comparisons', () => world.fake.count('pin/ls') > seen + 4)
  assert.ok(world.fake.pins.has(cid))
})

test('a failed pin says why, goes to the back and is tried again, and does not starve the others', async () => {
  await using world = await TrackerWorld.open({ tracker: { concurrentPins: 1 } })
  world.tracker.start()
  world.fake.faults.set(`pin/add ${cid}`, { type: 'error', message: 'merkledag: not found' })
  world.want(cid)
  const others = many(10)
  for (const other of others) world.want(other)
  const status = await world.untilStatus(cid, 'pin_error')
  assert.equal(status.error, 'merkledag: not found')
  for (const other of others) await world.untilStatus(other, 'pinned')
  await until('three attempts', async () => (await world.status(cid)).attemptCount >= 3)
  assert.equal(world.tracker.counts().failed + world.tracker.counts().queued + world.tracker.counts().pinning, 1)
  world.fake.faults.clear()
  await world.untilStatus(cid, 'pinned')
  assert.equal(world.tracker.counts().failed, 0)
})

test('asked to recover, it does not wait for its time', async () => {
  await using world = await TrackerWorld.open({ tracker: { recoverIntervalMs: 10_000_000_000 } })
  world.fake.faults.set('pin/add', { type: 'late', message: 'disk quota' })
  world.want(cid)
  await world.untilStatus(cid, 'pin_error')
  world.fake.faults.clear()
  assert.equal(await world.tracker.recover(), 1)
  await world.untilStatus(cid, 'pinned')
  assert.equal(await world.tracker.recover({ cid }), 1)
  assert.equal(await world.tracker.recover({ cid: inline('unknown') }), 0)
  await until('Kubo to be asked again', () => world.fake.count('pin/add') === 3)
})

test('while Kubo is gone pins wait without an attempt counted, and go on when it is back', async () => {
  await using world = await TrackerWorld.open({ pace: 20 })
  world.tracker.start()
  await world.idle()
  await world.fake.stop()
  const cids = many(20)
  for (const one of cids) world.want(one)
  await until('the loss to be noticed', () => /does not answer/.test(world.tracker.kuboError))
  // Those that were under way take a moment longer to fail.
  await until('all to wait', () => world.tracker.counts().queued === 20)
  for (const one of cids) assert.equal((await world.status(one)).status, 'pin_queued')
  await world.fake.start()
  for (const one of cids) assert.equal((await world.untilStatus(one, 'pinned')).attemptCount, 0)
  assert.equal(world.tracker.kuboError, '')
  assert.equal(world.fake.pinned.length, 20)
})

test('a pin under which Kubo breaks off again and again counts as failed, and the others go on', async () => {
  await using world = await TrackerWorld.open({ tracker: { concurrentPins: 2 } })
  world.tracker.start()
  await world.idle()
  world.fake.faults.set(`pin/add ${cid}`, { type: 'close' })
  world.want(cid)
  const others = many(20)
  for (const other of others) world.want(other)
  const status = await world.untilStatus(cid, 'pin_error')
  assert.match(status.error, /went away 3 times/)
  assert.equal(status.attemptCount, 1)
  for (const other of others) await world.untilStatus(other, 'pinned')
  // No storm of comparisons either: the connection broke, Kubo did not.
  assert.equal(world.fake.count('pin/ls'), 2)
})

test('what Kubo lost is pinned again when it comes back', async () => {
  await using world = await TrackerWorld.open({ pace: 20 })
  world.tracker.start()
  const cids = many(30)
  for (const one of cids) world.want(one)
  await world.idle()
  await world.fake.stop()
  world.want(cid)
  await until('the loss to be noticed', () => world.tracker.kuboError !== '')
  for (const lost of cids.slice(0, 10)) world.fake.pins.delete(lost)
  await world.fake.start()
  await until('everything to be there', () => world.fake.pins.size === 31)
  await world.idle()
  assert.equal(world.tracker.counts().pinned, 31)
  assert.equal(world.fake.pinned.length, 41)
})

test('pins made by hand are never removed, unless the cluster came to want them', async () => {
  await using world = await TrackerWorld.open()
  const byHand = inline('by hand')
  const wanted = inline('by hand, and wanted')
  for (const one of [byHand, wanted]) world.fake.pins.set(one, { mode: 'recursive', name: 'hand' })
  world.agree(wanted)
  world.tracker.start()
  await world.idle()
  assert.equal((await world.status(wanted)).status, 'pinned')
  assert.equal(world.fake.count('pin/add'), 0)
  // The cluster lets go of what it never wanted here: Kubo keeps it.
  world.tracker.release(byHand, 99)
  world.release(wanted)
  await until('the wanted one to go', () => !world.fake.pins.has(wanted))
  await world.idle()
  await world.tracker.recover()
  await until('a comparison', () => world.fake.count('pin/ls') >= 4)
  await world.idle()
  assert.deepEqual([...world.fake.pins.keys()], [byHand])
})

test('after a restart what is wanted and what is there are compared: missing ones are pinned, surplus ones go', async () => {
  await using world = await TrackerWorld.open({ pace: 20 })
  world.tracker.start()
  const cids = many(20)
  for (const one of cids) world.want(one)
  await world.idle()
  const [kept, gone, added] = [cids.slice(0, 10), cids.slice(10), many(5, 'added')]
  const before = world.fake.pinned.length
  await world.restart(() => {
    for (const one of gone) world.disagree(one)
    for (const one of added) world.agree(one)
  })
  await until('Kubo to follow', () => world.fake.pins.size === 15)
  await world.idle()
  for (const one of kept) assert.equal((await world.status(one)).status, 'pinned')
  for (const one of gone) assert.equal((await world.status(one)).status, 'unpinned')
  assert.equal(world.fake.pinned.length - before, 5)
  assert.equal(world.tracker.counts().pinned, 15)
})

test('a stop in the middle of a pin does not forget that the pin is ours', async () => {
  await using world = await TrackerWorld.open()
  world.fake.faults.set('pin/add', { type: 'stuck' })
  world.want(cid)
  await until('Kubo to pin', () => world.fake.running === 1)
  await world.restart(() => {
    // Kubo finished it, and meanwhile nobody wants it any more.
    world.fake.pins.set(cid, { mode: 'recursive', name: '' })
    world.disagree(cid)
  })
  await until('the pin to go', () => world.fake.pins.size === 0)
})

test('a direct pin becomes a recursive one', async () => {
  await using world = await TrackerWorld.open()
  world.tracker.start()
  world.want(cid, { mode: 'direct' })
  await world.untilStatus(cid, 'pinned')
  assert.equal(world.fake.pins.get(cid)?.mode, 'direct')
  world.want(cid, { mode: 'recursive' })
  await world.untilStatus(cid, 'pinned')
  assert.equal(world.fake.pins.get(cid)?.mode, 'recursive')
  assert.equal(world.tracker.counts().pinned, 1)
})

test('a direct wish is met by a recursive pin that is there already, and no failure for ever', async () => {
  await using world = await TrackerWorld.open()
  world.tracker.start()
  await world.idle()
  world.fake.pins.set(cid, { mode: 'recursive', name: 'hand' })
  world.want(cid, { mode: 'direct' })
  await world.untilStatus(cid, 'pinned')
  await world.tracker.recover()
  await until('a comparison', () => world.fake.count('pin/ls') >= 4)
  await world.idle()
  assert.equal(world.fake.count('pin/add'), 1)
})

test('a pin by update starts from the pin it names where that is held, and without it otherwise', async () => {
  await using world = await TrackerWorld.open()
  world.tracker.start()
  const [from, to, other] = [inline('from'), inline('to'), inline('other')]
  world.want(from)
  await world.untilStatus(from, 'pinned')
  world.want(to, { pinUpdate: from })
  world.want(other, { pinUpdate: inline('not here') })
  world.want(cid, { pinUpdate: cid })
  for (const one of [to, other, cid]) await world.untilStatus(one, 'pinned')
  assert.deepEqual(
    world.fake.calls.filter(call => call.startsWith('pin/update')),
    [`pin/update ${from}`]
  )
  assert.ok(world.fake.pins.has(from))
})

test('an update that stands still is given up, and the pin is made the plain way', async () => {
  await using world = await TrackerWorld.open({ kubo: { pinTimeoutMs: 50 } })
  const from = inline('from')
  world.want(from)
  await world.untilStatus(from, 'pinned')
  world.fake.faults.set('pin/update', { type: 'hang' })
  world.want(cid, { pinUpdate: from })
  await world.untilStatus(cid, 'pinned')
})

test('origins are dialled first, all at once; those that do not answer are no obstacle', async () => {
  await using world = await TrackerWorld.open()
  const origins = ['/ip4/10.0.0.1/tcp/1/p2p/a', '/ip4/10.0.0.2/tcp/1/p2p/b'] as Multiaddr[]
  world.fake.faults.set('swarm/connect', { type: 'error', message: 'failed to dial' })
  world.want(cid, { origins })
  await world.untilStatus(cid, 'pinned')
  assert.equal(world.fake.count('swarm/connect'), 2)
})

test('no more pins run at once than configured, and unpins do not wait for them', async () => {
  await using world = await TrackerWorld.open({ tracker: { concurrentPins: 3 } })
  const old = inline('old')
  world.want(old)
  await world.untilStatus(old, 'pinned')
  const enough = Promise.withResolvers<void>()
  world.fake.faults.set('pin/add', { type: 'slow', until: enough.promise })
  const cids = many(12)
  for (const one of cids) world.want(one)
  await until('pins to run', () => world.fake.running === 3)
  world.release(old)
  await world.untilStatus(old, 'unpinned')
  enough.resolve()
  for (const one of cids) await world.untilStatus(one, 'pinned')
  assert.equal(world.fake.runningMost, 3)
})

test('an unpin that fails says why and is tried again', async () => {
  await using world = await TrackerWorld.open()
  world.tracker.start()
  world.want(cid)
  await world.untilStatus(cid, 'pinned')
  world.fake.faults.set('pin/rm', { type: 'error', message: 'datastore is locked' })
  world.release(cid)
  assert.equal((await world.untilStatus(cid, 'unpin_error')).error, 'datastore is locked')
  world.fake.faults.clear()
  await world.untilStatus(cid, 'unpinned')
  assert.equal(world.fake.pins.size, 0)
})

test('the dead do not block the living: pins without a provider give their place back', async () => {
  await using world = await TrackerWorld.open({ kubo: { pinTimeoutMs: 100 }, tracker: { concurrentPins: 2 } })
  world.tracker.start()
  const dead = many(4, 'dead')
  for (const one of dead) world.fake.faults.set(`pin/add ${one}`, { type: 'stuck' })
  for (const one of dead) world.want(one)
  world.want(cid)
  await world.untilStatus(cid, 'pinned')
  for (const one of dead) assert.match((await world.untilStatus(one, 'pin_error')).error, /no reachable node/)
})

test('a stop while much is under way waits for it, and twice is once', async () => {
  const world = await TrackerWorld.open()
  world.tracker.start()
  world.fake.faults.set('pin/add', { type: 'stuck' })
  for (const one of many(50)) world.want(one)
  await until('pins to run', () => world.fake.running === 4)
  await world.tracker[Symbol.asyncDispose]()
  await until('Kubo to be left alone', () => world.fake.running === 0)
  await world[Symbol.asyncDispose]()
  assert.equal(world.fake.count('pin/add'), 4)
})
