import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handOver } from '../../../cluster/consensus/hand-over.ts'
import type { FollowerProgress, RaftStatus } from '../../../cluster/raft/types.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import { systemClock } from '../../../src/clock.ts'
import { TestPeers } from '../../support/consensus.ts'
import { hasAll, pin, three } from '../../support/consensus-pins.ts'
import { silent } from '../../support/network.ts'
import { StallingStore } from '../../support/store.ts'
import { until } from '../../support/until.ts'

const others = (leader: number) => [1, 2, 3].filter(number => number !== leader)
const inTime = () => ({ signal: AbortSignal.timeout(5_000) })

test('a leader that hands over under load leads no more when it returns, and nobody who waits gets an error', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  const names = Array.from({ length: 300 }, (_, index) => `load-${index}`)
  const load = Promise.all(names.map((name, index) => pin(peers.get(1 + (index % 3)), name)))
  const { term } = peers.get(leader).consensus.status()
  await peers.get(leader).consensus.handOver(inTime())
  const status = peers.get(leader).consensus.status()
  assert.equal(status.role, 'follower')
  assert.equal(status.term, term + 1)
  assert.ok(others(leader).some(number => peers.get(number).id === status.leader))
  await load
  for (const peer of peers.peers.values()) await until('all pins', () => hasAll(peer, names))
  assert.deepEqual(peers.fatal, [])
})

test('a leader without anybody to hand over to, and a peer that does not lead, return at once', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  const [first, second] = others(leader) as [number, number]
  await peers.get(first).consensus.handOver(inTime())
  for (const number of [first, second]) await peers.get(number).kill()
  await peers.get(leader).consensus.handOver(inTime())
  assert.equal(peers.get(leader).consensus.status().role, 'leader')
})

test('what was given to a leader that nobody hears is given to the next one, and applied once', async () => {
  await using peers = await TestPeers.open()
  await three(peers)
  const leader = peers.leader()!
  for (const number of others(leader)) peers.network.cut(peers.get(leader).id, peers.get(number).id)
  const names = ['lost-1', 'lost-2', 'lost-3']
  const answers = Promise.all(names.map(name => pin(peers.get(leader), name)))
  const next = await until('another leader', () => others(leader).find(number => peers.get(number).consensus.status().role === 'leader'))
  await pin(peers.get(next), 'meanwhile')
  peers.network.heal()
  const places = await answers
  assert.equal(new Set(places).size, names.length)
  for (const peer of peers.peers.values()) await until('all pins', () => hasAll(peer, [...names, 'meanwhile']))
  for (const peer of peers.peers.values()) assert.equal(peer.pinset.count, names.length + 1)
  assert.deepEqual(peers.fatal, [])
})

test('a leader whose disk takes no writes gives leadership away: the others go on, and it follows when the disk is back', async () => {
  await using peers = await TestPeers.open()
  const disks = new Map<number, StallingStore>()
  for (const number of [1, 2, 3]) {
    const store = new StallingStore(await openStore(peers.folderOf(number), { engine: 'leveldb' }))
    disks.set(number, store)
    await peers.start(number, peers.found(1, 2, 3), { store })
  }
  const leader = await until('a leader', () => peers.leader())
  const names = Array.from({ length: 50 }, (_, index) => `load-${index}`)
  await pin(peers.get(leader), 'before')
  disks.get(leader)?.stall()
  using _goesOn = { [Symbol.dispose]: () => disks.get(leader)?.goOn() }
  const sinceMs = performance.now()
  const load = Promise.all(names.map((name, index) => pin(peers.get(others(leader)[index % 2] as number), name)))
  const next = await until('another leader', () => others(leader).find(number => peers.get(number).consensus.status().role === 'leader'))
  await load
  // Twice the election timeout of these peers, and some more of a busy machine.
  assert.ok(performance.now() - sinceMs < 3_000, `${performance.now() - sinceMs} ms`)
  assert.notEqual(peers.get(leader).consensus.status().role, 'leader')
  disks.get(leader)?.goOn()
  for (const peer of peers.peers.values()) await until('all pins', () => hasAll(peer, ['before', ...names]))
  assert.equal(peers.get(next).consensus.status().members.length, 3)
  assert.deepEqual(peers.fatal, [])
})

test('one that needs the whole state is asked last', async () => {
  const asked: string[] = []
  const follower = { next: 1, isVoter: true }
  const followers: FollowerProgress[] = [
    { ...follower, id: 'behind', match: 3, state: 'snapshot', isActive: true },
    { ...follower, id: 'quiet', match: 9, state: 'replicate', isActive: false },
    { ...follower, id: 'active', match: 8, state: 'replicate', isActive: true }
  ]
  const core = () => ({ role: 'leader', leader: 'self', transferTo: null, followers }) as unknown as RaftStatus // only these are looked at
  const transfer = (to: string) => {
    asked.push(to)
    return null
  }
  const rpc = { isConnected: () => true }
  await handOver({ rpc, clock: systemClock, log: silent, core, transfer }, inTime())
  assert.deepEqual(asked, ['active', 'quiet', 'behind'])
})
