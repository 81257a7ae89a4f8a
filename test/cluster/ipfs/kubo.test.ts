import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../../src/errors.ts'
import type { FetchProgress, IpfsPath, Multiaddr } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { FakeKubo } from '../../support/fake-kubo.ts'
import { collect } from '../../support/stream.ts'
import { until } from '../../support/until.ts'

const cid = inline('kubo')
const pin = { cid, mode: 'recursive', name: '' } as const

test('a pin shows how far it is, and ends when everything is there', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  const progress: FetchProgress[] = []
  const enough = Promise.withResolvers<void>()
  fake.faults.set('pin/add', { type: 'slow', until: enough.promise })
  await kubo.pin(pin, {
    onProgress: step => {
      if (progress.push(step) === 3) enough.resolve()
    }
  })
  assert.deepEqual(progress.slice(0, 2), [
    { nodes: 1, bytes: 100 },
    { nodes: 2, bytes: 200 }
  ])
  assert.deepEqual(fake.pins.get(cid), { mode: 'recursive', name: '' })
})

test('a pin that moves on has no time limit, one that stands still has, although Kubo goes on speaking', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client({ pinTimeoutMs: 500 })
  const enough = Promise.withResolvers<void>()
  fake.faults.set('pin/add', { type: 'slow', until: enough.promise })
  const began = performance.now()
  await kubo.pin(pin, { onProgress: () => performance.now() - began > 1_000 && enough.resolve() })
  fake.faults.set('pin/add', { type: 'stuck' })
  await assert.rejects(kubo.pin(pin), error => isFault(error, 'timeout') && /no block arrived/.test(error.message))
  fake.faults.set('pin/add', { type: 'hang' })
  await assert.rejects(kubo.pin(pin), error => isFault(error, 'timeout'))
  // Given up here is given up there.
  await until('both calls to end in Kubo', () => fake.cutOff.length === 2)
})

test('an error in the trailer, after progress, is an error', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  fake.faults.set('pin/add', { type: 'late', message: 'pin: block was not found locally' })
  await assert.rejects(kubo.pin(pin), error => isFault(error, 'kubo_error') && error.message === 'pin: block was not found locally')
  fake.pins.set(cid, { mode: 'recursive', name: '' })
  fake.faults.set('pin/ls', { type: 'late', message: 'datastore closed' })
  await assert.rejects(collect(kubo.pins('recursive')), error => isFault(error, 'kubo_error') && error.message === 'datastore closed')
})

test("errors carry Kubo's own words, as JSON and as text", async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  fake.faults.set('pin/add', { type: 'error', message: 'merkledag: not found' })
  await assert.rejects(
    kubo.pin(pin),
    error => isFault(error, 'kubo_error') && error.fault.status === 500 && error.message === 'merkledag: not found'
  )
  fake.faults.set('id', { type: 'error', status: 403, message: '403 - Forbidden', isText: true })
  await assert.rejects(
    kubo.id(),
    error => isFault(error, 'kubo_error') && error.fault.status === 403 && error.message === '403 - Forbidden'
  )
})

test('an answer that breaks off, and a closed port, are a Kubo that cannot be reached', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  fake.faults.set('pin/add', { type: 'close' })
  await assert.rejects(kubo.pin(pin), error => isFault(error, 'kubo_unreachable'))
  fake.pins.set(cid, { mode: 'recursive', name: '' })
  fake.faults.set('pin/ls', { type: 'close' })
  await assert.rejects(collect(kubo.pins('recursive')), error => isFault(error, 'kubo_unreachable'))
  await fake.stop()
  await assert.rejects(kubo.id(), error => isFault(error, 'kubo_unreachable') && error.message.includes(fake.api))
  await fake.start()
  assert.equal((await kubo.id()).id, 'kubo-id')
})

test('a Kubo that takes calls and says nothing is a fault in a sentence, for single answers and for lists', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client({ requestTimeoutMs: 50, unpinTimeoutMs: 50, pinTimeoutMs: 50 })
  for (const command of ['repo/stat', 'pin/ls', 'pin/rm', 'pin/update', 'resolve']) fake.faults.set(command, { type: 'hang' })
  const isSilence = (error: unknown) => isFault(error, 'timeout') && /did not answer/.test(error.message)
  await assert.rejects(kubo.space(), isSilence)
  await assert.rejects(collect(kubo.pins('recursive')), isSilence)
  await assert.rejects(kubo.unpin(cid), isSilence)
  await assert.rejects(kubo.update(cid, inline('to')), isSilence)
  await assert.rejects(kubo.resolve('/ipns/example.org' as IpfsPath), isSilence)
})

test('what answers but is not Kubo is called that', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  fake.faults.set('id', { type: 'body', text: '<html>hello</html>' })
  fake.faults.set('pin/add', { type: 'body', text: '{"Pins":7}\n' })
  await assert.rejects(kubo.id(), error => isFault(error, 'kubo_error') && /is not Kubo/.test(error.message))
  await assert.rejects(kubo.pin(pin), error => isFault(error, 'kubo_error') && /is not Kubo/.test(error.message))
  fake.faults.set('pin/add', { type: 'body', text: '' })
  await assert.rejects(kubo.pin(pin), error => isFault(error, 'kubo_error') && /without saying/.test(error.message))
})

test("a caller's abort ends the call with his reason, and the command in Kubo with it", async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  fake.faults.set('pin/add', { type: 'stuck' })
  const abort = new AbortController()
  const pinning = kubo.pin(pin, { signal: abort.signal })
  await until('Kubo to pin', () => fake.running === 1)
  abort.abort(new Error('changed my mind'))
  await assert.rejects(pinning, /changed my mind/)
  await until('Kubo to stop', () => fake.running === 0)
})

test('unpinning what is not pinned is a success, other failures are not', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  await kubo.unpin(cid)
  fake.pins.set(cid, { mode: 'direct', name: '' })
  await kubo.unpin(cid)
  assert.equal(fake.pins.size, 0)
  fake.faults.set('pin/rm', { type: 'error', message: 'lock: cannot pin' })
  await assert.rejects(kubo.unpin(cid), error => isFault(error, 'kubo_error'))
})

test('pins are listed by mode; a reader who leaves early ends the list in Kubo', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  const all = Array.from({ length: 50 }, (_, index) => inline(`listed ${index}`))
  for (const [index, one] of all.entries()) fake.pins.set(one, { mode: index % 2 === 0 ? 'recursive' : 'direct', name: '' })
  assert.deepEqual(new Set(await collect(kubo.pins('direct'))), new Set(all.filter((_, index) => index % 2 === 1)))
  const gate = Promise.withResolvers<void>()
  let lines = 0
  fake.onListed = () => (++lines > 3 ? gate.promise : undefined)
  for await (const _cid of kubo.pins('recursive')) break
  await until('the list to end', () => fake.cutOff.length === 1)
  gate.resolve()
})

test('a name is cut to what Kubo takes, in whole characters', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  await kubo.pin({ ...pin, name: `x${'é'.repeat(200)}` })
  assert.equal(fake.pins.get(cid)?.name, `x${'é'.repeat(127)}`)
  await kubo.pin({ ...pin, name: 'a b&c=d' })
  assert.equal(fake.pins.get(cid)?.name, 'a b&c=d')
})

test('updating keeps the old pin, a path is resolved to its CID, nodes are dialled', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client()
  const to = inline('to')
  await assert.rejects(kubo.update(cid, to), error => isFault(error, 'kubo_error'))
  await kubo.pin(pin)
  await kubo.update(cid, to)
  assert.deepEqual([...fake.pins.keys()], [cid, to])
  assert.equal(await kubo.resolve(`/ipfs/${to}` as IpfsPath), to)
  await kubo.connect('/ip4/1.2.3.4/tcp/1/p2p/x' as Multiaddr)
  assert.equal(fake.count('swarm/connect'), 1)
  assert.deepEqual(await kubo.space(), { repoBytes: 1_000, maxBytes: 10_000 })
})
