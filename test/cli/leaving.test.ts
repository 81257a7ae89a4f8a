/** Peers that leave their cluster: real daemons, without Kubo. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../src/errors.ts'
import { inline } from '../support/cids.ts'
import type { TestHost } from '../support/host.ts'
import { TestHosts } from '../support/hosts.ts'
import { examplePin } from '../support/pins.ts'
import { collect, streamOf } from '../support/stream.ts'
import { until } from '../support/until.ts'

/** Members, each with a vote. */
async function clusterOf(hosts: readonly TestHost[], variables: Record<string, string> = {}): Promise<void> {
  const [first, ...others] = hosts
  assert.ok(first)
  await first.run('flotilla init', { variables })
  await first.start()
  const { out } = await first.run('flotilla peers add')
  for (const host of others) await host.run('flotilla init --join -', { stdin: out, variables })
  await Promise.all(others.map(host => host.start()))
  await until('all vote', async () => (await votersSeenBy(first)) === hosts.length)
}

async function votersSeenBy(host: TestHost): Promise<number> {
  await using client = host.client()
  return (await client.overview()).peers.filter(({ isVoter }) => isVoter).length
}

async function leaderOf(hosts: readonly TestHost[]): Promise<TestHost> {
  return until('a leader', async () => {
    for (const host of hosts) {
      await using client = host.client()
      const { leader, answeredBy } = await client.overview()
      if (leader === answeredBy) return host
    }
    return undefined
  })
}

test('the leader leaves: it hands over, its pins go to others, its process ends with 0, and it stands by when it is started again', async () => {
  await using world = await TestHosts.open('a', 'b', 'c')
  await clusterOf(world.hosts)
  const leader = await leaderOf(world.hosts)
  const others = world.hosts.filter(host => host !== leader)
  await using client = others[0]!.client()
  await using left = leader.client()
  const { id } = await left.id()
  const cid = inline('two of three')
  const { id: other } = await client.id()
  const pin = { ...examplePin, cid, replicationMin: 1, replicationMax: 2, allocations: [id, other] }
  await collect(client.importPins(streamOf([pin])))
  const { term } = await client.overview()
  const { code, out } = await leader.run('flotilla leave')
  assert.deepEqual([code, out], [0, `peer ${id} has left the cluster and stops\n`])
  assert.equal(await leader.ended(), 0)
  assert.match(leader.log, /"msg":"left the cluster"/)
  const after = await client.overview()
  assert.equal(after.peers.length, 2)
  assert.equal(after.term, term + 1, 'one election: nobody had to miss it')
  const { allocations } = await client.allocation(cid, { consistency: 'linearizable' })
  assert.deepEqual(allocations, [other])
  await client.pin(inline('without it'))
  await leader.start()
  await until('it stands by', async () =>
    (await left.overview()).problems.some(problem => problem.includes('was removed from the cluster'))
  )
  await assert.rejects(left.allocation(cid), error => isFault(error, 'not_ready'))
  assert.equal((await leader.run('flotilla leave')).code, 0)
  assert.equal(await leader.ended(), 0, 'who is out already only ends')
})

test('a peer that would leave no majority behind stays, and runs on; the last one also by force', async () => {
  await using world = await TestHosts.open('a', 'b', 'c')
  await clusterOf(world.hosts)
  const [a, b, c] = world.hosts as [TestHost, TestHost, TestHost]
  await b.kill()
  await using client = a.client()
  await until('its silence is noticed', async () => (await client.overview()).votersReached === 2)
  const refused = await c.run('flotilla leave')
  assert.equal(refused.code, 1)
  assert.match(refused.err, /of the 2 voters that would be left only 1 are reached, 2 are needed/)
  await client.pin(inline('still a member'))
  await b.start()
  await until('it is back', async () => (await client.overview()).votersReached === 3)
  for (const host of [b, c]) {
    assert.equal((await host.run('flotilla leave')).code, 0)
    assert.equal(await host.ended(), 0)
  }
  const last = await a.run('flotilla leave --force')
  assert.equal(last.code, 1)
  assert.match(last.err, /last peer with a vote/)
  await client.pin(inline('alone'))
})

test('with leave_on_shutdown a peer that is told to stop leaves first, and the last one stays a member', async () => {
  await using world = await TestHosts.open('a', 'b')
  await clusterOf(world.hosts, { CLUSTER_LEAVEONSHUTDOWN: 'true' })
  const [a, b] = world.hosts as [TestHost, TestHost]
  process.kill(b.pid, 'SIGTERM')
  assert.equal(await b.ended(), 0)
  assert.match(b.log, /"msg":"left the cluster"/)
  await using client = a.client()
  assert.equal((await client.overview()).peers.length, 1)
  await client.pin(inline('alone'))
  process.kill(a.pid, 'SIGTERM')
  assert.equal(await a.ended(), 0)
  assert.match(a.log, /last peer with a vote.*"msg":"this peer stays a member"/)
  await a.start()
  await until('it leads again', async () => (await client.overview()).leader !== null)
  assert.ok(await client.allocation(inline('alone')))
})
