import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../../src/errors.ts'
import { TestPeers } from '../../support/consensus.ts'
import { pin, three } from '../../support/consensus-pins.ts'
import { until } from '../../support/until.ts'

for (const whom of [
  'a follower, through the leader',
  'a follower, through itself',
  'the leader, through a follower',
  'the leader, through itself'
]) {
  test(`a peer is removed, ${whom}: the others go on, and it learns so and stands by`, async () => {
    await using peers = await TestPeers.open()
    await three(peers)
    await pin(peers.get(1), 'before')
    const leader = peers.leader()!
    const follower = [1, 2, 3].find(number => number !== leader)!
    const removed = whom.startsWith('the leader') ? leader : follower
    const through = whom.endsWith('itself') ? removed : removed === leader ? follower : leader
    await peers.get(through).consensus.removeMember(peers.get(removed).id)
    const left = [1, 2, 3].filter(number => number !== removed)
    for (const number of left) await until('two members', () => peers.get(number).consensus.status().members.length === 2)
    for (const number of left) await pin(peers.get(number), `behind-${number}`)
    const { consensus } = peers.get(removed)
    await until('it knows', () => consensus.status().removedAt !== null)
    assert.equal(consensus.status().isReady, false)
    const refused = (error: unknown) => isFault(error, 'not_ready') && error.message.includes('removed')
    await assert.rejects(pin(peers.get(removed), 'no more'), refused)
    await assert.rejects(consensus.readBarrier(), refused)
    const { term } = peers.get(left[0]!).consensus.status()
    assert.deepEqual(
      left.map(number => peers.get(number).consensus.status().term),
      [term, term],
      'it disturbs nobody'
    )
    assert.deepEqual(peers.fatal, [])
  })
}

test('a peer that was away when it was removed learns so when it is back', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  const away = [1, 2, 3].find(number => number !== leader)!
  const { id } = peers.get(away)
  await peers.get(away).kill()
  await peers.get(leader).consensus.removeMember(id)
  await peers.get(leader).consensus.removeMember(id)
  const back = await peers.start(away, peers.found(1, 2, 3))
  const at = await until('it knows', () => back.consensus.status().removedAt)
  assert.equal(at, peers.get(leader).consensus.status().commit)
  await assert.rejects(back.consensus.addMember({ id, name: 'again', addresses: [] }), error => isFault(error, 'not_ready'))
})

test('the last peer with a vote is not removed', async () => {
  await using peers = await TestPeers.open()
  await peers.start(1, peers.found(1))
  await until('a leader', () => peers.leader())
  const { consensus, id } = peers.get(1)
  await assert.rejects(consensus.removeMember(id), error => isFault(error, 'refused'))
  await pin(peers.get(1), 'goes on')
})
