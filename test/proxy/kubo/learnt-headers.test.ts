import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LearntHeaders } from '../../../proxy/kubo/learnt-headers.ts'
import { Upstream } from '../../../proxy/kubo/upstream.ts'
import { systemClock } from '../../../src/clock.ts'
import { openLog } from '../../../src/log.ts'
import { type Scripted, ScriptedKubo } from '../../support/kubo-door.ts'
import { until } from '../../support/until.ts'

const version: Scripted = (_request, response) => {
  response.writeHead(200, {
    Server: 'kubo/0.42.0',
    'X-Mine': 'a',
    'Content-Type': 'application/json',
    'Access-Control-Allow-Origin': 'http://localhost',
    Vary: 'Origin',
    'X-Chunked-Output': '1',
    Trailer: 'X-Stream-Error'
  })
  response.end('{}')
}

test('headers of every answer are learnt, those of one answer or one client are not', async () => {
  await using kubo = await ScriptedKubo.start({ version })
  using upstream = new Upstream(kubo.api, null)
  const learnt = new LearntHeaders({ upstream, clock: systemClock, log: openLog({ level: 'silent', name: 'test' }) })
  const both = await Promise.all([learnt.get(undefined), learnt.get(undefined)])
  assert.deepEqual(both[0], [
    ['Server', 'kubo/0.42.0'],
    ['X-Mine', 'a']
  ])
  assert.deepEqual(both[1], both[0])
  assert.equal(kubo.calls.length, 1)
})

test('they are asked for again after a minute, beside the calls; a Kubo that refuses is not asked by every call', async () => {
  let isAllowed = false
  const guarded: Scripted = (request, response, query) => {
    if (isAllowed) return version(request, response, query)
    response.writeHead(403).end()
  }
  await using kubo = await ScriptedKubo.start({ version: guarded })
  using upstream = new Upstream(kubo.api, null)
  let nowMs = 0
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const learnt = new LearntHeaders({ upstream, clock, log: openLog({ level: 'silent', name: 'test' }) })
  const names = async () => (await learnt.get('Bearer x')).map(([name]) => name)
  const unlearnt = ['Access-Control-Allow-Headers', 'Access-Control-Expose-Headers']
  assert.deepEqual(await names(), unlearnt)
  isAllowed = true
  assert.deepEqual(await names(), unlearnt)
  assert.equal(kubo.calls.length, 1)
  nowMs = 1_001
  assert.deepEqual(await names(), ['Server', 'X-Mine'])
  nowMs += 60_001
  assert.deepEqual(await names(), ['Server', 'X-Mine'])
  await until('it was asked again', () => kubo.calls.length === 3)
})
