import assert from 'node:assert/strict'
import { test } from 'node:test'
import { call, openTestKuboDoor, ScriptedKubo } from '../../support/kubo-door.ts'
import { MemoryCluster } from '../../support/memory-cluster.ts'
import { testCid } from '../../support/rest.ts'
import { until } from '../../support/until.ts'

const cid = testCid(1)

test('a pin is answered when enough peers have it, and not before', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  cluster.held.add(cid)
  let isAnswered = false
  const answer = call(door, `pin/add?arg=${cid}`).finally(() => {
    isAnswered = true
  })
  await until('it is followed', () => cluster.openStreams === 1)
  assert.ok(!isAnswered)
  cluster.release(cid)
  assert.deepEqual((await answer).text, `{"Pins":["${cid}"]}\n`)
})

test('a call says how long it waits, by a header or an option', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  cluster.held.add(cid)
  assert.equal((await call(door, `pin/add?arg=${cid}`, { headers: { 'X-Flotilla-Wait': 'committed' } })).status, 200)
  assert.equal((await call(door, `pin/add?arg=${cid}&flotilla-wait=committed`)).status, 200)
  const wrong = await call(door, `pin/add?arg=${cid}`, { headers: { 'X-Flotilla-Wait': 'soon' } })
  assert.deepEqual([wrong.status, wrong.text], [400, 'flotilla-wait must be one of committed, min, all\n'])
})

test('progress is told twice a second, and its last figures before the pins', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  cluster.held.add(cid)
  const answer = fetch(`${door.url}/api/v0/pin/add?arg=${cid}&progress=true`, { method: 'POST' })
  const reader = (await answer).body?.getReader()
  const first = Buffer.from((await reader?.read())?.value ?? []).toString()
  assert.equal(first, '{"Progress":7,"Bytes":1234}\n')
  cluster.release(cid)
  let rest = ''
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) rest += Buffer.from(part.value).toString()
  assert.equal(rest, `{"Progress":7,"Bytes":1234}\n{"Pins":["${cid}"]}\n`)
})

test('figures of several arguments add up, and the last ones are told once', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  const { text } = await call(door, `pin/add?arg=${cid}&arg=${testCid(2)}&progress=true`)
  assert.equal(text, `{"Progress":14,"Bytes":2468}\n{"Pins":["${cid}","${testCid(2)}"]}\n`)
})

for (const [keepsTrying, stays] of [
  [false, false],
  [true, true]
] as const) {
  test(`a pin whose client leaves is ${stays ? 'kept, where it is set so' : 'taken back'}`, async () => {
    const cluster = new MemoryCluster()
    await using kubo = await ScriptedKubo.start()
    await using door = await openTestKuboDoor(cluster, kubo, { keepsTrying })
    cluster.held.add(cid)
    const leaving = new AbortController()
    const answer = call(door, `pin/add?arg=${cid}`, { signal: leaving.signal }).catch(() => {})
    await until('it is agreed', () => cluster.pins.has(cid) && cluster.openStreams === 1)
    leaving.abort()
    await answer
    await until('nobody follows', () => cluster.openStreams === 0)
    if (!stays) await until('it is gone', () => !cluster.pins.has(cid))
    assert.equal(cluster.pins.has(cid), stays)
  })
}

test('a pin whose time is over is told in the words of Kubo, and taken back', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  cluster.held.add(cid)
  const { status, text } = await call(door, `pin/add?arg=${cid}&timeout=50ms`)
  assert.deepEqual([status, JSON.parse(text).Message], [500, 'pin: context deadline exceeded'])
  assert.ok(!cluster.pins.has(cid))
})

test('what was pinned before stays when a later call gives up', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  await cluster.pin(cid)
  cluster.held.add(cid)
  await call(door, `pin/add?arg=${cid}&timeout=50ms`)
  assert.ok(cluster.pins.has(cid))
})

test('a pin that somebody else has asked for meanwhile is not taken back', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  cluster.held.add(cid)
  const leaving = new AbortController()
  const first = call(door, `pin/add?arg=${cid}`, { signal: leaving.signal }).catch(() => {})
  await until('it is agreed', () => cluster.pins.has(cid) && cluster.openStreams === 1)
  const second = await call(door, `pin/add?arg=${cid}&name=second&flotilla-wait=committed`)
  assert.equal(second.status, 200)
  leaving.abort()
  await first
  await until('nobody follows', () => cluster.openStreams === 0)
  // A call through the same door that has to wait for everything the first one left behind.
  await call(door, `pin/ls`)
  assert.equal(cluster.pins.get(cid)?.name, 'second')
})

test('a call under way is answered when the door closes', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo, { closeTimeoutMs: 10_000 })
  const pin = cluster.pin.bind(cluster)
  const proposing = Promise.withResolvers<AbortSignal | undefined>()
  const agreed = Promise.withResolvers<void>()
  cluster.pin = async (target, options = {}) => {
    proposing.resolve(options.signal)
    await agreed.promise
    return pin(target, options)
  }
  const answer = call(door, `pin/add?arg=${cid}`)
  const signal = await proposing.promise
  const closed = door[Symbol.asyncDispose]()
  assert.ok(!signal?.aborted)
  agreed.resolve()
  assert.equal((await answer).status, 200)
  await closed
})

test('a name that Kubo would refuse is refused in its words', async () => {
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(new MemoryCluster(), kubo)
  const { status, text } = await call(door, `pin/add?arg=${cid}&name=${'ä'.repeat(128)}`)
  assert.deepEqual([status, JSON.parse(text).Message], [500, 'pin name is 256 bytes (max 255 bytes)'])
})
