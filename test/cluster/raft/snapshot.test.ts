/** Snapshots and compaction in the core. S1 to S12, M13 to M15 are bugs that others had; each test keeps one of them out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Raft } from '../../../cluster/raft/raft.ts'
import type { Entry, Message, Snapshot } from '../../../cluster/raft/types.ts'
import { configuration, createRaft, electionTicks, entries, flush, lead, normal, only, single } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])
const five = configuration(['a', 'b', 'c', 'd', 'e'])

/** A node whose log begins behind entry 5. */
function compacted(id: string, { log = entries([1, 1], 6), founding = three } = {}): Raft {
  return createRaft(id, { founding, truncated: { index: 5, term: 1 }, log, applied: 5, hardState: { commit: 5 } })
}

/** `a` leads, and `c` has nothing that is left of the log. */
function leaderWithoutTheBeginning(): Raft {
  const a = compacted('a')
  lead(a, ['b'])
  refuse(a, 7, 0)
  refuse(a, 5, 0)
  return a
}

function refuse(a: Raft, index: number, hintIndex: number): void {
  a.step({ type: 'append_reply', from: 'c', to: 'a', term: a.term, index, rejected: true, hintIndex, hintTerm: hintIndex && 1 })
}

function acknowledge(a: Raft, from: string, index: number): void {
  a.step({ type: 'append_reply', from, to: 'a', term: a.term, index, rejected: false })
}

function append(term: number, previous: readonly [number, number], sent: readonly Entry[], commit = 0): Message {
  return { type: 'append', from: 'a', to: 'b', term, previousIndex: previous[0], previousTerm: previous[1], entries: sent, commit }
}

function snapshot(index: number, term: number, at = 0): Snapshot {
  return { index, term, configuration: { index: at, configuration: at === 0 ? three : five } }
}

const progress = (a: Raft, id = 'c') => a.status().followers.find(follower => follower.id === id)

test('a follower behind the log is told once, and again with every sign of life: nothing else goes to it', () => {
  const a = leaderWithoutTheBeginning()
  const told = single(flush(a), 'snapshot', 'c')
  assert.equal(told.index, 5)
  a.propose(new Uint8Array(8))
  assert.deepEqual(only(flush(a), 'append', 'c'), [])
  a.step({ type: 'heartbeat_reply', from: 'c', to: 'a', term: a.term, token: 0 })
  assert.deepEqual(single(flush(a), 'snapshot', 'c'), told)
})

test('S1: a state that ends with the last entry ends the snapshot on an idle cluster', () => {
  const a = leaderWithoutTheBeginning()
  flush(a)
  acknowledge(a, 'b', 8)
  flush(a)
  acknowledge(a, 'c', 8)
  assert.deepEqual([progress(a)?.state, progress(a)?.match, progress(a)?.next], ['replicate', 8, 9])
  assert.deepEqual(only(flush(a), 'append', 'c'), [])
})

test('S2: however it got there, a follower that has what comes before the log is replicated to again', () => {
  const a = leaderWithoutTheBeginning()
  flush(a)
  acknowledge(a, 'c', 5)
  assert.deepEqual(
    a.ready().fetches.map(({ to, index }) => [to, index]),
    [['c', 6]]
  )
})

test('S3: a follower whose log is nearly current recovers by entries, though the beginning is compacted', () => {
  const a = compacted('a', { log: entries([1, 1, 1, 1], 6) })
  lead(a, ['b'])
  refuse(a, 9, 7)
  assert.equal(progress(a)?.state, 'probe')
  assert.deepEqual(
    a.ready().fetches.map(({ to, index }) => [to, index]),
    [['c', 8]]
  )
})

test('S4: a state takes the place of entries that contradict it, and leaves those that go on from it', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 1, 1, 2, 2]) })
  assert.deepEqual(b.install(snapshot(4, 2)), { term: 2, vote: null, commit: 4 })
  assert.deepEqual([b.status().lastIndex, b.status().commit, b.termAt(4), b.termAt(5), b.termAt(3)], [5, 4, 2, 2, undefined])

  const c = createRaft('c', { founding: three, log: entries([1, 1, 1, 2, 2]) })
  assert.ok(c.install(snapshot(4, 3)))
  assert.deepEqual([c.status().lastIndex, c.termAt(4), c.termAt(5)], [4, 3, undefined])
  c.step({ ...append(3, [4, 3], [normal(5, 3)], 5), to: 'c' })
  assert.deepEqual([c.status().lastIndex, c.status().commit], [5, 5])
  assert.deepEqual(c.ready().entries, [normal(5, 3)], 'what follows is written')
})

test('S4: acknowledgements of entries that are dropped die with them', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 1]) })
  b.step(append(1, [2, 1], entries([1, 1], 3)))
  assert.ok(b.install(snapshot(3, 2)))
  assert.deepEqual(
    only(flush(b), 'append_reply').map(({ index }) => index),
    [3]
  )
})

test('S5: a state that contradicts what is committed stops the peer; one that is older is of no use', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 1, 1, 1]), hardState: { commit: 3 } })
  assert.equal(b.install(snapshot(2, 1)), null)
  assert.equal(b.install(snapshot(3, 1)), null)
  assert.deepEqual([b.status().lastIndex, b.commit, b.termAt(1)], [4, 3, 1])
  assert.throws(() => b.install(snapshot(3, 2)), /never contradicts what is committed/)
})

test('S8: a state comes between two writes, and is acknowledged behind the next one', () => {
  const b = createRaft('b', { founding: three })
  b.step({ type: 'snapshot', from: 'a', to: 'b', term: 2, index: 10 })
  assert.equal(b.snapshotFrom, 'a')
  b.ready()
  assert.throws(() => b.install(snapshot(12, 2)), /between two writes/)
  b.advance()
  b.install(snapshot(12, 2))
  assert.equal(b.snapshotFrom, null)
  const { messages, afterPersist, commit, hardState } = b.ready()
  assert.deepEqual([messages, commit, hardState?.commit], [[], 12, 12])
  assert.equal(single(afterPersist, 'append_reply', 'a').index, 12)
})

test('S10: a lost announcement or link ends nothing: the follower is told again, and goes on where it is', () => {
  const a = leaderWithoutTheBeginning()
  flush(a)
  a.unreachable('c')
  assert.deepEqual([progress(a)?.state, only(flush(a), 'snapshot', 'c')], ['snapshot', []])
  a.step({ type: 'heartbeat_reply', from: 'c', to: 'a', term: a.term, token: 0 })
  assert.equal(only(flush(a), 'snapshot', 'c').length, 1)
  // A state older than the log's beginning is not enough: told again, from the right place.
  acknowledge(a, 'c', 3)
  assert.deepEqual([single(flush(a), 'snapshot', 'c').index, progress(a)?.match, progress(a)?.next], [5, 3, 4])
})

test('S12: an older state with a later term beside a newer one is of no use: what counts is how far it goes', () => {
  for (const log of [entries([2, 2], 21), []]) {
    const b = createRaft('b', { founding: three, truncated: { index: 20, term: 2 }, log, applied: 20, hardState: { commit: 20 } })
    for (const [index, term] of [
      [10, 5],
      [19, 9],
      [20, 2]
    ] as const) {
      assert.equal(b.install(snapshot(index, term)), null)
      assert.deepEqual([b.commit, b.status().lastIndex, b.termAt(20)], [20, 20 + log.length, 2])
    }
  }
})

test('a follower that has the state already says how much it has', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 1, 1]), hardState: { commit: 3 } })
  b.step({ type: 'snapshot', from: 'a', to: 'b', term: 2, index: 3 })
  assert.equal(b.snapshotFrom, null)
  assert.equal(single(flush(b), 'append_reply', 'a').index, 3)
})

test('what is asked of one leader is not asked of the next, nor once entries come after all', () => {
  const b = createRaft('b', { founding: three })
  const wanted: Message = { type: 'snapshot', from: 'a', to: 'b', term: 2, index: 10 }
  b.step(wanted)
  b.step({ ...wanted, from: 'c', term: 3 })
  assert.equal(b.snapshotFrom, 'c')
  b.step({ ...append(4, [0, 0], entries([4])), from: 'a' })
  assert.equal(b.snapshotFrom, null)
})

test('M13: the configuration is that of the state, and changes behind it stay', () => {
  const change: Entry = { index: 5, term: 1, type: 'configuration', configuration: five }
  const b = createRaft('b', { founding: three, log: [...entries([1, 1, 1, 1]), change] })
  b.install(snapshot(4, 1))
  assert.deepEqual([b.status().configurationIndex, b.configuration.members.length], [5, 5])

  const c = createRaft('c', { founding: three, log: [...entries([1, 1, 1, 1]), change] })
  c.install(snapshot(8, 2, 7))
  assert.deepEqual(
    c.configurations.map(({ index }) => index),
    [7]
  )
  assert.equal(c.configuration.members.length, 5)
})

test('M15: a node that is no member in the state it got asks for nothing more', () => {
  const b = createRaft('b', { founding: three })
  const without = { index: 6, configuration: configuration(['a', 'c']) }
  b.step({ type: 'snapshot', from: 'a', to: 'b', term: 2, index: 10 })
  b.install({ index: 10, term: 2, configuration: without })
  assert.equal(only(flush(b), 'append_reply', 'a').length, 1)
  for (let time = 0; time < 3 * electionTicks; time++) b.tick()
  assert.deepEqual([flush(b), b.role, b.snapshotFrom], [[], 'follower', null])
})

test('a leader installs nothing', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  assert.equal(a.install(snapshot(9, 1)), null)
  assert.equal(a.status().lastIndex, 1)
})

test('the log is cut up to what is applied and on disk, and never beyond', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 1, 2, 2, 3]), hardState: { commit: 4 }, applied: 4 })
  assert.deepEqual(b.compact(3), { index: 3, term: 2 })
  assert.equal(b.compact(3), null)
  assert.deepEqual([b.termAt(2), b.termAt(3), b.termAt(4), b.termAt(5)], [undefined, 2, 2, 3])
  assert.deepEqual(b.compact(100), { index: 4, term: 2 })
  assert.deepEqual([b.termAt(3), b.termAt(4), b.termAt(5), b.status().lastIndex], [undefined, 2, 3, 5])

  const c = createRaft('c', { founding: three })
  c.step({ ...append(1, [0, 0], entries([1, 1, 1]), 3), to: 'c' })
  c.ready()
  c.applied(3)
  assert.equal(c.compact(2), null, 'it is not on disk yet')
  c.advance()
  assert.deepEqual(c.compact(2), { index: 2, term: 1 })
})

test('S7: a log that is cut to its last entry goes on, votes and replicates by that entry', () => {
  const a = createRaft('a', { founding: three, log: entries([1, 2, 2]), hardState: { commit: 3 }, applied: 3 })
  assert.deepEqual(a.compact(3), { index: 3, term: 2 })
  assert.deepEqual([a.status().lastIndex, a.termAt(3)], [3, 2])
  const sent = lead(a, ['b'])
  const { previousIndex, previousTerm } = single(sent, 'append', 'b')
  assert.deepEqual([previousIndex, previousTerm], [3, 2])
  acknowledge(a, 'b', 4)
  assert.equal(a.commit, 4)
})
