import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KuboHelp, resolve } from '../../../proxy/kubo/asked.ts'
import { readCall } from '../../../proxy/kubo/call.ts'
import { Upstream } from '../../../proxy/kubo/upstream.ts'
import { isFault } from '../../../src/errors.ts'
import { type Scripted, ScriptedKubo, says } from '../../support/kubo-door.ts'
import { testCid } from '../../support/rest.ts'

const cid = testCid(1)
const { signal } = new AbortController()

function callOf(query: string) {
  const call = readCall(`/api/v0/pin/add?${query}`)
  assert.ok(call)
  return call
}

test('a CID and its own path need no Kubo; every other argument is resolved by it', async () => {
  await using kubo = await ScriptedKubo.start({ 'dag/resolve': says({ Cid: { '/': cid }, RemPath: '' }) })
  using upstream = new Upstream(kubo.api, null)
  const asked = { kubo: new KuboHelp(upstream, 'Bearer x'), call: callOf('arg=x&offline=true'), signal }
  assert.equal(await resolve(asked, cid), cid)
  assert.deepEqual(kubo.calls, [])
  assert.equal(await resolve(asked, '/ipns/example/a b'), cid)
  assert.deepEqual(kubo.calls, ['dag/resolve?arg=%2Fipns%2Fexample%2Fa+b&offline=true'])
})

test('what is wrong with an argument is told in the words of Kubo', async () => {
  const refuses: Scripted = (_request, response) => {
    response.writeHead(500, { 'content-type': 'application/json' })
    response.end('{"Message":"invalid path \\"x\\": too short","Code":0,"Type":"error"}')
  }
  await using kubo = await ScriptedKubo.start({ 'dag/resolve': refuses })
  using upstream = new Upstream(kubo.api, null)
  const asked = { kubo: new KuboHelp(upstream, undefined), call: callOf('arg=x'), signal }
  await assert.rejects(resolve(asked, 'x'), error => isFault(error, 'kubo_error') && error.message === 'invalid path "x": too short')
})
