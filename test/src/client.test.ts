/** The typed client against the real REST door, with a cluster in memory behind it, and against what else may answer. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FlotillaClient } from '../../src/client.ts'
import { ClusterError, type Fault, isFault } from '../../src/errors.ts'
import type { IpfsPath } from '../../src/types.ts'
import { clusterApiSuite } from '../support/cluster-api-suite.ts'
import { ipnsTarget, MemoryCluster, memoryPeers } from '../support/memory-cluster.ts'
import { openTestDoor, type TestDoor, testCid } from '../support/rest.ts'
import { collect } from '../support/stream.ts'
import { until } from '../support/until.ts'

const cid = testCid(1)
let seed = 100

clusterApiSuite('the memory cluster', async () => ({
  api: new MemoryCluster(),
  nextCid: async () => testCid(seed++),
  [Symbol.asyncDispose]: async () => {}
}))

clusterApiSuite('the typed client over HTTP', async () => {
  const { client, [Symbol.asyncDispose]: close } = await open()
  return { api: client, nextCid: async () => testCid(seed++), [Symbol.asyncDispose]: close }
})

const faults: readonly Fault[] = [
  { code: 'invalid' },
  { code: 'refused' },
  { code: 'not_pinned', cid },
  { code: 'not_enough_peers', wanted: 3, available: 2 },
  { code: 'no_leader', voters: 3, reached: 1 },
  { code: 'outcome_unknown' },
  { code: 'conflict' },
  { code: 'overloaded', retryAfterMs: 1_500 },
  { code: 'not_ready' },
  { code: 'kubo_unreachable' },
  { code: 'kubo_error', status: 500, kuboCode: 1 },
  { code: 'pin_failed', peers: [memoryPeers[0]] },
  { code: 'peer_unreachable', peer: memoryPeers[1] },
  { code: 'wrong_cluster' },
  { code: 'not_a_member' },
  { code: 'unauthorized' },
  { code: 'timeout' },
  { code: 'cannot_start' },
  { code: 'storage_failed' }
]

test('how long repositories are waited for travels with the question', async () => {
  await using subject = await open()
  let limitMs: number | undefined
  const sizes = subject.cluster.repositories.bind(subject.cluster)
  subject.cluster.repositories = options => {
    limitMs = options?.limitMs
    return sizes(options)
  }
  await collect(subject.client.repositories({ limitMs: 7_000 }))
  assert.equal(limitMs, 7_000)
  await collect(subject.client.repositories())
  assert.equal(limitMs, undefined)
})

test('every fault of a peer is thrown by the client as it was', async () => {
  await using subject = await open()
  for (const fault of faults) {
    subject.cluster.fault = new ClusterError(fault, `because of ${fault.code}`)
    await assert.rejects(subject.client.pin(cid), { name: 'ClusterError', fault, message: `because of ${fault.code}` })
    await assert.rejects(collect(subject.client.allocations()), { fault })
  }
})

test('a stream that fails late gives its items, then the fault, in any script', async () => {
  await using subject = await open()
  await subject.client.pin(cid)
  subject.cluster.lateFault = new ClusterError({ code: 'kubo_unreachable' }, 'Kubo schläft 💤\nsince noon')
  const seen: string[] = []
  await assert.rejects(
    async () => {
      for await (const pin of subject.client.allocations()) seen.push(pin.cid)
    },
    { fault: { code: 'kubo_unreachable' }, message: 'Kubo schläft 💤 since noon' }
  )
  assert.deepEqual(seen, [cid])
})

test('leaving a stream early ends it at the peer too', async () => {
  await using subject = await open()
  subject.cluster.held.add(cid)
  await subject.client.pin(cid)
  for await (const progress of subject.client.follow(cid)) {
    assert.equal(progress.done, false)
    break
  }
  await until('the stream is closed', () => subject.cluster.openStreams === 0)
})

test('aborting a stream rejects with the reason and ends it at the peer', async () => {
  await using subject = await open()
  subject.cluster.held.add(cid)
  await subject.client.pin(cid)
  const stop = new AbortController()
  const reason = new Error('enough')
  await assert.rejects(
    async () => {
      for await (const _ of subject.client.follow(cid, { signal: stop.signal })) stop.abort(reason)
    },
    error => error === reason
  )
  await until('the stream is closed', () => subject.cluster.openStreams === 0)
})

test('a followed pin tells of changes until it is done', async () => {
  await using subject = await open()
  subject.cluster.held.add(cid)
  await subject.client.pin(cid)
  const seen: boolean[] = []
  for await (const { done } of subject.client.follow(cid)) {
    seen.push(done)
    subject.cluster.release(cid)
  }
  assert.deepEqual(seen, [false, true])
})

test('paths are escaped segment by segment and resolved once', async () => {
  await using subject = await open()
  assert.equal((await subject.client.pin('/ipns/example/a b?c#d%/ü' as IpfsPath)).cid, ipnsTarget)
  assert.equal((await subject.client.unpin('/ipns/example/a b?c#d%/ü' as IpfsPath)).cid, ipnsTarget)
  await assert.rejects(subject.client.pin(`/ipfs/${cid}/missing` as IpfsPath), {
    message: `cannot resolve /ipfs/${cid}/missing: no link by that name`
  })
})

test('more CIDs than fit into one request are asked for in several', async () => {
  await using subject = await open()
  const cids = Array.from({ length: 130 }, (_, index) => testCid(index))
  const statuses = await collect(subject.client.statuses({ cids }))
  assert.deepEqual(
    statuses.map(status => status.cid),
    cids
  )
})

test('basic authentication comes from the settings or the URL', async () => {
  await using subject = await open({ basicAuth: { ann: 'sécret:x' } })
  await assert.rejects(subject.client.id(), error => isFault(error, 'unauthorized'))
  await using known = new FlotillaClient({ address: subject.door.url, basicAuth: 'ann:sécret:x' })
  assert.equal((await known.id()).id, memoryPeers[0])
  await using inUrl = new FlotillaClient({ address: subject.door.url.replace('//', '//ann:s%C3%A9cret%3Ax@') })
  assert.equal((await inUrl.id()).id, memoryPeers[0])
})

test('a Unix socket is an address like any other', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-'))
  try {
    const address = `/unix${folder}/rest.sock`
    await using _door = await openTestDoor(new MemoryCluster(), { listen: [address] })
    await using client = new FlotillaClient({ address })
    assert.equal((await client.id()).id, memoryPeers[0])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('where nobody listens, one sentence asks for the daemon', async () => {
  const { port } = await freePort()
  await using client = new FlotillaClient({ address: `/ip4/127.0.0.1/tcp/${port}` })
  await assert.rejects(client.id(), {
    fault: { code: 'peer_unreachable', peer: null },
    message: `nothing answers at http://127.0.0.1:${port}: is the daemon running?`
  })
})

test('a connection that breaks before the answer leaves a write unknown, a read failed', async () => {
  await using server = await serve(request => request.socket.destroy())
  await using client = new FlotillaClient({ address: server.url })
  await assert.rejects(client.pin(cid), error => isFault(error, 'outcome_unknown'))
  await assert.rejects(client.id(), error => isFault(error, 'peer_unreachable'))
})

test('a stream that is cut in the middle is a failure, not an end', async () => {
  await using server = await serve((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.write(`{"cid":"${cid}"}\n`, () => response.socket?.destroy())
  })
  await using client = new FlotillaClient({ address: server.url })
  const seen: string[] = []
  await assert.rejects(
    async () => {
      for await (const pin of client.allocations()) seen.push(pin.cid)
    },
    error => isFault(error, 'peer_unreachable')
  )
  assert.deepEqual(seen, [cid])
})

test('a line that does not end is not taken for ever', async () => {
  await using server = await serve((_request, response) => {
    response.writeHead(200)
    const more = () => {
      if (!response.destroyed) response.write('x'.repeat(1 << 20), more)
    }
    more()
  })
  await using client = new FlotillaClient({ address: server.url })
  await assert.rejects(
    collect(client.allocations()),
    error => isFault(error, 'peer_unreachable') && /line 1 has no end/.test(error.message)
  )
})

test('the address of something else is recognised', async () => {
  await using server = await serve((request, response) => {
    response.writeHead(request.url === '/id' ? 404 : 200).end('<html>hello</html>')
  })
  await using client = new FlotillaClient({ address: server.url })
  await assert.rejects(client.id(), { message: /answers 404, but not as a cluster peer does/ })
  await assert.rejects(client.version(), { message: /does not answer as a cluster peer does/ })
})

test("a Go peer's errors are told by their status; several trailer values are all meant", async () => {
  await using server = await serve((request, response) => {
    if (request.url?.startsWith('/allocations/')) {
      response.writeHead(404).end('{"code":404,"message":"pin is not part of the pinset"}\n')
      return
    }
    response.writeHead(200, { Trailer: 'X-Stream-Error' })
    response.write(`{"cid":"${cid}"}\n`)
    response.addTrailers([
      ['X-Stream-Error', ''],
      ['X-Stream-Error', 'one'],
      ['X-Stream-Error', 'two']
    ])
    response.end()
  })
  await using client = new FlotillaClient({ address: server.url })
  await assert.rejects(client.allocation(cid), { fault: { code: 'not_pinned', cid }, message: 'pin is not part of the pinset' })
  await assert.rejects(collect(client.allocations()), { fault: { code: 'refused' }, message: 'one; two' })
})

test('what is no address is refused without repeating a password', () => {
  for (const address of ['localhost:9094', '/ip4/127.0.0.1/udp/9094', '/ip4/127.0.0.1/tcp/99999', 'http://h/api', '']) {
    assert.throws(
      () => new FlotillaClient({ address }),
      error => isFault(error, 'invalid'),
      address
    )
  }
  assert.throws(
    () => new FlotillaClient({ address: 'http://ann:hunter2@:x' }),
    error => !String(error).includes('hunter2')
  )
})

async function open(
  settings: Parameters<typeof openTestDoor>[1] = {}
): Promise<AsyncDisposable & { cluster: MemoryCluster; client: FlotillaClient; door: TestDoor }> {
  const cluster = new MemoryCluster()
  const door = await openTestDoor(cluster, settings)
  const client = new FlotillaClient({ address: door.door.addresses[0] ?? '' })
  return {
    cluster,
    client,
    door,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await door[Symbol.asyncDispose]()
    }
  }
}

async function serve(listener: RequestListener): Promise<AsyncDisposable & { url: string }> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }
}

async function freePort(): Promise<{ port: number }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return { port }
}
