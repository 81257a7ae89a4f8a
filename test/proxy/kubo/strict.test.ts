import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnknownPinners, unknownPinners } from '../../../proxy/kubo/strict.ts'
import { Upstream } from '../../../proxy/kubo/upstream.ts'
import { systemClock } from '../../../src/clock.ts'
import { openLog } from '../../../src/log.ts'
import { call, openTestKuboDoor, ScriptedKubo, says } from '../../support/kubo-door.ts'
import { MemoryCluster } from '../../support/memory-cluster.ts'
import { until } from '../../support/until.ts'

test('commands that pin and are not in the table are found, whatever they are called', () => {
  const option = (...Names: string[]) => ({ Names })
  const listed = {
    Name: 'ipfs',
    Subcommands: [
      { Name: 'add', Options: [option('pin')] },
      {
        Name: 'pin',
        Subcommands: [{ Name: 'add' }, { Name: 'verify' }, { Name: 'remote', Subcommands: [{ Name: 'add' }] }, { Name: 'future' }]
      },
      { Name: 'urlstore', Subcommands: [{ Name: 'add', Options: [option('trickle', 't'), option('pin')] }] },
      { Name: 'cat', Options: [option('offset', 'o')] }
    ]
  }
  assert.deepEqual(unknownPinners(listed), ['pin/future', 'urlstore/add'])
})

const future = { Name: 'ipfs', Subcommands: [{ Name: 'pin', Subcommands: [{ Name: 'add' }, { Name: 'future' }] }] }

test('before Kubo has told its commands, nothing under pin/ is trusted that is not known', async () => {
  await using kubo = await ScriptedKubo.start({ commands: says(future) })
  using upstream = new Upstream(kubo.api, null)
  const pinners = new UnknownPinners({ upstream, clock: systemClock, log: openLog({ level: 'silent', name: 'test' }) })
  assert.equal(pinners.find('/api/v0/pin/anything'), 'a command under pin/')
  for (const known of ['pin/add', 'pin/add/x', 'pin/verify', 'pin/remote/ls', 'cat'])
    assert.equal(pinners.find(`/api/v0/${known}`), undefined)
  const stop = new AbortController()
  const watching = pinners.watch(stop.signal).catch(() => {})
  await until('it has told', () => pinners.find('/api/v0/pin/anything') === undefined)
  assert.equal(pinners.find('/api/v0/pin/future'), 'pin/future')
  assert.equal(pinners.find('/api/v0/pin/future/argument'), 'pin/future')
  assert.equal(pinners.find('/api/v0/pin/futures'), undefined)
  assert.equal(pinners.find('/webui/pin/future'), undefined)
  stop.abort()
  await watching
})

test('what pins on one node only passes with a warning, or is refused, and is counted either way', async () => {
  for (const isStrict of [false, true]) {
    await using kubo = await ScriptedKubo.start({ commands: says(future), 'pin/future': says({ Pins: ['x'] }) })
    const counted: string[] = []
    const metrics = { countUnreplicated: (command: string, fate: string) => counted.push(`${command} ${fate}`) }
    await using door = await openTestKuboDoor(new MemoryCluster(), kubo, { isStrict }, metrics)
    await until('the commands are learnt', () => door.logged.some(line => line.includes('kubo has commands that pin on one node only')))
    const { status, text } = await call(door, 'pin/future?arg=x&api-auth=secret')
    assert.deepEqual(counted, [`pin/future ${isStrict ? 'refused' : 'passed'}`])
    assert.deepEqual(
      [status, text],
      isStrict
        ? [501, 'pin/future would pin on one node only: this door does not know how to replicate it, and is set to refuse such commands\n']
        : [200, '{"Pins":["x"]}\n']
    )
    assert.doesNotMatch(door.logged.join(''), /secret/)
  }
})
