import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../../src/errors.ts'
import { TestPeers } from '../../support/consensus.ts'
import { hasAll, pin, three } from '../../support/consensus-pins.ts'
import { until } from '../../support/until.ts'

test('a pin proposed at any peer is applied at the proposer when it is answered, and soon at all', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  for (const number of [1, 2, 3]) {
    await pin(peers.get(number), `at-${number}`)
    assert.ok(await hasAll(peers.get(number), [`at-${number}`]))
  }
  for (const peer of peers.peers.values()) await until('all pins everywhere', () => hasAll(peer, ['at-1', 'at-2', 'at-3']))
  assert.deepEqual(peers.fatal, [])
})

test('many proposals at once share batches and are all applied', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const names = Array.from({ length: 600 }, (_, index) => `many-${index}`)
  await Promise.all(names.map((name, index) => pin(peers.get(1 + (index % 3)), name)))
  for (const peer of peers.peers.values()) await until('all pins everywhere', () => peer.pinset.count === names.length)
})

test('the leader dies under load: every answered pin is on the others, and nobody got an error', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  const other = [1, 2, 3].find(number => number !== leader)!
  const answered: string[] = []
  for (let index = 0; index < 60; index++) {
    if (index === 20) await peers.get(leader).kill()
    await pin(peers.get(other), `load-${index}`)
    answered.push(`load-${index}`)
  }
  for (const peer of peers.peers.values()) await until('all answered pins', () => hasAll(peer, answered))
  await peers.start(leader, peers.found(1, 2, 3))
  await until('the killed peer catches up', () => hasAll(peers.get(leader), answered))
  assert.deepEqual(peers.fatal, [])
})

test('all peers die and come back with everything that was answered', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const names = Array.from({ length: 50 }, (_, index) => `all-${index}`)
  await Promise.all(names.map(name => pin(peers.get(2), name)))
  await Promise.all([1, 2, 3].map(number => peers.get(number).kill()))
  await three(peers)
  for (const peer of peers.peers.values()) await until('all answered pins', () => hasAll(peer, names))
  // The last entry that it found may be of the leader's, behind the pins.
  await until('it to be ready', () => peers.get(1).consensus.status().isReady)
})

test('a peer joins through a follower, gets its vote, and serves reads only once it has caught up', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  await Promise.all(Array.from({ length: 200 }, (_, index) => pin(peers.get(1), `before-${index}`)))
  const follower = [1, 2, 3].find(number => number !== peers.leader())!
  const joined = await peers.start(4, peers.join(follower))
  await until('the newcomer is ready', () => joined.consensus.status().isReady)
  assert.equal(joined.pinset.count, 200)
  await until('the newcomer is a voter for all', () =>
    [...peers.peers.values()].every(({ consensus }) => consensus.status().members.filter(({ isVoter }) => isVoter).length === 4)
  )
  await pin(joined, 'through the newcomer')
})

test('nine peers join a cluster of one at the same time', async () => {
  await using peers = await TestPeers.open()
  await peers.start(1, peers.found(1))
  await pin(peers.get(1), 'alone')
  const newcomers = [2, 3, 4, 5, 6, 7, 8, 9, 10]
  await Promise.all(newcomers.map(number => peers.start(number, peers.join(1))))
  await until('ten voters', () =>
    [...peers.peers.values()].every(({ consensus }) => consensus.status().members.filter(({ isVoter }) => isVoter).length === 10)
  )
  // The founder is not needed any more.
  await peers.get(1).kill()
  await pin(peers.get(4), 'without the first')
})

test('a founder that was away while another peer joined and came to lead is taken in by it', async () => {
  await using peers = await TestPeers.open()
  const founders = peers.found(1, 2, 3)
  await Promise.all([1, 2].map(number => peers.start(number, founders)))
  await until('a leader', () => peers.leader())
  await peers.start(4, peers.join(1))
  await until(
    'three voters and the one that is away',
    () =>
      peers
        .get(4)
        .consensus.status()
        .members.filter(({ isVoter }) => isVoter).length === 4
  )
  await pin(peers.get(4), 'while 3 is away')
  // Of four voters three are needed: with 1 gone, they are 2, 4 and 3, which has never heard of 4.
  await peers.get(1).kill()
  const late = await peers.start(3, founders)
  peers.network.cut(peers.get(2).id, late.id)
  await until('4 leads', () => peers.leader() === 4)
  await until('the late founder has what it missed', () => hasAll(late, ['while 3 is away']))
})

test('without a majority a proposal ends as no_leader or unknown, and is never answered as done', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  const alone = [1, 2, 3].find(number => number !== leader)!
  // Who has not heard of the leader yet may do so from a message that is still on its way when the leader dies.
  await until('it knows the leader', () => peers.get(alone).consensus.status().leader !== null)
  await Promise.all([1, 2, 3].filter(number => number !== alone).map(number => peers.get(number).kill()))
  await until('it forgets the leader', () => peers.get(alone).consensus.status().leader === null)
  await assert.rejects(pin(peers.get(alone), 'lost'), error => isFault(error, 'no_leader') && /1 of 3 voters/.test(error.message))
})

test('a folder of another peer is refused', async () => {
  await using peers = await TestPeers.open()
  const one = await peers.start(1, peers.found(1))
  const { store } = one
  await assert.rejects(
    peers.start(2, peers.found(2), { store }),
    error => isFault(error, 'cannot_start') && /belongs to peer/.test(error.message)
  )
})
