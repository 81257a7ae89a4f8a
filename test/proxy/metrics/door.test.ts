import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMetricsDoor } from '../../../proxy/metrics/door.ts'
import { socketAddressOf, urlOf } from '../../../src/address.ts'
import { ClusterError } from '../../../src/errors.ts'
import { openLog } from '../../../src/log.ts'
import { Metrics } from '../../../src/metrics.ts'
import { MemoryCluster } from '../../support/memory-cluster.ts'
import { testCid } from '../../support/rest.ts'

const log = openLog({ level: 'silent', name: 'test' })

test('figures are read at the moment they are asked for, and calls are counted', async () => {
  const cluster = new MemoryCluster()
  const metrics = new Metrics({ api: cluster })
  await using door = await openMetricsDoor({ metrics, log }, { listen: '/ip4/127.0.0.1/tcp/0' })
  const url = urlOf(socketAddressOf(door.addresses[0] ?? ''))
  const lines = async () => (await (await fetch(`${url}/metrics`)).text()).split('\n').filter(line => !line.startsWith('#'))
  assert.ok((await lines()).includes('ipfscluster_pins 0'))
  await cluster.pin(testCid(1))
  cluster.held.add(testCid(1))
  metrics.countUnreplicated('pin/future', 'passed')
  metrics.countUnreplicated('pin/future', 'passed')
  metrics.countUnreplicated('pin/future', 'refused')
  const told = await lines()
  assert.ok(told.includes('ipfscluster_pins 1'))
  assert.ok(told.includes('ipfscluster_pins_pinning 1'))
  assert.ok(told.includes('flotilla_unreplicated_pinning_calls_total{command="pin/future",fate="passed"} 2'))
  assert.ok(told.includes('flotilla_unreplicated_pinning_calls_total{command="pin/future",fate="refused"} 1'))
})

test('there is nothing else, and a failure has a reason', async () => {
  const cluster = new MemoryCluster()
  await using door = await openMetricsDoor({ metrics: new Metrics({ api: cluster }), log }, { listen: '/ip4/127.0.0.1/tcp/0' })
  const url = urlOf(socketAddressOf(door.addresses[0] ?? ''))
  assert.equal((await fetch(`${url}/`)).status, 404)
  assert.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405)
  cluster.fault = new ClusterError({ code: 'not_ready' }, 'this peer is joining')
  const failed = await fetch(`${url}/metrics`)
  assert.deepEqual([failed.status, await failed.text()], [500, 'this peer is joining\n'])
})
