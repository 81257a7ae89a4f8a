/** Export and import through real consensus of three peers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Transfer } from '../../cluster/transfer.ts'
import { systemClock } from '../../src/clock.ts'
import { ClusterError, type Fault, isFault } from '../../src/errors.ts'
import type { Abortable } from '../../src/lifetime.ts'
import type { ImportOptions, PeerId, Pin } from '../../src/types.ts'
import { inline } from '../support/cids.ts'
import { type TestPeer, TestPeers } from '../support/consensus.ts'
import { examplePin } from '../support/pins.ts'
import { collect, streamOf } from '../support/stream.ts'
import { until } from '../support/until.ts'

async function three(): Promise<TestPeers> {
  const peers = await TestPeers.open()
  await Promise.all([1, 2, 3].map(number => peers.start(number, peers.found(1, 2, 3))))
  await until('a leader', () => peers.leader())
  return peers
}

function transferOf({ consensus, pinset }: TestPeer, { full = [] }: { full?: readonly PeerId[] } = {}): Transfer {
  const candidates = () => consensus.status().members.map(({ id }) => ({ id, isAlive: true, freeBytes: full.includes(id) ? 0 : 1_000 }))
  return new Transfer({ consensus, pinset, clock: systemClock, candidates, requireState: () => {} }, { min: 2, max: 2 })
}

function pins(from: number, to: number, changes: Partial<Pin> = {}): Pin[] {
  return Array.from({ length: to - from }, (_, at) => ({
    ...examplePin,
    cid: inline(`import-${from + at}`),
    name: `pin ${from + at}`,
    ...changes
  }))
}

async function imported(transfer: Transfer, given: Iterable<Pin>, options: ImportOptions = {}) {
  return (await collect(transfer.import(streamOf(given), options))).at(-1)
}

test('thousands of pins take a few entries, are on every peer, and come out as they went in', async () => {
  await using peers = await three()
  const given = pins(0, 5_000, { metadata: { k: 'v' } })
  const follower = peers.get([1, 2, 3].find(number => number !== peers.leader()) ?? 0)
  const before = follower.consensus.status().commit
  assert.deepEqual(await imported(transferOf(follower), given), { pins: 5_000, added: 5_000, replaced: 0, unchanged: 0, done: true })
  assert.ok(follower.consensus.status().commit - before <= 20)
  await until('all have all', () => [...peers.peers.values()].every(({ pinset }) => pinset.count === 5_000))
  for (const peer of peers.peers.values()) {
    const exported = await collect((await transferOf(peer).export()).pins)
    const byCid = new Map(exported.map(pin => [pin.cid, { ...pin, version: 0 }]))
    assert.deepEqual(
      given.map(({ cid }) => byCid.get(cid)),
      given
    )
  }
})

test('an import that is given again goes on where it was cut off, and touches nothing that is there', async () => {
  await using peers = await three()
  const peer = peers.get(1)
  const given = pins(0, 2_000)
  const broken = async function* () {
    yield* given.slice(0, 1_200)
    throw new ClusterError({ code: 'invalid' }, 'line 1201: it is not a JSON document')
  }
  await assert.rejects(collect(transferOf(peer).import(broken())), /line 1201/)
  assert.equal(peer.pinset.count, 1_000, 'what was sent before the mistake is agreed')
  const version = (await peer.pinset.get(inline('import-7')))?.version
  const outcome = await imported(transferOf(peer), given)
  assert.deepEqual([outcome?.added, outcome?.unchanged, outcome?.replaced], [1_000, 1_000, 0])
  assert.equal((await peer.pinset.get(inline('import-7')))?.version, version)
})

test('the leader may die in between: nothing is lost, nothing comes twice', async () => {
  await using peers = await three()
  const leader = peers.leader() ?? 0
  const peer = peers.get([1, 2, 3].find(number => number !== leader) ?? 0)
  const given = pins(0, 6_000)
  const deadly = async function* () {
    yield* given.slice(0, 3_000)
    await peers.get(leader).kill()
    yield* given.slice(3_000)
  }
  const last = (await collect(transferOf(peer).import(deadly()))).at(-1)
  assert.equal(last?.pins, 6_000)
  assert.equal(peer.pinset.count, 6_000)
})

test('allocations that fit stay; others are made of members, the same ones the next time', async () => {
  await using peers = await three()
  const peer = peers.get(1)
  const transfer = transferOf(peer)
  const [one, two, three_] = peer.consensus
    .status()
    .members.map(({ id }) => id)
    .sort() as [PeerId, PeerId, PeerId]
  const stranger = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN' as PeerId
  const asked = { replicationMin: 2, replicationMax: 2 }
  const [fits] = pins(0, 1, { ...asked, allocations: [one, three_] })
  const foreign = pins(1, 31, { ...asked, allocations: [stranger, stranger] })
  const [everywhere] = pins(31, 32, { allocations: [stranger] })
  const [silent] = pins(32, 33, { replicationMin: 0, replicationMax: 0 })
  assert.ok(fits && everywhere && silent)
  const given = [fits, ...foreign, everywhere, silent]
  await imported(transfer, given)
  assert.deepEqual((await peer.pinset.get(fits.cid))?.allocations, [one, three_])
  assert.deepEqual((await peer.pinset.get(everywhere.cid))?.allocations, [])
  const made = await peer.pinset.get(silent.cid)
  assert.deepEqual([made?.replicationMin, made?.allocations.length], [2, 2], 'the defaults of the configuration')
  const holders = await Promise.all(foreign.map(async ({ cid }) => (await peer.pinset.get(cid))?.allocations ?? []))
  for (const some of holders) assert.equal(some.filter(id => [one, two, three_].includes(id)).length, 2)
  for (const id of [one, two, three_])
    assert.ok(
      holders.some(some => some.includes(id)),
      'no peer is passed over'
    )
  const again = await imported(transferOf(peer, { full: [one] }), given)
  assert.equal(again?.unchanged, given.length, 'a peer that became full keeps what it holds')
})

test('factors of the import go over those of the pins, and pins that may not be restored in full get as many copies as there are peers', async () => {
  await using peers = await three()
  const peer = peers.get(1)
  const [pin] = pins(0, 1)
  await imported(transferOf(peer), [pin as Pin], { replicationMin: 5, replicationMax: 7 })
  const found = await peer.pinset.get(pin?.cid ?? inline(''))
  assert.deepEqual([found?.replicationMin, found?.replicationMax, found?.allocations.length], [5, 7, 3])
  const full = peer.consensus.status().members.map(({ id }) => id)
  await assert.rejects(imported(transferOf(peer, { full }), pins(1, 2), { replicationMin: 1, replicationMax: 1 }), error =>
    isFault(error, 'not_enough_peers')
  )
})

test('an entry that is refused, or of which nobody knows what became, is given again', async () => {
  await using peers = await three()
  const peer = peers.get(1)
  const refusals: Fault[] = [
    { code: 'overloaded', retryAfterMs: 1 },
    { code: 'no_leader', voters: 3, reached: 1 },
    { code: 'outcome_unknown' }
  ]
  const propose = (data: Uint8Array, options?: Abortable) => {
    const fault = refusals.shift()
    return fault ? Promise.reject(new ClusterError(fault, 'not now')) : peer.consensus.propose(data, options)
  }
  const consensus = { propose, readBarrier: async () => {} }
  const parts = { consensus, pinset: peer.pinset, clock: systemClock, candidates: () => [], requireState: () => {} }
  assert.equal((await imported(new Transfer(parts, { min: -1, max: -1 }), pins(0, 10)))?.added, 10)
  assert.equal(refusals.length, 0)
})

test('who leaves an import ends it', async () => {
  await using peers = await three()
  const transfer = transferOf(peers.get(1))
  let given = 0
  const endless = async function* () {
    for (;;) yield* pins(given, ++given)
  }
  for await (const { pins } of transfer.import(endless())) if (pins > 0) break
  const stopped = given
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(given, stopped)
})
