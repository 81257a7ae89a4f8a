/** The REST door as any HTTP client sees it: bytes, statuses and headers of ipfs-cluster's contract. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { suite, test } from 'node:test'
import { defaultCors } from '../../../proxy/rest/cors.ts'
import { FlotillaClient } from '../../../src/client.ts'
import { ClusterError, isFault } from '../../../src/errors.ts'
import { exportLine } from '../../../src/lines.ts'
import { MemoryCluster, memoryPeers } from '../../support/memory-cluster.ts'
import { examplePin } from '../../support/pins.ts'
import { openTestDoor, testCid } from '../../support/rest.ts'
import { until } from '../../support/until.ts'

const cid = testCid(1)

suite('documents', () => {
  test('are one line of JSON without a character set, and carry the id of the request', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    const answer = await fetch(`${door.url}/pins/${cid}?name=a%26b&meta-k=v`, { method: 'POST', headers: { 'x-request-id': 'mine-1' } })
    const text = await answer.text()
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.equal(answer.headers.get('x-request-id'), 'mine-1')
    assert.ok(text.endsWith('\n') && !text.slice(0, -1).includes('\n'))
    const { name, metadata, cid: pinned } = JSON.parse(text)
    assert.deepEqual({ name, metadata, pinned }, { name: 'a&b', metadata: { k: 'v' }, pinned: cid })
    assert.deepEqual(cluster.pins.get(cid)?.metadata, { k: 'v' })
  })

  test('a read is as fresh as the query or the header asks, and another word is refused', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    await fetch(`${door.url}/pins/${cid}`, { method: 'POST' })
    for (const path of [`/allocations/${cid}`, `/pins/${cid}`, '/allocations', '/pins']) {
      const before = cluster.freshReads
      const ask = async (query: string, headers: Record<string, string> = {}) => {
        const answer = await fetch(`${door.url}${path}${query}`, { headers })
        await answer.text()
        return answer.status
      }
      assert.deepEqual([await ask(''), await ask('?consistency=local'), cluster.freshReads - before], [200, 200, 0], path)
      assert.deepEqual([await ask('?consistency=linearizable'), cluster.freshReads - before], [200, 1], path)
      assert.deepEqual([await ask('', { 'x-flotilla-consistency': 'linearizable' }), cluster.freshReads - before], [200, 2], path)
      assert.deepEqual([await ask('?consistency=fresh'), cluster.freshReads - before], [400, 2], path)
    }
  })

  test('a peer is removed, or leaves, by force where that is said, and the client of the API can say it', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    const [first, second, third] = memoryPeers
    const remove = (path: string) => fetch(`${door.url}/peers/${path}`, { method: 'DELETE' })
    assert.equal((await remove(first)).status, 204)
    assert.equal((await remove(`${second}?force=true`)).status, 204)
    await using client = new FlotillaClient({ address: door.url })
    await client.removePeer(third, { force: true })
    assert.deepEqual(
      [...cluster.removed],
      [
        [first, false],
        [second, true],
        [third, true]
      ]
    )
    await client.leave()
    assert.equal(cluster.removed.get(first), false)
    assert.equal((await remove('self?force=true')).status, 204)
    assert.equal(cluster.removed.get(first), true)
    assert.equal((await remove('nobody')).status, 400)
    cluster.fault = new ClusterError({ code: 'refused' }, 'it may have the only copy of 1 pin')
    await assert.rejects(client.removePeer(third), error => isFault(error, 'refused'))
  })

  test('a body that nobody asked for is read and forgotten, up to 64 KiB', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    for (const contentType of ['application/json', 'application/x-www-form-urlencoded', 'text/plain']) {
      const headers = { 'content-type': contentType }
      assert.equal((await fetch(`${door.url}/pins/${cid}`, { method: 'POST', headers, body: '' })).status, 200, contentType)
      assert.equal((await fetch(`${door.url}/pins/${cid}`, { method: 'POST', headers, body: '{' })).status, 200, contentType)
    }
    const large = await fetch(`${door.url}/pins/${cid}`, { method: 'POST', body: 'x'.repeat(65_537) })
    assert.deepEqual([large.status, (await bodyOf(large)).code], [413, 413])
  })

  test('an import takes a body of any length, and tells how far it is', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    const lines = Array.from({ length: 2_000 }, (_, at) => exportLine({ ...examplePin, cid: testCid(at) }))
    const answer = await fetch(`${door.url}/state/import?existing=keep`, { method: 'POST', body: lines.join('') })
    assert.deepEqual(JSON.parse(await answer.text()), { pins: 2_000, added: 2_000, replaced: 0, unchanged: 0, done: true })
    const exported = await fetch(`${door.url}/state/export`)
    assert.equal(exported.headers.get('x-flotilla-index'), '2000')
    assert.equal(await exported.text(), lines.join(''))
    assert.equal((await fetch(`${door.url}/state/import?existing=both`, { method: 'POST', body: '' })).status, 400)
    assert.equal((await fetch(`${door.url}/state/import`)).status, 405)
    const broken = await fetch(`${door.url}/state/import`, { method: 'POST', body: `${lines[0]}oops\n` })
    assert.deepEqual(await bodyOf(broken), { code: 400, message: 'line 2: it is not a JSON document' })
  })

  test('both routes of a pin honour direct mode', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    for (const path of [cid, `ipfs/${cid}`]) {
      const pin = await bodyOf(await fetch(`${door.url}/pins/${path}?mode=direct`, { method: 'POST' }))
      assert.deepEqual([pin.mode, pin.max_depth], ['direct', 0])
    }
  })

  test('a CID of any length fits into the path', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const inBase2 = `0${'0'.repeat(300)}`
    const answer = await fetch(`${door.url}/pins/${inBase2}`)
    assert.match((await bodyOf(answer)).message, /is not a CID/)
  })

  test('a wrong option ends the request: nothing is pinned, and one document says why', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    for (const query of ['replication-min=x', 'expire-in=1ms', 'origins=/ip4/1.2.3.4/tcp/1']) {
      const answer = await fetch(`${door.url}/pins/${cid}?${query}`, { method: 'POST' })
      const { code, message } = JSON.parse(await answer.text())
      assert.deepEqual([answer.status, code], [400, 400])
      assert.ok(message.includes(query.split('=')[0]))
    }
    assert.equal(cluster.pins.size, 0)
  })

  test('health is 204 without a body', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const answer = await fetch(`${door.url}/health`)
    assert.deepEqual([answer.status, await answer.text()], [204, ''])
  })
})

suite('failures', () => {
  test('each kind has its status, Retry-After where asking again helps', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    const table = [
      [{ code: 'not_ready' }, 503],
      [{ code: 'no_leader', voters: 3, reached: 1 }, 503],
      [{ code: 'not_enough_peers', wanted: 3, available: 1 }, 409],
      [{ code: 'overloaded', retryAfterMs: 1_200 }, 429],
      [{ code: 'outcome_unknown' }, 504],
      [{ code: 'kubo_unreachable' }, 502]
    ] as const
    for (const [fault, status] of table) {
      cluster.fault = new ClusterError(fault, 'because')
      const answer = await fetch(`${door.url}/allocations`)
      assert.deepEqual([answer.status, await bodyOf(answer)], [status, { code: status, message: 'because' }], fault.code)
      assert.equal(answer.headers.get('retry-after'), status === 429 ? '2' : null)
    }
  })

  test('a bug is told to the log, and to the client only where to find it', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    cluster.id = () => Promise.reject(new TypeError('secret detail'))
    const answer = await fetch(`${door.url}/id`)
    const { message } = await bodyOf(answer)
    assert.equal(answer.status, 500)
    assert.ok(!message.includes('secret detail') && message.includes(answer.headers.get('x-request-id') ?? '?'))
    assert.ok(door.logged.some(line => line.includes('secret detail') && line.includes('"level":50')))
  })

  test('unknown paths are 404, wrong methods 405 with what is allowed, both in JSON', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const unknown = await fetch(`${door.url}/nope`)
    assert.deepEqual([unknown.status, await bodyOf(unknown)], [404, { code: 404, message: 'not found' }])
    for (const [method, path, allow] of [
      ['PUT', `/pins/${cid}`, 'GET, POST, DELETE'],
      ['POST', '/health', 'GET'],
      ['GET', `/pins/ipfs/${cid}`, 'POST, DELETE']
    ] as const) {
      const answer = await fetch(door.url + path, { method })
      assert.deepEqual([answer.status, answer.headers.get('allow'), (await bodyOf(answer)).code], [405, allow, 405])
    }
  })

  test('a slash at the end is sent on without it, query and method kept, and never to another host', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const answer = await fetch(`${door.url}/pins/?cids=a,b?c`, { redirect: 'manual' })
    assert.deepEqual([answer.status, answer.headers.get('location')], [307, '/pins?cids=a,b?c'])
    assert.match(await rawAnswer(door.url, 'GET //evil.example/ HTTP/1.1\r\nHost: x\r\n'), /^HTTP\/1.1 404/)
  })

  test('what is too large or no HTTP is refused in JSON', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const large = await rawAnswer(door.url, `GET /id HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(10_000)}\r\n`)
    assert.match(large, /^HTTP\/1.1 431 [\s\S]*\{"code":431,/)
    assert.match(await rawAnswer(door.url, 'hello\r\n'), /^HTTP\/1.1 400 [\s\S]*\{"code":400,/)
    assert.match(await rawAnswer(door.url, 'GET /pins/%zz HTTP/1.1\r\nHost: x\r\n'), /^HTTP\/1.1 400 [\s\S]*\{"code":400,/)
  })
})

suite('streams', () => {
  test('are a document a line, with an empty error trailer that says all is there', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    await cluster.pin(cid)
    const raw = await rawAnswer(door.url, 'GET /allocations HTTP/1.1\r\nHost: x\r\n')
    assert.match(raw, /^HTTP\/1.1 200 OK\r\n/)
    assert.match(raw, /\r\nTrailer: X-Stream-Error\r\n/)
    assert.match(raw, /\}\n\r\n0\r\nx-stream-error: \r\n\r\n$/i)
  })

  test('without an item are 204', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const answer = await fetch(`${door.url}/pins`)
    assert.deepEqual([answer.status, await answer.text()], [204, ''])
  })

  test('that fail late say so in the trailer', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    cluster.lateFault = new ClusterError({ code: 'no_leader', voters: 3, reached: 1 }, 'nobody leads')
    assert.match(
      await rawAnswer(door.url, 'GET /peers HTTP/1.1\r\nHost: x\r\n'),
      /\r\n0\r\nx-stream-error: nobody leads\r\nx-flotilla-fault: /i
    )
  })

  test('go no faster than the client reads, and end when it leaves', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    const pin = await cluster.pin(cid, { name: 'x'.repeat(1_000) })
    let sent = 0
    let isOpen = false
    cluster.allocations = async function* () {
      isOpen = true
      try {
        for (; ; sent++) yield pin
      } finally {
        isOpen = false
      }
    }
    const socket = connect(Number(new URL(door.url).port), '127.0.0.1')
    socket.pause()
    socket.write('GET /allocations HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('something is sent', () => sent > 0)
    // What the kernel takes for a client that does not read is some megabytes; then nothing moves any more.
    let before = -1
    await until('nothing moves', () => {
      const isStill = before === sent
      before = sent
      return isStill
    })
    assert.ok(sent < 50_000, `${sent} items for nobody`)
    socket.destroy()
    await until('the stream is closed', () => !isOpen)
  })
})

suite('authentication', () => {
  const basicAuth = { ann: 'hunter2', ghost: '' }
  const login = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })

  test('lets in whom it knows, and everybody to GET /health', async () => {
    await using door = await openTestDoor(new MemoryCluster(), { basicAuth })
    assert.equal((await fetch(`${door.url}/id`, { headers: login('ann:hunter2') })).status, 200)
    assert.equal((await fetch(`${door.url}/health`)).status, 204)
    for (const headers of [{}, login('ann:'), login('ann:Hunter2'), login('ghost:'), login(':'), { authorization: 'Bearer x' }]) {
      const answer = await fetch(`${door.url}/nope`, { headers })
      assert.deepEqual([answer.status, answer.headers.get('www-authenticate')], [401, 'Basic realm="Restricted IPFS Cluster API"'])
      assert.match((await bodyOf(answer)).message, /^unauthorized: /)
    }
    assert.equal((await fetch(`${door.url}/health/overview`)).status, 401)
  })

  test('never shows a password in the log', async () => {
    await using door = await openTestDoor(new MemoryCluster(), { basicAuth })
    await (await fetch(`${door.url}/id`, { headers: login('ann:hunter2') })).text()
    await until('the request is logged', () => door.logged.some(line => line.includes('/id')))
    const log = door.logged.join('')
    assert.ok(!log.includes('hunter2') && !log.includes(Buffer.from('ann:hunter2').toString('base64')))
  })
})

suite('other origins', () => {
  const preflight = { Origin: 'http://a.example', 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'content-type' }

  test('may read by default, and not write', async () => {
    await using door = await openTestDoor(new MemoryCluster(), { basicAuth: null, headers: { 'X-Extra': ['a', 'b'] } })
    const allowed = await fetch(`${door.url}/id`, { method: 'OPTIONS', headers: preflight })
    assert.equal(allowed.status, 204)
    assert.equal(allowed.headers.get('access-control-allow-origin'), '*')
    assert.equal(allowed.headers.get('access-control-allow-methods'), 'GET')
    const refused = await fetch(`${door.url}/id`, { method: 'OPTIONS', headers: { ...preflight, 'Access-Control-Request-Method': 'POST' } })
    assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [204, null])
    const read = await fetch(`${door.url}/id`, { headers: { Origin: 'http://a.example' } })
    assert.equal(read.headers.get('access-control-allow-origin'), '*')
    assert.equal(read.headers.get('vary'), 'Origin')
    assert.equal(read.headers.get('x-extra'), 'a, b')
    const write = await fetch(`${door.url}/pins/${cid}`, { method: 'POST', headers: { Origin: 'http://a.example' } })
    assert.equal(write.headers.get('access-control-allow-origin'), null)
  })

  test('that are not on the list get nothing', async () => {
    const cors = { ...defaultCors, allowedOrigins: ['http://a.example'] }
    await using door = await openTestDoor(new MemoryCluster(), { cors })
    for (const [origin, expected] of [
      ['http://a.example', 'http://a.example'],
      ['http://b.example', null]
    ] as const) {
      const answer = await fetch(`${door.url}/id`, { headers: { Origin: origin } })
      assert.equal(answer.headers.get('access-control-allow-origin'), expected)
    }
  })
})

suite('opening and closing', () => {
  test('an address in use is told with its setting', async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const [taken = ''] = door.door.addresses
    await assert.rejects(openTestDoor(new MemoryCluster(), { listen: ['/ip4/127.0.0.1/tcp/0', taken] }), {
      fault: { code: 'cannot_start' },
      message: `cannot listen on ${taken}: another program uses it; the setting is api.restapi.http_listen_multiaddress`
    })
  })

  test('a call in flight is finished, idle connections are not waited for, twice is once', async () => {
    const cluster = new MemoryCluster()
    const door = await openTestDoor(cluster, { closeTimeoutMs: 30_000 })
    await (await fetch(`${door.url}/id`)).text()
    cluster.held.add(cid)
    await cluster.pin(cid)
    const answer = await fetch(`${door.url}/pins/${cid}/progress`)
    const closing = [door[Symbol.asyncDispose](), door[Symbol.asyncDispose]()]
    cluster.release(cid)
    const lines = (await answer.text()).trim().split('\n')
    assert.equal(JSON.parse(lines.at(-1) ?? '').done, true)
    await Promise.all(closing)
    await assert.rejects(fetch(`${door.url}/id`))
  })

  test('what does not end in time is cut off, and its call aborted', async () => {
    const cluster = new MemoryCluster()
    const door = await openTestDoor(cluster, { closeTimeoutMs: 10 })
    cluster.held.add(cid)
    await cluster.pin(cid)
    const answer = await fetch(`${door.url}/pins/${cid}/progress`)
    await door[Symbol.asyncDispose]()
    await assert.rejects(answer.text())
    await until('the stream is closed', () => cluster.openStreams === 0)
  })

  test('a client that leaves ends the call behind it', async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    let reason: unknown
    cluster.pin = (_target, { signal } = {}) =>
      new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => {
          reason = signal.reason
          reject(signal.reason)
        })
      )
    const call = request(`${door.url}/pins/${cid}`, { method: 'POST' }).on('error', () => {})
    call.end()
    await once(call, 'finish')
    await until('the call has arrived', () => door.logged.length > 0)
    call.destroy()
    await until('the call is aborted', () => reason instanceof Error)
    assert.ok(!door.logged.some(line => line.includes('request failed')))
  })
})

test('a peer describes itself in the order of the contract', async () => {
  await using door = await openTestDoor(new MemoryCluster())
  const text = await (await fetch(`${door.url}/id`)).text()
  assert.match(
    text,
    new RegExp(
      `^\\{"id":"${memoryPeers[0]}","addresses":\\[.*\\],"cluster_peers":\\[.*"ipfs":\\{"addresses":\\[\\],"error":""\\},"peername":"peer-0"\\}\n$`
    )
  )
})

/** Everything that comes back for a request head, until the server closes. */
async function rawAnswer(url: string, head: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  socket.on('data', chunk => {
    text += chunk
  })
  socket.write(`${head}Connection: close\r\n\r\n`)
  await once(socket, 'close')
  return text
}

/** A document, with the fields that tests look at. */
async function bodyOf(answer: Response): Promise<{ code: number; message: string; mode: string; max_depth: number }> {
  return (await answer.json()) as Awaited<ReturnType<typeof bodyOf>>
}
