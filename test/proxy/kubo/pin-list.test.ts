import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { call, openTestKuboDoor, type Scripted, ScriptedKubo, says } from '../../support/kubo-door.ts'
import { MemoryCluster } from '../../support/memory-cluster.ts'
import { testCid } from '../../support/rest.ts'
import { until } from '../../support/until.ts'

const [recursive, direct, inner] = [testCid(1), testCid(2), testCid(3)]

async function cluster(): Promise<MemoryCluster> {
  const cluster = new MemoryCluster()
  await cluster.pin(direct, { mode: 'direct', name: 'one <&>' })
  await cluster.pin(recursive, { name: 'many' })
  return cluster
}

const indirect: Scripted = (request, response, query) => {
  const arg = query.get('arg')
  if (arg === null) return says({ Cid: inner, Type: 'indirect' }, { Cid: direct, Type: 'indirect' })(request, response, query)
  if (arg === inner) return says({ Keys: { [inner]: { Type: `indirect through ${recursive}` } } })(request, response, query)
  response.writeHead(500, { 'content-type': 'application/json' })
  response.end(`{"Message":"path '${arg}' is not pinned","Code":0,"Type":"error"}\n`)
}

test('recursive and direct pins are those of the cluster, indirect ones those of Kubo, and each is told once', async () => {
  await using kubo = await ScriptedKubo.start({ 'pin/ls': indirect })
  await using door = await openTestKuboDoor(await cluster(), kubo)
  const { text } = await call(door, 'pin/ls?stream=true&names=true')
  assert.equal(
    text,
    `{"Cid":"${recursive}","Name":"many","Type":"recursive"}\n{"Cid":"${direct}","Name":"one \\u003c\\u0026\\u003e","Type":"direct"}\n` +
      `{"Cid":"${inner}","Type":"indirect"}\n`
  )
  const { Keys } = JSON.parse((await call(door, 'pin/ls')).text) as { Keys: Record<string, unknown> }
  assert.deepEqual(Object.keys(Keys), [recursive, direct, inner].toSorted())
  assert.deepEqual(Keys[recursive], { Type: 'recursive', Name: '' })
})

test('by type, by a part of the name, as text, and nothing at all', async () => {
  await using kubo = await ScriptedKubo.start({ 'pin/ls': indirect })
  await using door = await openTestKuboDoor(await cluster(), kubo)
  const get = async (query: string) => (await call(door, `pin/ls?${query}`)).text
  assert.equal(await get('type=direct&encoding=text&names='), `${direct} direct one <&>\n`)
  assert.equal(await get('type=recursive&q=&enc=text'), `${recursive}\n`)
  assert.equal(await get('name=an&s='), `{"Cid":"${recursive}","Name":"many","Type":"recursive"}\n`)
  assert.equal(await get('name=nobody'), '{}\n')
  assert.equal(JSON.parse(await get('type=odd')).Message, "invalid type 'odd', must be one of {direct, indirect, recursive, all}")
})

test('a list begins at once, and goes no faster than it is read', async () => {
  const cluster = new MemoryCluster()
  const pin = await cluster.pin(recursive)
  let told = 0
  let isOver = false
  cluster.allocations = async function* () {
    try {
      for (; told < 1_000_000; told++) yield pin
    } finally {
      isOver = true
    }
  }
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(cluster, kubo)
  const client = connect(door.port, '127.0.0.1')
  client.write('POST /api/v0/pin/ls?type=recursive&stream=true HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(client, 'readable')
  assert.ok(told < 1_000_000)
  let before = -1
  let looks = 0
  await until('it stands still', () => {
    looks = told === before ? looks + 1 : 0
    before = told
    return looks === 20
  })
  assert.ok(told < 500_000, `${told} were told to nobody`)
  client.destroy()
  await until('it ends with its reader', () => isOver)
  assert.ok(told < 1_000_000)
})

test('arguments are answered each for itself, in the order asked', async () => {
  await using kubo = await ScriptedKubo.start({ 'pin/ls': indirect })
  await using door = await openTestKuboDoor(await cluster(), kubo)
  const { text } = await call(door, `pin/ls?arg=${inner}&arg=${direct}&arg=${recursive}&stream=1`)
  assert.deepEqual(
    text
      .trim()
      .split('\n')
      .map(line => (JSON.parse(line) as { Type: string }).Type),
    [`indirect through ${recursive}`, 'direct', 'recursive']
  )
  const stranger = testCid(9)
  const unknown = await call(door, `pin/ls?arg=${stranger}`)
  assert.deepEqual([unknown.status, JSON.parse(unknown.text).Message], [500, `path '${stranger}' is not pinned`])
})
