import assert from 'node:assert/strict'
import { test } from 'node:test'
import { call, openTestKuboDoor, ScriptedKubo, says } from '../../support/kubo-door.ts'
import { MemoryCluster } from '../../support/memory-cluster.ts'
import { testCid } from '../../support/rest.ts'

const [a, b] = [testCid(1), testCid(2)]

test('arguments end one after the other, up to the first that cannot', async () => {
  const cluster = new MemoryCluster()
  await cluster.pin(a)
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  assert.equal((await call(door, `pin/rm?arg=${a}&arg=${b}`)).status, 404, 'Kubo is asked for what only it may have, and says what it says')
  assert.ok(!cluster.pins.has(a))
  assert.deepEqual(
    kubo.calls.filter(call => call.startsWith('pin/')),
    [`pin/rm?arg=${b}&recursive=true`]
  )
})

test('a pin of this Kubo alone is removed there', async () => {
  await using kubo = await ScriptedKubo.start({ 'pin/rm': says({ Pins: [a] }) })
  await using door = await openTestKuboDoor(new MemoryCluster(), kubo)
  assert.equal((await call(door, `pin/rm/${a}`)).text, `{"Pins":["${a}"]}\n`)
})

test('a recursive pin is not ended as a direct one', async () => {
  const cluster = new MemoryCluster()
  await cluster.pin(a)
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  const { text } = await call(door, `pin/rm?arg=${a}&r=false`)
  assert.equal(JSON.parse(text).Message, `${a} is pinned recursively`)
  assert.ok(cluster.pins.has(a))
})

test('the answer waits until the Kubo behind the door has dropped it', async () => {
  const cluster = new MemoryCluster()
  await cluster.pin(a)
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  const status = cluster.status.bind(cluster)
  let looks = 0
  cluster.status = async (cid, options) => {
    const seen = await status(cid, options)
    if (++looks > 3) return seen
    const [[peer, one] = []] = seen.peers
    return peer && one ? { ...seen, peers: new Map([[peer, { ...one, status: 'unpinning' as const }]]) } : seen
  }
  assert.equal((await call(door, `pin/rm?arg=${a}`)).status, 200)
  assert.equal(looks, 4)
})
