import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Gate } from '../../../proxy/kubo/gate.ts'
import { Upstream } from '../../../proxy/kubo/upstream.ts'
import { systemClock } from '../../../src/clock.ts'
import { ScriptedKubo } from '../../support/kubo-door.ts'

function gateOf(api: string, authorization: string | null = null) {
  let nowMs = 0
  const upstream = new Upstream(api, authorization)
  const gate = new Gate({ upstream, clock: { ...systemClock, monotonicMs: () => nowMs } })
  const later = (ms: number) => {
    nowMs += ms
  }
  return { gate, later, ports: { door: 9095, kubo: upstream.port }, [Symbol.dispose]: () => upstream[Symbol.dispose]() }
}

test('Kubo is asked with what it looks at, and nothing else of the client', async () => {
  await using kubo = await ScriptedKubo.start()
  using world = gateOf(kubo.api)
  const headers = ['Origin', 'http://localhost:9095', 'Cookie', 'secret', 'User-Agent', 'curl', 'Authorization', 'Bearer x', 'Host', 'evil']
  const { refusal, isKuboThere } = await world.gate.judge('pin/rm', headers, world.ports)
  assert.ok(isKuboThere && refusal === null)
  const [judged] = kubo.judged
  assert.deepEqual(
    [judged?.origin, judged?.['user-agent'], judged?.authorization, judged?.cookie, judged?.host],
    [`http://localhost:${kubo.port}`, 'curl', 'Bearer x', undefined, 'kubo']
  )
})

test('a closed gate is told in the words of Kubo', async () => {
  await using kubo = await ScriptedKubo.start()
  using world = gateOf(kubo.api)
  kubo.gate = { status: 403, text: '403 - Forbidden\n' }
  const { refusal } = await world.gate.judge('pin/rm', ['Origin', 'http://evil.example'], world.ports)
  assert.deepEqual([refusal?.status, refusal?.body.toString()], [403, '403 - Forbidden\n'])
  assert.deepEqual(
    refusal?.headers.map(([name]) => name.toLowerCase()),
    ['content-type', 'vary']
  )
  kubo.gate = { status: 400, text: 'api version mismatch (/kubo/0.42.0/ != /kubo/0.1/)\n' }
  assert.equal((await world.gate.judge('pin/rm', ['User-Agent', '/kubo/0.1/'], world.ports)).refusal?.status, 400)
})

test('the same question is asked once in five seconds, and each client is judged for himself', async () => {
  await using kubo = await ScriptedKubo.start()
  using world = gateOf(kubo.api)
  const ask = (origin: string) => world.gate.judge('pin/add', ['Origin', origin], world.ports)
  await Promise.all([ask('http://a'), ask('http://a')])
  await ask('http://b')
  await world.gate.judge('pin/rm', ['Origin', 'http://a'], world.ports)
  assert.equal(kubo.judged.length, 3)
  world.later(4_999)
  await ask('http://a')
  assert.equal(kubo.judged.length, 3)
  world.later(2)
  await ask('http://a')
  assert.equal(kubo.judged.length, 4)
})

test('while Kubo cannot be asked, pages of others stay out, and nothing of it is remembered', async () => {
  const kubo = await ScriptedKubo.start()
  using world = gateOf(kubo.api)
  await kubo[Symbol.asyncDispose]()
  const ask = (...headers: string[]) => world.gate.judge('pin/add', headers, world.ports)
  assert.deepEqual(await ask().then(({ refusal, isKuboThere }) => [refusal, isKuboThere]), [null, false])
  assert.equal((await ask('Origin', 'http://localhost:9095')).refusal, null)
  assert.equal((await ask('Referer', 'http://127.0.0.1:9095/webui')).refusal, null)
  for (const headers of [
    ['Origin', 'http://evil.example'],
    ['Origin', 'http://localhost:80'],
    ['Referer', 'http://evil.example/x'],
    ['Origin', 'http://localhost:9095', 'Referer', 'http://evil.example/'],
    ['User-Agent', 'Mozilla/5.0']
  ]) {
    assert.equal((await ask(...headers)).refusal?.status, 403, headers.join(' '))
  }
  assert.equal((await ask('User-Agent', 'Mozilla/5.0 Electron')).refusal, null)
})

test('where the door has an authorization of its own, the client is not heard', async () => {
  await using kubo = await ScriptedKubo.start()
  using world = gateOf(kubo.api, 'Bearer door')
  await world.gate.judge('pin/add', ['Authorization', 'Bearer client'], world.ports)
  assert.equal(kubo.judged[0]?.authorization, 'Bearer door')
})
