/** Replication and commit. E16, D1 to D20 and F1 to F10 are bugs that others had; each test keeps one of them out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Raft } from '../../../cluster/raft/raft.ts'
import type { Entry, Message } from '../../../cluster/raft/types.ts'
import { configuration, createRaft, electionTicks, entries, flush, Group, lead, normal, only, single } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])

/** An append from the leader `a` to `b`. */
function append(term: number, previous: readonly [number, number], sent: readonly Entry[], commit = 0): Message {
  return { type: 'append', from: 'a', to: 'b', term, previousIndex: previous[0], previousTerm: previous[1], entries: sent, commit }
}

function acknowledge(a: Raft, from: string, index: number): void {
  a.step({ type: 'append_reply', from, to: 'a', term: a.status().term, index, rejected: false })
}

function refuse(a: Raft, from: string, index: number, hintIndex: number, hintTerm: number): void {
  a.step({ type: 'append_reply', from, to: 'a', term: a.status().term, index, rejected: true, hintIndex, hintTerm })
}

function propose(a: Raft, times = 1, size = 8): void {
  for (let time = 0; time < times; time++) assert.ok('index' in a.propose(new Uint8Array(size)))
}

function heartbeatReply(a: Raft, from: string): void {
  a.step({ type: 'heartbeat_reply', from, to: 'a', term: a.status().term, token: 0 })
}

test('E16: an entry of an earlier term is never committed by counting, only together with one of the own term (figure 8)', () => {
  const a = createRaft('a', { founding: configuration(['a', 'b', 'c', 'd', 'e']), log: entries([1, 2]), hardState: { term: 3 } })
  const sent = lead(a, ['b', 'c'])
  assert.deepEqual(single(sent, 'append', 'b').entries, [{ index: 3, term: 4, type: 'empty' }])
  acknowledge(a, 'b', 2)
  acknowledge(a, 'c', 2)
  assert.equal(a.status().commit, 0)
  acknowledge(a, 'b', 3)
  acknowledge(a, 'c', 3)
  assert.equal(a.status().commit, 3)
})

test('D1: an append that was overtaken drops nothing, a real conflict drops the rest', () => {
  const b = createRaft('b', { founding: three, log: entries(Array(10).fill(1)) })
  b.step(append(1, [3, 1], entries([1, 1, 1], 4)))
  assert.equal(b.status().lastIndex, 10)
  b.step(append(2, [5, 1], entries([2], 6)))
  assert.equal(b.status().lastIndex, 6)
  const { entries: written } = b.ready()
  assert.deepEqual(written, entries([2], 6))
})

test('D2: a write that ends late does not make durable what replaced its entries meanwhile', () => {
  const a = createRaft('a', { founding: three, settings: { random: () => 9 } })
  lead(a, ['b'])
  propose(a, 4)
  a.ready()
  const { term, lastIndex } = a.status()
  assert.equal(lastIndex, 5)
  a.step({ type: 'append', from: 'c', to: 'a', term: term + 1, previousIndex: 0, previousTerm: 0, entries: entries([2, 2]), commit: 0 })
  a.advance()
  const sent = a.ready()
  assert.deepEqual(sent.entries, entries([2, 2]), 'they are written again')
  assert.deepEqual(
    sent.afterPersist.map(message => message.type === 'append_reply' && [message.index, message.term]),
    [[2, term + 1]]
  )
  a.advance()
  lead(a, ['b'])
  acknowledge(a, 'b', 2)
  assert.equal(a.status().commit, 0)
})

test('D2: acknowledgements that wait for a write die with the term they were meant for', () => {
  const b = createRaft('b', { founding: three })
  b.ready()
  b.step(append(1, [0, 0], entries([1, 1])))
  b.step({ ...append(2, [0, 0], entries([2])), from: 'c' })
  b.advance()
  const replies = only(b.ready().afterPersist, 'append_reply')
  assert.deepEqual(
    replies.map(({ to, term, index }) => ({ to, term, index })),
    [{ to: 'c', term: 2, index: 1 }]
  )
})

test('D16: an append from before what is compacted matches', () => {
  const b = createRaft('b', {
    founding: three,
    truncated: { index: 5, term: 1 },
    log: entries([1, 1], 6),
    applied: 5,
    hardState: { commit: 5 }
  })
  b.step(append(1, [3, 1], entries([1, 1, 1], 4)))
  const reply = single(flush(b), 'append_reply')
  assert.deepEqual([reply.rejected, reply.index, b.status().lastIndex], [false, 5, 7])
})

test('D19: a leader sends what it has not written, does not count itself, and commits by the followers alone', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  for (const from of ['b', 'c']) acknowledge(a, from, 1)
  flush(a)
  propose(a)
  const { messages, entries: written } = a.ready()
  assert.equal(only(messages, 'append').length, 2, 'in parallel with the write')
  assert.deepEqual(
    written.map(({ index }) => index),
    [2]
  )
  acknowledge(a, 'b', 2)
  assert.equal(a.status().commit, 1, 'two of three, but one of them is not durable')
  acknowledge(a, 'c', 2)
  assert.equal(a.status().commit, 2)
  a.advance()
  assert.equal(a.status().commit, 2)
})

test('D20: what was committed before a restart is offered for applying from the first entry that is not applied', () => {
  const b = createRaft('b', { founding: three, log: entries(Array(50).fill(1)), hardState: { commit: 40 }, applied: 7 })
  assert.equal(b.hasReady(), true)
  assert.equal(b.ready().commit, 40)
  b.advance()
  for (const page of [20, 39, 40]) b.applied(page)
  assert.throws(() => b.applied(39), /in order/)
  assert.throws(() => b.applied(41), /only what is committed/)
})

test('a commit never goes beyond the entries that the leader is known to share', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 1, 1, 1]) })
  b.step(append(2, [1, 1], [], 4))
  assert.equal(b.status().commit, 1)
  b.step(append(2, [1, 1], entries([1], 2), 4))
  assert.equal(b.status().commit, 2)
})

test('followers hear of a commit at once, not with the next heartbeat, each as far as it is known to have the log', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  for (const from of ['b', 'c']) acknowledge(a, from, 1)
  flush(a)
  propose(a)
  flush(a)
  const told = () => only(flush(a), 'commit').map(({ to, commit }) => [to, commit])
  acknowledge(a, 'b', 2)
  assert.deepEqual(told(), [['b', 2]])
  acknowledge(a, 'c', 2)
  assert.deepEqual(told(), [['c', 2]])
})

test('news of a commit is not answered, and where entries go they carry it', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  for (const from of ['b', 'c']) acknowledge(a, from, 1)
  flush(a)
  propose(a)
  flush(a)
  a.step({ type: 'append_reply', from: 'b', to: 'a', term: a.term, index: 2, rejected: false })
  propose(a)
  const sent = flush(a)
  assert.equal(a.commit, 2)
  assert.deepEqual(only(sent, 'commit'), [])
  assert.deepEqual(
    only(sent, 'append').map(({ to, commit }) => [to, commit]),
    [
      ['b', 2],
      ['c', 2]
    ]
  )
  const b = createRaft('b', { founding: three })
  b.step({ type: 'commit', from: 'a', to: 'b', term: 1, commit: 9 })
  assert.equal(b.commit, b.status().lastIndex, 'never beyond the end of its log')
  assert.deepEqual(flush(b), [])
})

test('F1: a full window whose answers are all lost opens again', () => {
  for (const limits of [{ inflightMax: 2 }, { inflightBytesMax: 60 }]) {
    const a = createRaft('a', { founding: three, settings: { ...limits, appendBytesMax: 1 } })
    lead(a, ['b'])
    acknowledge(a, 'b', 1)
    flush(a)
    propose(a, 5)
    const sent = only(flush(a), 'append', 'b').flatMap(message => message.entries)
    assert.deepEqual(
      sent.map(({ index }) => index),
      [2, 3],
      `${JSON.stringify(limits)} lets two out`
    )
    heartbeatReply(a, 'b')
    const nudge = single(flush(a), 'append', 'b')
    assert.deepEqual([nudge.previousIndex, nudge.entries.length], [3, 0])
    acknowledge(a, 'b', 3)
    assert.ok(only(flush(a), 'append', 'b').some(message => message.entries[0]?.index === 4))
  }
})

test('F1: appends that are lost are sent again, also when nothing new is proposed', () => {
  const group = new Group(three)
  group.elect('a')
  group.isolate('b')
  const { index } = group.propose('a', 'lost on the way to b')
  group.heal()
  group.tick(3)
  assert.equal(group.raft('b').status().commit, index)
})

test('F2: a lost probe is repeated after the next heartbeat', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  propose(a)
  assert.equal(only(flush(a), 'append', 'b').length, 0, 'one probe at a time')
  heartbeatReply(a, 'b')
  assert.deepEqual(single(flush(a), 'append', 'b').entries.length, 2)
})

test('F3: a refusal that was overtaken never asks for less than what is known to match', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  propose(a, 8)
  flush(a)
  acknowledge(a, 'b', 6)
  flush(a)
  for (const [index, hint] of [
    [0, 0],
    [3, 2],
    [6, 0],
    [8, 3],
    [9, 0]
  ] as const) {
    refuse(a, 'b', index, hint, 1)
    const follower = a.status().followers.find(({ id }) => id === 'b')
    assert.ok(follower && follower.next > follower.match && follower.match === 6)
    flush(a)
  }
})

test('F4: a follower that has everything but missed the commit learns it from the next heartbeat, and never too much', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  propose(a, 3)
  flush(a)
  acknowledge(a, 'b', 4)
  acknowledge(a, 'c', 2)
  flush(a)
  a.tick()
  const beats = only(flush(a), 'heartbeat')
  assert.deepEqual(
    beats.map(({ to, commit }) => [to, commit]),
    [
      ['b', 4],
      ['c', 2]
    ]
  )
  const b = createRaft('b', { founding: three, log: entries([1, 1, 1, 1]) })
  b.step({ type: 'heartbeat', from: 'a', to: 'b', term: 1, commit: 4, token: 3 })
  assert.equal(b.status().commit, 4)
  assert.equal(single(flush(b), 'heartbeat_reply').token, 3)
})

test('F5: the commit index is what a majority acknowledged in this term, in whatever order', () => {
  const acknowledgements = fc.array(fc.record({ from: fc.constantFrom('b', 'c', 'd', 'e', 'l'), index: fc.nat(14), isOld: fc.boolean() }))
  fc.assert(
    fc.property(acknowledgements, arriving => {
      const a = createRaft('a', { founding: configuration(['a', 'b', 'c', 'd', 'e'], ['l']), log: entries([1, 1, 1]) })
      lead(a, ['b', 'c'])
      propose(a, 6)
      flush(a)
      const { term, lastIndex } = a.status()
      const best = new Map([['a', lastIndex]])
      for (const { from, index, isOld } of arriving) {
        a.step({ type: 'append_reply', from, to: 'a', term: isOld ? term - 1 : term, index, rejected: false })
        if (!isOld && index <= lastIndex) best.set(from, Math.max(best.get(from) ?? 0, index))
        flush(a)
        const agreed = ['a', 'b', 'c', 'd', 'e'].map(id => best.get(id) ?? 0).toSorted((x, y) => y - x)[2] ?? 0
        assert.equal(a.status().commit, agreed > 3 ? agreed : 0)
      }
    })
  )
})

test('F6: an answer to a heartbeat changes nothing where nothing is open', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  for (const from of ['b', 'c']) acknowledge(a, from, 1)
  flush(a)
  const before = a.status()
  heartbeatReply(a, 'b')
  heartbeatReply(a, 'stranger')
  assert.deepEqual(flush(a), [])
  assert.deepEqual(a.status(), before)
})

test('F7: logs that differ in many terms agree after as many questions as there are terms, not entries', () => {
  const shared = [1, 1]
  // Eight entries a term: the leader's are the even terms, the follower's the odd ones.
  const terms = (first: number) => Array.from({ length: 60 }, (_, position) => Array(8).fill(first + 2 * position)).flat() as number[]
  const group = new Group(configuration(['a', 'b', 'c']), {
    a: { log: entries([...shared, ...terms(4)]), hardState: { term: 200 } },
    b: { log: entries([...shared, ...terms(3)]), hardState: { term: 200 } },
    c: { log: entries(shared), hardState: { term: 200 } }
  })
  group.elect('a')
  for (let beats = 0; beats < 300 && group.raft('b').status().lastIndex < 483; beats++) group.tick()
  assert.deepEqual(
    group.member('b').log.map(({ term }) => term),
    group.member('a').log.map(({ term }) => term)
  )
  const refusals = only(group.sent, 'append_reply').filter(({ from, rejected }) => from === 'b' && rejected).length
  assert.ok(refusals <= 61, `${refusals} refusals for 60 terms and 480 entries`)
})

test('F10: a leader without a majority takes proposals up to its limit, and goes on when it is back', () => {
  const a = createRaft('a', { founding: three, settings: { uncommittedBytesMax: 1_000 } })
  lead(a, ['b'])
  let taken = 0
  while ('index' in a.propose(new Uint8Array(68))) taken++
  assert.equal(taken, 10)
  assert.deepEqual(a.propose(new Uint8Array()), { refused: 'overloaded' }, 'empty ones cost memory too')
  flush(a)
  acknowledge(a, 'b', 11)
  assert.equal(a.status().commit, 11)
  assert.ok('index' in a.propose(new Uint8Array(5_000)), 'one always fits')
  assert.deepEqual(a.propose(new Uint8Array(1)), { refused: 'overloaded' })
})

test('no more is on the way to a follower than the limits say', () => {
  const a = createRaft('a', { founding: three, settings: { inflightMax: 3, appendBytesMax: 100, inflightBytesMax: 10_000 } })
  lead(a, ['b'])
  acknowledge(a, 'b', 1)
  flush(a)
  propose(a, 50)
  const sent = only(flush(a), 'append', 'b')
  assert.deepEqual(
    sent.map(message => message.entries.map(({ index }) => index)),
    [
      [2, 3],
      [4, 5],
      [6, 7]
    ]
  )
  acknowledge(a, 'b', 5)
  assert.equal(only(flush(a), 'append', 'b').length, 2, 'two were answered, two may follow')
})

test('entries that are not in memory are asked for, one read a follower, and a late answer is harmless', () => {
  const a = createRaft('a', { founding: three, log: entries([1, 1, 1, 1]) })
  lead(a, ['b'])
  refuse(a, 'b', 4, 1, 1)
  const { fetches, messages } = a.ready()
  a.advance()
  assert.deepEqual(fetches, [{ to: 'b', index: 2, bytesMax: 10_000 }])
  assert.equal(messages.length, 0)
  heartbeatReply(a, 'b')
  assert.equal(a.hasReady() && a.ready().fetches.length > 0, false, 'not asked for twice')
  a.supply('b', entries([1, 1], 2))
  const sent = single(a.outgoing(), 'append', 'b')
  assert.deepEqual([sent.previousIndex, sent.entries.length], [1, 2])
  a.supply('b', entries([1, 1], 2))
  a.supply('c', entries([1], 1))
  a.supply('stranger', entries([1], 1))
  assert.deepEqual(a.outgoing(), [])
})

test('entries read from disk that were replaced meanwhile are not sent', () => {
  const a = createRaft('a', { founding: three, log: entries([1, 1, 1]), settings: { cacheBytesMax: 0 } })
  a.step({ type: 'append', from: 'c', to: 'a', term: 2, previousIndex: 1, previousTerm: 1, entries: entries([2], 2), commit: 0 })
  lead(a, ['b'])
  refuse(a, 'b', 2, 0, 0)
  const { fetches } = a.ready()
  assert.equal(fetches[0]?.index, 1)
  // The read began before the write was done: behind the first entry, the disk still had the log of term 1.
  a.supply('b', entries([1, 1, 1]))
  assert.deepEqual(
    single(a.outgoing(), 'append', 'b').entries.map(({ index }) => index),
    [1]
  )
})

test('a follower behind the compacted part waits for a snapshot and gets nothing else', () => {
  const a = createRaft('a', {
    founding: three,
    truncated: { index: 5, term: 1 },
    log: entries([1, 1], 6),
    applied: 5,
    hardState: { commit: 5 }
  })
  lead(a, ['b'])
  refuse(a, 'c', 7, 2, 1)
  assert.equal(a.status().followers.find(({ id }) => id === 'c')?.next, 6, 'the first place that the leader still knows')
  refuse(a, 'c', 5, 2, 1)
  propose(a, 3)
  assert.deepEqual(only(flush(a), 'append', 'c'), [])
  assert.equal(a.status().followers.find(({ id }) => id === 'c')?.state, 'snapshot')
})

test('dropped messages put a follower back to probing from what it is known to have', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  acknowledge(a, 'b', 1)
  propose(a, 3)
  flush(a)
  a.unreachable('b')
  a.unreachable('stranger')
  const sent = single(flush(a), 'append', 'b')
  assert.deepEqual([sent.previousIndex, sent.entries.length], [1, 3])
})

test('an old leader learns that its time is over', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 4]) })
  b.step(append(3, [0, 0], [normal(1, 3)]))
  b.step({ type: 'heartbeat', from: 'a', to: 'b', term: 3, commit: 1, token: 0 })
  assert.deepEqual(
    flush(b).map(({ type, term }) => [type, term]),
    [
      ['append_reply', 4],
      ['append_reply', 4]
    ]
  )
  assert.equal(b.status().commit, 0)
  const a = createRaft('a', { founding: three })
  lead(a, ['b'])
  a.step({ type: 'append_reply', from: 'b', to: 'a', term: 4, index: 0, rejected: false })
  assert.deepEqual([a.status().role, a.status().term], ['follower', 4])
})

test('what the old leader alone had is replaced, what a majority had stays', () => {
  const group = new Group(three)
  group.elect('a')
  group.propose('a', 'agreed')
  group.isolate('a')
  group.raft('a').propose(new TextEncoder().encode('alone'))
  group.run()
  group.tick(4 * electionTicks)
  assert.equal(group.leader, 'b')
  group.propose('b', 'after')
  group.heal()
  group.tick(2)
  const texts = (id: string) =>
    group.member(id).log.map(entry => (entry.type === 'normal' ? new TextDecoder().decode(entry.data) : entry.type))
  assert.deepEqual(texts('a'), ['empty', 'agreed', 'empty', 'after'])
  assert.deepEqual(texts('a'), texts('c'))
})
