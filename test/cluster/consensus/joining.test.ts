import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import { isFault } from '../../../src/errors.ts'
import { TestPeers } from '../../support/consensus.ts'
import { hasAll, pin, three } from '../../support/consensus-pins.ts'
import { newcomer } from '../../support/newcomer.ts'
import { until } from '../../support/until.ts'

const notAgreed = (error: unknown) => isFault(error, 'no_leader') || isFault(error, 'outcome_unknown')

test('peers that come back one by one wait for each other, and go on once a majority is there', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  await pin(peers.get(1), 'before')
  for (const number of [1, 2, 3]) await peers.get(number).kill()
  const founders = peers.found(1, 2, 3)
  const first = await peers.start(1, founders)
  await assert.rejects(pin(first, 'alone'), notAgreed)
  await peers.start(2, founders)
  await until('a leader', () => peers.leader())
  await pin(first, 'two of three')
  const last = await peers.start(3, founders)
  await until('the last one has everything', () => hasAll(last, ['before', 'two of three']))
  assert.deepEqual(peers.fatal, [])
})

test('a newcomer that comes while nobody leads waits, and is let in once somebody does', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  await peers.get(2).kill()
  await peers.get(3).kill()
  await assert.rejects(pin(peers.get(1), 'nobody leads'), notAgreed)
  let isIn = false
  const joining = peers.start(4, peers.join(1)).then(peer => {
    isIn = true
    return peer
  })
  await assert.rejects(pin(peers.get(1), 'still nobody'), notAgreed)
  assert.equal(isIn, false)
  await peers.start(2, peers.found(1, 2, 3))
  const joined = await joining
  await until('it is ready', () => joined.consensus.status().isReady)
  await pin(joined, 'through the newcomer')
})

test('a peer that was added and never comes costs no majority, and can be taken out again', async () => {
  await using peers = await TestPeers.open()
  const founder = await peers.start(1, peers.found(1))
  await founder.consensus.addMember(newcomer(2))
  assert.deepEqual(
    founder.consensus.status().members.map(({ isVoter }) => isVoter),
    [true, false]
  )
  await pin(founder, 'without the newcomer')
  await founder.consensus.removeMember(newcomer(2).id)
  assert.equal(founder.consensus.status().members.length, 1)
})

test('a peer that lost its data is not let in under its old name, and is told how to come back', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  await pin(peers.get(1), 'acknowledged')
  const [lost, through] = peers.leader() === 3 ? [2, 1] : [3, 1]
  await peers.get(lost).kill()
  await rm(peers.folderOf(lost), { recursive: true })
  await assert.rejects(
    peers.start(lost, peers.join(through)),
    error => isFault(error, 'cannot_start') && /comes with an empty data folder.*new identity.*join as a new peer/.test(error.message)
  )
  await pin(peers.get(through), 'goes on')
})
