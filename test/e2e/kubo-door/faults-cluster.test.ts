/** The door of a peer without a quorum, and of one whose leader is killed in the middle of a pin. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { LocalCluster } from '../../support/local-cluster.ts'
import { testCid } from '../../support/rest.ts'
import { until } from '../../support/until.ts'
import { exchange, multipart, multipartType, request } from '../../support/wire.ts'

const portOf = (address: string) => Number(/\/tcp\/(\d+)/.exec(address)?.[1])

describe('a cluster that fails behind its doors', () => {
  let cluster: LocalCluster
  before(async () => {
    cluster = await LocalCluster.start()
  })
  after(() => cluster?.[Symbol.asyncDispose]())

  const ask = (number: number, bytes: Buffer, limitMs = 15_000) =>
    exchange(portOf(cluster.peer(number).door), { steps: [bytes], isLeft: true }, limitMs)

  test('the leader is killed during pin add --progress: the call goes on, and ends when the content is there', async () => {
    const leader = await cluster.leader()
    const asked = [0, 1, 2].find(number => number !== leader) ?? 0
    const holder = [0, 1, 2].find(number => number !== leader && number !== asked) ?? 0
    const content = 'content that comes late'
    const form = () => {
      const body = new FormData()
      body.append('file', new Blob([content]))
      return body
    }
    const at = (path: string, body?: FormData) =>
      fetch(`${cluster.peer(holder).kubo}/api/v0/${path}`, { method: 'POST', ...(body ? { body } : {}) })
    const { Hash: cid } = (await (await at('add?pin=false&only-hash=true&cid-version=1', form())).json()) as { Hash: string }
    const answer = ask(asked, request(`POST /api/v0/pin/add?arg=${cid}&progress=true&flotilla-wait=min`), 60_000)
    await using client = cluster.client(asked)
    await until('the pin is agreed', async () => {
      for await (const pin of client.allocations()) if (String(pin.cid) === cid) return true
      return false
    })
    await cluster.kill(leader)
    await at('add?pin=false&cid-version=1', form())
    const [said] = (await answer).answers
    assert.equal(said?.statusLine, 'HTTP/1.1 200 OK')
    assert.deepEqual(said.trailers, [])
    assert.equal(String(said.body).trim().split('\n').at(-1), `{"Pins":["${cid}"]}`)
    cluster.restart(leader)
    await until('all three are back', async () => (await client.overview()).peers.every(({ role }) => role !== 'unreachable'), 30_000)
  })

  test('without a quorum what is passed goes on, and what pins is answered in time in the shape of an error', async () => {
    const left = await cluster.leader()
    for (const number of [0, 1, 2].filter(number => number !== left)) await cluster.kill(number)
    await using client = cluster.client(left)
    await until('nobody leads', async () => (await client.overview()).leader === null, 30_000)
    const passed = await ask(
      left,
      request('POST /api/v0/add?pin=false', { headers: [multipartType], body: multipart({ content: 'passed' }) })
    )
    assert.equal(passed.answers[0]?.statusLine, 'HTTP/1.1 200 OK')
    const cid = testCid(11)
    const inline = 'bafkqablimvwgy3y'
    const calls: readonly Buffer[] = [
      request(`POST /api/v0/pin/add?arg=${inline}&timeout=2s`),
      request(`POST /api/v0/pin/add?arg=${inline}&timeout=2s&progress=true`),
      request(`POST /api/v0/pin/add?arg=${cid}&timeout=2s`),
      request(`POST /api/v0/pin/rm?arg=${inline}&timeout=2s`),
      request(`POST /api/v0/pin/update?arg=${inline}&arg=${cid}&timeout=2s`),
      request('POST /api/v0/add?timeout=2s', { headers: [multipartType], body: multipart({ content: 'pinned' }) })
    ]
    // Long before the cluster itself would give up.
    const recordings = await Promise.all(calls.map(call => ask(left, call, 6_000)))
    for (const [number, { answers, end }] of recordings.entries()) {
      const title = String(calls[number]).split('\r\n')[0]
      assert.notEqual(end, 'silent', `${title} is answered`)
      const [answer] = answers
      if (answer?.trailers.some(([name, value]) => name === 'X-Stream-Error' && value !== '')) continue
      assert.match(answer?.statusLine ?? 'nothing', /^HTTP\/1.1 50[03] /, title)
      assert.equal((JSON.parse(String(answer?.body)) as { Type: string }).Type, 'error', title)
    }
    const listed = await ask(left, request('POST /api/v0/pin/ls?type=recursive'))
    assert.equal(listed.answers[0]?.statusLine, 'HTTP/1.1 200 OK')
  })
})
