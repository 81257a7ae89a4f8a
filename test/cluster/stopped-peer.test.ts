/** Folders whose peers do not run: exported as they are, and recovered from when the majority is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeOperation } from '../../cluster/state/operations.ts'
import { StoppedPeer } from '../../cluster/stopped-peer.ts'
import { isFault } from '../../src/errors.ts'
import { inline } from '../support/cids.ts'
import { TestPeers } from '../support/consensus.ts'
import { peerId } from '../support/newcomer.ts'
import { examplePin } from '../support/pins.ts'
import { collect, streamOf } from '../support/stream.ts'
import { until } from '../support/until.ts'

function openStopped(peers: TestPeers, number: number): Promise<StoppedPeer> {
  return StoppedPeer.open({
    self: { id: peerId(number), name: `p${number}` },
    dataFolder: peers.folderOf(number),
    store: { engine: 'leveldb' },
    factors: { min: -1, max: -1 }
  })
}

async function pin(peers: TestPeers, through: number, ...names: string[]): Promise<void> {
  for (const name of names) {
    const operation = encodeOperation({ type: 'pin', pin: { ...examplePin, cid: inline(name), name }, basedOn: 0 })
    await peers.get(through).consensus.propose(operation)
  }
}

async function cids(stopped: StoppedPeer): Promise<string[]> {
  return (await collect((await stopped.transfer.export()).pins)).map(({ name }) => name).sort()
}

/** Three peers that agreed on three pins, and do not run any more. */
async function stoppedThree(peers: TestPeers): Promise<void> {
  await Promise.all([1, 2, 3].map(number => peers.start(number, peers.found(1, 2, 3))))
  await until('a leader', () => peers.leader())
  await pin(peers, 1, 'a', 'b', 'c')
  await until('all have it', () => [...peers.peers.values()].every(({ pinset }) => pinset.count === 3))
  for (const number of [1, 2, 3]) await peers.get(number).kill()
}

test('the folder of a peer that was killed is exported with everything that is known to be committed, and says where its log ends', async () => {
  await using peers = await TestPeers.open()
  await stoppedThree(peers)
  await using stopped = await openStopped(peers, 2)
  assert.deepEqual(await cids(stopped), ['a', 'b', 'c'])
  const { clusterId, log, members, pins } = await stopped.contents()
  assert.deepEqual([clusterId, pins, members.length], ['test', 3, 3])
  assert.ok(log.lastTerm >= 1 && log.applied === log.commit && log.commit <= log.lastIndex)
})

test('a folder of several voters is not imported into', async () => {
  await using peers = await TestPeers.open()
  await stoppedThree(peers)
  await using stopped = await openStopped(peers, 1)
  const pins = streamOf([{ ...examplePin, cid: inline('d') }])
  await assert.rejects(
    collect(stopped.transfer.import(pins)),
    error => isFault(error, 'refused') && /3 peers have a vote/.test(error.message)
  )
  assert.deepEqual(await cids(stopped), ['a', 'b', 'c'])
})

test('a survivor goes on alone with all it has, in another cluster, and others join it', async () => {
  await using peers = await TestPeers.open()
  await stoppedThree(peers)
  {
    await using stopped = await openStopped(peers, 3)
    const before = await stopped.contents()
    await stopped.recover()
    const after = await stopped.contents()
    assert.notEqual(after.clusterId, before.clusterId)
    assert.deepEqual(
      after.members.map(({ id, isVoter }) => [id, isVoter]),
      [[peerId(3), true]]
    )
    assert.ok(after.log.lastTerm > before.log.lastTerm)
    assert.deepEqual([after.pins, after.stateHash], [before.pins, before.stateHash])
    assert.match(after.notes[0]?.text ?? '', /^recovered from cluster test at term \d+, index \d+ .* without p1, p2$/)
    await assert.rejects(stopped.recover(), error => isFault(error, 'refused') && /needs no recovery/.test(error.message))
  }
  const survivor = await peers.start(3, peers.found(1, 2, 3))
  await until('it leads', () => survivor.consensus.status().role === 'leader')
  await pin(peers, 3, 'd')
  const newcomer = await peers.start(4, peers.join(3))
  await until(
    'it has all, and a vote',
    () => newcomer.pinset.count === 4 && survivor.consensus.status().members.every(({ isVoter }) => isVoter)
  )
  assert.equal(newcomer.consensus.status().clusterId, survivor.consensus.status().clusterId)
  assert.equal(newcomer.pinset.hash, survivor.pinset.hash)
  await pin(peers, 4, 'e')
  for (const number of [3, 4]) await peers.get(number).kill()
  await using stopped = await openStopped(peers, 4)
  assert.equal((await stopped.contents()).notes.length, 1, 'the note is part of the state')
})

test('a folder of another peer is refused, and an empty one has nothing', async () => {
  await using peers = await TestPeers.open()
  await stoppedThree(peers)
  const settings = {
    self: { id: peerId(2), name: '' },
    dataFolder: peers.folderOf(1),
    store: { engine: 'leveldb' },
    factors: { min: 1, max: 1 }
  } as const
  await assert.rejects(StoppedPeer.open(settings), error => isFault(error, 'cannot_start'))
  await using empty = await openStopped(peers, 9)
  await assert.rejects(empty.contents(), error => isFault(error, 'refused'))
  await assert.rejects(empty.recover(), error => isFault(error, 'refused'))
})
