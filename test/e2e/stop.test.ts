/** SIGTERM, on real processes under load. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isFault } from '../../src/errors.ts'
import type { Cid } from '../../src/types.ts'
import { inline } from '../support/cids.ts'
import { LocalCluster } from '../support/local-cluster.ts'
import { until } from '../support/until.ts'

describe('processes that are told to stop', () => {
  test('the leader is told to stop while a client pins through another door: it hands over, one election, no error, nothing lost', async t => {
    await using cluster = await LocalCluster.start()
    const leader = await cluster.leader()
    const [through = 0, other = 0] = [0, 1, 2].filter(number => number !== leader)
    await using client = cluster.client(through)
    await using witness = cluster.client(other)
    const termOf = async () => (await witness.overview()).term
    const term = await termOf()
    const answered: Cid[] = []
    let longestMs = 0
    let last = performance.now()
    while (answered.length < 200) {
      if (answered.length === 50) await cluster.kill(leader, 'SIGTERM')
      const cid = inline(`stop ${answered.length}`)
      await client.pin(cid)
      answered.push(cid)
      longestMs = Math.max(longestMs, performance.now() - last)
      last = performance.now()
    }
    t.diagnostic(`the longest gap was ${longestMs.toFixed(0)} ms`)
    // One election, that of the successor. Had anybody missed the leader first, there would have been candidates, and a gap of an election timeout.
    assert.equal(await until('the next term', async () => (await termOf()) > term && termOf()), term + 1)
    assert.ok(longestMs < 1_000, `the longest gap was ${longestMs} ms`)
    cluster.restart(leader)
    await until(
      `the one that stopped has all ${answered.length} pins`,
      async () => {
        await using again = cluster.client(leader)
        const found = new Set<string>()
        try {
          for await (const { cid } of again.allocations()) found.add(cid)
        } catch {
          return false
        }
        return answered.every(cid => found.has(cid))
      },
      30_000
    )
  })

  test('the leader is removed: its pins go to others, the cluster goes on, and it stands by', async () => {
    await using cluster = await LocalCluster.start()
    const leader = await cluster.leader()
    const [through = 0] = [0, 1, 2].filter(number => number !== leader)
    await using client = cluster.client(through)
    await using removed = cluster.client(leader)
    const { id } = await removed.id()
    const cid = inline('two copies')
    const { allocations } = await client.pin(cid, { replicationMin: 2, replicationMax: 2, userAllocations: [id] })
    assert.ok(allocations.includes(id))
    for await (const { done } of client.follow(cid, { until: 'all' })) if (done) break
    await client.removePeer(id)
    assert.equal((await client.id()).clusterPeers.length, 2)
    const pin = await client.allocation(cid, { consistency: 'linearizable' })
    assert.ok(pin.allocations.length === 2 && !pin.allocations.includes(id))
    await client.pin(inline('behind'))
    await until('it knows', async () =>
      (await removed.overview()).problems.some(problem => problem.includes('was removed from the cluster'))
    )
    await assert.rejects(removed.allocation(cid), error => isFault(error, 'not_ready'))
  })
})
