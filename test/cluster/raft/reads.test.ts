/** Linearizable reads. R1 to R9 are bugs that others had; each test keeps one of them out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Raft } from '../../../cluster/raft/raft.ts'
import { configuration, createRaft, electionTicks, flush, Group, lead, only } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])

function acknowledge(raft: Raft, from: string, index: number): void {
  raft.step({ type: 'append_reply', from, to: 'a', term: raft.status().term, index, rejected: false })
}

function answer(raft: Raft, from: string, token: number): void {
  raft.step({ type: 'heartbeat_reply', from, to: 'a', term: raft.status().term, token })
}

/** `a` leads `founding`, and has committed its first entry. */
function leader(founding = three): Raft {
  const a = createRaft('a', { founding })
  const others = founding.members.filter(({ id, isVoter }) => isVoter && id !== 'a').map(({ id }) => id)
  lead(a, others)
  for (const from of others) acknowledge(a, from, 1)
  flush(a)
  return a
}

/** The round that the heartbeats of now begin. */
function roundOf(raft: Raft): number {
  const tokens = new Set(only(flush(raft), 'heartbeat').map(({ token }) => token))
  assert.equal(tokens.size, 1)
  return [...tokens][0] ?? 0
}

test('a read is confirmed at the commit index once a majority has answered a round that began behind it', () => {
  const a = leader()
  assert.equal(a.read(1), null)
  const round = roundOf(a)
  assert.deepEqual(a.released(), [])
  answer(a, 'b', round)
  assert.deepEqual(a.released(), [{ id: 1, index: 1 }])
  assert.deepEqual(a.released(), [], 'once')
})

test('reads that come together share a round; one that comes later waits for the next', () => {
  const a = leader()
  a.read(1)
  a.read(2)
  const first = roundOf(a)
  a.read(3)
  const second = roundOf(a)
  assert.ok(second > first)
  answer(a, 'b', first)
  assert.deepEqual(
    a.released().map(({ id }) => id),
    [1, 2]
  )
  answer(a, 'c', second)
  assert.deepEqual(
    a.released().map(({ id }) => id),
    [3]
  )
})

test('a voter alone confirms its reads itself', () => {
  const alone = createRaft('a', { founding: configuration(['a']) })
  lead(alone, [])
  alone.read(1)
  flush(alone)
  assert.deepEqual(alone.released(), [{ id: 1, index: 1 }])
})

test('R1: a new leader holds reads back until it has committed an entry of its own term', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b', 'c'])
  a.read(1)
  const round = roundOf(a)
  for (const from of ['b', 'c']) answer(a, from, round)
  assert.deepEqual(a.released(), [])
  acknowledge(a, 'b', 1)
  assert.deepEqual(a.released(), [{ id: 1, index: 1 }])
})

test('R2: late and repeated answers of an earlier round never confirm a later read', () => {
  const a = leader()
  a.read(1)
  const first = roundOf(a)
  a.read(1)
  flush(a)
  for (let time = 0; time < 3; time++) for (const from of ['b', 'c']) answer(a, from, first)
  assert.deepEqual(a.released(), [{ id: 1, index: 1 }], 'the first one alone')
})

test('R2: rounds go on counting from one leadership to the next', () => {
  const group = new Group(three)
  group.elect('a')
  group.raft('a').read(1)
  group.run()
  const before = only(group.sent, 'heartbeat').findLast(({ from }) => from === 'a')?.token ?? 0
  assert.equal(group.raft('a').transfer('b'), null)
  group.run()
  assert.equal(group.raft('b').transfer('a'), null)
  group.run()
  group.raft('a').read(2)
  group.run()
  assert.ok((only(group.sent, 'heartbeat').findLast(({ from }) => from === 'a')?.token ?? 0) > before)
})

test('R3: a leader that hands over confirms a read only by a majority, as ever, and none once it has stepped down', () => {
  const group = new Group(three)
  group.elect('a')
  group.propose('a', 'before')
  group.isolate('a')
  assert.equal(group.raft('a').transfer('b'), null)
  group.raft('a').read(1)
  group.tick(2 * electionTicks)
  group.heal()
  group.tick(2 * electionTicks)
  assert.deepEqual(group.raft('a').released(), [])
})

test('R6: there is no lease: a leader that was confirmed a moment ago asks a majority again, and one that hears none leads no longer', () => {
  const a = leader()
  a.read(1)
  answer(a, 'b', roundOf(a))
  assert.equal(a.released().length, 1)
  a.read(2)
  flush(a)
  for (let tick = 1; tick < electionTicks; tick++) {
    a.tick()
    flush(a)
    assert.deepEqual([a.status().role, a.released()], ['leader', []])
  }
  // A check of the quorum counts what was heard since the one before.
  for (let tick = 0; tick < electionTicks + 1; tick++) a.tick()
  assert.equal(a.status().role, 'follower')
  assert.equal(a.read(3), 'not_leader')
})

test('R7: learners do not count, and a majority is of the voters of now', () => {
  const a = leader(configuration(['a', 'b', 'c'], ['d', 'e']))
  a.read(1)
  const round = roundOf(a)
  for (const from of ['d', 'e']) answer(a, from, round)
  assert.deepEqual(a.released(), [])
  answer(a, 'c', round)
  assert.deepEqual(a.released(), [{ id: 1, index: 1 }])
})

test('R7: four voters need three', () => {
  const a = leader(configuration(['a', 'b', 'c', 'd']))
  a.read(1)
  const round = roundOf(a)
  answer(a, 'b', round)
  assert.deepEqual(a.released(), [])
  answer(a, 'c', round)
  assert.equal(a.released().length, 1)
})

test('R9: whoever does not lead refuses a read, and one that is deposed forgets what it was asked', () => {
  const a = leader()
  a.read(1)
  const round = roundOf(a)
  a.step({ type: 'heartbeat', from: 'b', to: 'a', term: 2, commit: 0, token: 1 })
  answer(a, 'c', round)
  assert.deepEqual(a.released(), [])
  assert.equal(a.read(2), 'not_leader')
})

test('R10: a read is confirmed while a write is outstanding', () => {
  const a = leader()
  a.propose(new Uint8Array(3))
  a.ready()
  a.read(1)
  const token = only(a.outgoing(), 'heartbeat')[0]?.token ?? 0
  answer(a, 'b', token)
  assert.deepEqual(a.released(), [{ id: 1, index: 1 }])
})
