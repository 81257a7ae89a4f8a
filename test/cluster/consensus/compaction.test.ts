/** The log is cut, and its rows go, over a real store. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestPeers } from '../../support/consensus.ts'
import { logRows, pinAll } from '../../support/consensus-pins.ts'
import { until } from '../../support/until.ts'

const unbounded = { entriesMax: 1e9, bytesMax: 1e9, ageMsMax: 1e9 }

for (const [name, limit] of [
  ['entries', { entriesMax: 20 }],
  ['bytes', { bytesMax: 2_000 }],
  ['age', { ageMsMax: 50 }]
] as const) {
  test(`the log is cut by its ${name} alone, and what is cut is there in the state`, async () => {
    await using peers = await TestPeers.open()
    const alone = await peers.start(1, peers.found(1), { snapshots: { log: { ...unbounded, ...limit } } })
    await pinAll(alone, 0, 200)
    await until('most rows are gone', async () => (await logRows(alone)) < 40)
    await alone.kill()
    const again = await peers.start(1, peers.found(1), { snapshots: { log: unbounded } })
    assert.equal(again.pinset.count, 200)
  })
}

test('few writes between one restart and the next never fill the disk: the log is cut by the number of its entries', async () => {
  await using peers = await TestPeers.open()
  const snapshots = { log: { ...unbounded, entriesMax: 20 } }
  for (let day = 0; day < 8; day++) {
    const peer = await peers.start(1, peers.found(1), { snapshots })
    await pinAll(peer, 10 * day, 10 * day + 10)
    await until('what is too long is gone', async () => (await logRows(peer)) <= 22)
    assert.equal(peer.pinset.count, 10 * day + 10)
    await peer.kill()
  }
})

test('rows of what was cut away go at the next start, where a kill came in between', async () => {
  await using peers = await TestPeers.open()
  const first = await peers.start(1, peers.found(1))
  await pinAll(first, 0, 1_500)
  await first.kill()
  const second = await peers.start(1, peers.found(1), { snapshots: { log: { ...unbounded, entriesMax: 20 } } })
  await pinAll(second, 1_500, 1_510)
  await until('it is being cut', async () => (await logRows(second)) < 1_500)
  await second.kill()
  const third = await peers.start(1, peers.found(1), { snapshots: { log: unbounded } })
  await until('the rest is gone', async () => (await logRows(third)) < 40)
  assert.equal(third.pinset.count, 1_510)
})
