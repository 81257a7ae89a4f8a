/** kill -9, on real processes under load. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Cid } from '../../src/types.ts'
import { inline } from '../support/cids.ts'
import { LocalCluster } from '../support/local-cluster.ts'
import { until } from '../support/until.ts'

async function agreed(cluster: LocalCluster, number: number): Promise<Set<string>> {
  await using client = cluster.client(number)
  const found = new Set<string>()
  for await (const pin of client.allocations()) found.add(pin.cid)
  return found
}

describe('processes that are killed', () => {
  for (const victim of ['leader', 'follower'] as const) {
    test(`the ${victim} is killed while a client pins through another door: no error, a gap under three seconds, nothing lost`, async () => {
      await using cluster = await LocalCluster.start()
      const leader = await cluster.leader()
      const killed = victim === 'leader' ? leader : [0, 1, 2].find(number => number !== leader)!
      const through = [0, 1, 2].find(number => number !== killed && (victim === 'leader' || number !== leader))!
      await using client = cluster.client(through)
      const answered: Cid[] = []
      let longestMs = 0
      let last = performance.now()
      const end = last + 6_000
      let isKilled = false
      while (performance.now() < end) {
        if (!isKilled && answered.length >= 50) {
          await cluster.kill(killed)
          isKilled = true
        }
        const cid = inline(`kill ${victim} ${answered.length}`)
        await client.pin(cid)
        answered.push(cid)
        longestMs = Math.max(longestMs, performance.now() - last)
        last = performance.now()
      }
      assert.ok(isKilled)
      assert.ok(longestMs < 3_000, `the longest gap was ${longestMs} ms`)
      cluster.restart(killed)
      for (const number of [0, 1, 2]) {
        await until(
          `peer ${number} has all ${answered.length} pins`,
          async () => {
            const found = await agreed(cluster, number).catch(() => new Set<string>())
            return answered.every(cid => found.has(cid))
          },
          30_000
        )
      }
    })
  }

  test('all three are killed at once under load: every acknowledged pin survives', async () => {
    await using cluster = await LocalCluster.start()
    await using client = cluster.client(1)
    const answered: Cid[] = []
    const refused: unknown[] = []
    const load = Promise.all(
      Array.from({ length: 8 }, async (_, worker) => {
        for (let index = 0; ; index++) {
          const cid = inline(`all ${worker} ${index}`)
          try {
            await client.pin(cid)
          } catch (error) {
            refused.push(error)
            return
          }
          answered.push(cid)
        }
      })
    )
    await until(
      'some pins',
      () => {
        if (refused.length > 0) throw refused[0]
        return answered.length > 200
      },
      30_000
    )
    await Promise.all([0, 1, 2].map(number => cluster.kill(number)))
    await load
    for (const number of [0, 1, 2]) cluster.restart(number)
    for (const number of [0, 1, 2]) {
      await until(
        `peer ${number} has all ${answered.length} pins`,
        async () => {
          const found = await agreed(cluster, number).catch(() => new Set<string>())
          return answered.every(cid => found.has(cid))
        },
        30_000
      )
    }
  })

  test('Ctrl-C stops everything within five seconds, and the next start comes back with all pins', async () => {
    const first = await LocalCluster.start()
    const cid = inline('still there')
    {
      await using client = first.client(0)
      await client.pin(cid)
    }
    assert.ok((await first.stop()) < 5_000)
    await using again = await LocalCluster.start({ dir: first.dir, basePort: first.basePort })
    for (const number of [0, 1, 2]) assert.ok((await agreed(again, number)).has(cid))
  })
})
