import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../../src/errors.ts'
import { TestPeers } from '../../support/consensus.ts'
import { hasAll, pin, three } from '../../support/consensus-pins.ts'
import { newcomer } from '../../support/newcomer.ts'
import { until } from '../../support/until.ts'

test('behind a read barrier every peer has what was acknowledged by another, and the log does not grow', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  for (let round = 0; round < 20; round++) {
    await pin(peers.get(1 + (round % 3)), `round-${round}`)
    await Promise.all(
      [...peers.peers.values()].map(async peer => {
        await peer.consensus.readBarrier()
        assert.ok(await hasAll(peer, [`round-${round}`]))
      })
    )
  }
  const { commit } = peers.get(1).consensus.status()
  await Promise.all(Array.from({ length: 500 }, (_, index) => peers.get(1 + (index % 3)).consensus.readBarrier()))
  assert.equal(peers.get(1).consensus.status().commit, commit)
})

test('a barrier outlives its leader', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  await pin(peers.get(1), 'before')
  const leader = peers.leader()!
  const follower = [1, 2, 3].find(number => number !== leader)!
  await peers.get(leader).kill()
  await peers.get(follower).consensus.readBarrier()
  assert.ok(await hasAll(peers.get(follower), ['before']))
})

test('a leader that nobody hears confirms nothing, and says who is missing', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  const others = [1, 2, 3].filter(number => number !== leader)
  for (const number of others) peers.network.cut(peers.get(leader).id, peers.get(number).id)
  await until('another leader', () => others.some(number => peers.get(number).consensus.status().role === 'leader'))
  const reason = await peers
    .get(leader)
    .consensus.readBarrier()
    .catch(error => error)
  assert.ok(isFault(reason, 'no_leader'), String(reason))
  assert.deepEqual([reason.fault.reached, reason.fault.voters], [1, 3])
})

test('a barrier that is aborted rejects with the reason, and one at a peer that stops ends', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  for (const number of [1, 2, 3]) if (number !== leader) await peers.get(number).kill()
  const { consensus } = peers.get(leader)
  const abort = new AbortController()
  const reason = new Error('enough')
  const aborted = assert.rejects(consensus.readBarrier({ signal: abort.signal }), reason)
  const waiting = assert.rejects(consensus.readBarrier(), error => isFault(error, 'not_ready'))
  abort.abort(reason)
  await aborted
  await peers.get(leader).kill()
  await waiting
})

test('a peer that reaches nobody says so, and who is missing, long before the deadline of what it was asked', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  const [follower = 0, other = 0] = [1, 2, 3].filter(number => number !== leader)
  for (const number of [leader, other]) await peers.get(number).kill()
  const { consensus } = peers.get(follower)
  await until('it has no leader', () => consensus.status().leader === null)
  const deadlineMs = 5_000
  for (const ask of [() => pin(peers.get(follower), 'nobody'), () => consensus.readBarrier()]) {
    const asked = performance.now()
    const reason = await ask().catch(error => error)
    assert.ok(performance.now() - asked < deadlineMs)
    assert.ok(isFault(reason, 'no_leader'), String(reason))
    assert.deepEqual([reason.fault.reached, reason.fault.voters], [1, 3])
    for (const number of [leader, other]) assert.match(reason.message, new RegExp(`not reached: .*${newcomer(number).name}`))
  }
})
