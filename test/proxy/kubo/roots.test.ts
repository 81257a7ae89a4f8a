import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterError } from '../../../src/errors.ts'
import { call, openTestKuboDoor, type Scripted, ScriptedKubo, says } from '../../support/kubo-door.ts'
import { MemoryCluster, memoryPeers } from '../../support/memory-cluster.ts'
import { testCid } from '../../support/rest.ts'
import { until } from '../../support/until.ts'
import { exchange } from '../../support/wire.ts'

const [a, b, c] = [testCid(1), testCid(2), testCid(3)]

function form(...names: readonly string[]): FormData {
  const data = new FormData()
  for (const name of names) data.append('file', new Blob([name]), name)
  return data
}

async function rootsOf(query: string, command: string, ...lines: readonly unknown[]) {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start({ [command]: says(...lines) })
  await using door = await openTestKuboDoor(cluster, kubo)
  const { text } = await call(door, `${command}?${query}`, { body: form('x') })
  return { pinned: [...cluster.pins.values()].map(({ cid, name }) => (name === '' ? cid : `${cid} ${name}`)), text }
}

test('every entry without a slash is a root, and only the folder where one is wrapped around', async () => {
  const lines = [
    { Name: 'x', Bytes: 1 },
    { Name: 'x', Hash: a, Size: '1' },
    { Name: 'dir/y', Hash: b, Size: '1' },
    { Name: 'dir', Hash: c, Size: '1' }
  ]
  const { pinned, text } = await rootsOf('pin-name=n', 'add', ...lines)
  assert.deepEqual(pinned, [`${a} n`, `${c} n`])
  assert.equal(text, lines.map(line => `${JSON.stringify(line)}\n`).join(''))
  const wrapped = await rootsOf('w=', 'add', { Name: 'x', Hash: a, Size: '1' }, { Name: '', Hash: b, Size: '1' })
  assert.deepEqual(wrapped.pinned, [b])
})

test('blocks, nodes and roots of archives', async () => {
  assert.deepEqual((await rootsOf('pin=1', 'block/put', { Key: a, Size: 1 }, { Key: b, Size: 1 })).pinned, [a, b])
  assert.deepEqual((await rootsOf('pin=', 'dag/put', { Cid: { '/': a } })).pinned, [a])
  const root = (cid: string, PinErrorMsg = '') => ({ Root: { Cid: { '/': cid }, PinErrorMsg } })
  const imported = await rootsOf('', 'dag/import', root(a), root(b, 'not here'), { Stats: { BlockCount: 1, BlockBytesCount: 1 } })
  assert.deepEqual(imported.pinned, [a], 'what Kubo could not pin is not pinned by the cluster')
})

test('silence is kept by the door, so that the roots are seen', async () => {
  const { pinned, text } = await rootsOf('silent=true', 'add', { Name: 'x', Hash: a, Size: '1' })
  assert.deepEqual([pinned, text], [[a], ''])
})

test('the line that names a root waits for the cluster', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start({ add: says({ Name: 'x', Hash: a, Size: '1' }) })
  await using door = await openTestKuboDoor(cluster, kubo)
  cluster.held.add(a)
  let isAnswered = false
  const answer = call(door, 'add', { body: form('x') }).finally(() => {
    isAnswered = true
  })
  await until('it is followed', () => cluster.openStreams === 1)
  assert.ok(!isAnswered)
  cluster.release(a)
  assert.match((await answer).text, new RegExp(a))
})

const upload = (path: string) => {
  const body = '--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--B--\r\n'
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

test('a root that the cluster does not take is not named, and the trailer says why', async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start({ add: says({ Name: 'x', Hash: a, Size: '1' }) })
  await using door = await openTestKuboDoor(cluster, kubo)
  cluster.pin = async () => {
    throw new ClusterError({ code: 'no_leader', voters: 3, reached: 1 }, 'nobody leads')
  }
  const { answers } = await exchange(door.port, { steps: [upload('/api/v0/add')], isLeft: true })
  assert.equal(answers[0]?.body.toString(), '')
  assert.deepEqual(answers[0]?.trailers, [['X-Stream-Error', 'nobody leads']])
})

test('an import tells of a root that the cluster does not take in its line, and goes on', async () => {
  const cluster = new MemoryCluster()
  const root = (cid: string) => ({ Root: { Cid: { '/': cid }, PinErrorMsg: '' } })
  await using kubo = await ScriptedKubo.start({ 'dag/import': says(root(a), root(b)) })
  await using door = await openTestKuboDoor(cluster, kubo)
  const pin = cluster.pin.bind(cluster)
  cluster.pin = async (cid, options) => {
    if (cid === a) throw new ClusterError({ code: 'no_leader', voters: 3, reached: 1 }, 'nobody leads')
    return pin(cid, options)
  }
  const { text } = await call(door, 'dag/import', { body: form('x') })
  assert.match(text, new RegExp(`^\\{"Root":\\{"Cid":\\{"/":"${a}"\\},"PinErrorMsg":"nobody leads"\\}\\}\\n.*"${b}"\\},"PinErrorMsg":""`))
})

test('where Kubo breaks off, the answer breaks off, and nothing looks finished', async () => {
  const breaks: Scripted = async (request, response) => {
    for await (const _ of request);
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(`${JSON.stringify({ Name: 'x', Hash: a, Size: '1' })}\n`, () => response.socket?.destroy())
  }
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start({ add: breaks })
  await using door = await openTestKuboDoor(cluster, kubo)
  await assert.rejects(call(door, 'add', { body: form('x') }))
  assert.equal(cluster.pins.size, 0)
})

test("Kubo's own pin goes only where this peer is not to hold the root", async () => {
  for (const [allocations, calls] of [
    [[memoryPeers[1]], 1],
    [[memoryPeers[0], memoryPeers[1]], 0],
    [[], 0]
  ] as const) {
    const cluster = new MemoryCluster()
    await using kubo = await ScriptedKubo.start({ add: says({ Name: 'x', Hash: a, Size: '1' }), 'pin/rm': says({ Pins: [a] }) })
    await using door = await openTestKuboDoor(cluster, kubo)
    const pin = cluster.pin.bind(cluster)
    cluster.pin = async (cid, options) => {
      const agreed = { ...(await pin(cid, options)), allocations }
      cluster.pins.set(agreed.cid, agreed)
      return agreed
    }
    await call(door, 'add', { body: form('x') })
    assert.equal(kubo.calls.filter(call => call.startsWith('pin/rm')).length, calls, allocations.join())
  }
})

test("an answer that does not wait for copies leaves Kubo's own pin until there are some", async () => {
  const cluster = new MemoryCluster()
  await using kubo = await ScriptedKubo.start({ add: says({ Name: 'x', Hash: a, Size: '1' }), 'pin/rm': says({ Pins: [a] }) })
  await using door = await openTestKuboDoor(cluster, kubo, { waitFor: 'committed' })
  const pin = cluster.pin.bind(cluster)
  cluster.pin = async (cid, options) => {
    const agreed = { ...(await pin(cid, options)), allocations: [memoryPeers[1]] }
    cluster.pins.set(agreed.cid, agreed)
    return agreed
  }
  cluster.held.add(a)
  assert.match((await call(door, 'add', { body: form('x') })).text, new RegExp(a))
  await until('somebody waits for the copy', () => cluster.openStreams === 1)
  assert.ok(!kubo.calls.some(call => call.startsWith('pin/rm')))
  cluster.release(a)
  await until('the pin goes', () => kubo.calls.some(call => call.startsWith(`pin/rm?arg=${a}`)))
})

test('a refusal of Kubo is told as it is', async () => {
  const refuses: Scripted = async (request, response) => {
    for await (const _ of request);
    response.writeHead(500, { 'content-type': 'application/json' }).end('{"Message":"no space","Code":0,"Type":"error"}\n')
  }
  await using kubo = await ScriptedKubo.start({ add: refuses })
  await using door = await openTestKuboDoor(new MemoryCluster(), kubo)
  const { status, text } = await call(door, 'add', { body: form('x') })
  assert.deepEqual([status, text], [500, '{"Message":"no space","Code":0,"Type":"error"}\n'])
  assert.equal((await call(door, 'add?encoding=text', { body: form('x') })).text, 'no space')
})
