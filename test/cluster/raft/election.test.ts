/** Elections. E1 to E17 are bugs that others had; each test keeps one of them out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '../../../cluster/raft/types.ts'
import { configuration, createRaft, electionTicks, entries, flush, Group, lead, only, single } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])

/** A request for a vote, from `b` with a long log where nothing else is said. */
function request(
  to: string,
  about: { term: number; from?: string; isPreVote?: boolean; isTransfer?: boolean; last?: [number, number] }
): Message {
  const { term, from = 'b', isPreVote = false, isTransfer = false, last = [9, 9] } = about
  return { type: 'vote', from, to, term, isPreVote, isTransfer, lastIndex: last[0], lastTerm: last[1] }
}

test('E1: a granted pre-vote carries the term asked for, a refused one the own term, and neither moves a term', () => {
  const c = createRaft('c', { founding: three, log: entries([1, 1]) })
  c.step(request('c', { term: 6, isPreVote: true, last: [5, 5] }))
  const grant = single(flush(c), 'vote_reply')
  assert.deepEqual({ term: grant.term, rejected: grant.rejected }, { term: 6, rejected: false })
  c.step(request('c', { term: 6, isPreVote: true, last: [1, 1] }))
  const refusal = single(flush(c), 'vote_reply')
  assert.deepEqual({ term: refusal.term, rejected: refusal.rejected }, { term: 1, rejected: true })
  assert.equal(c.status().term, 1)
})

test('E1: a peer that missed several terms helps to elect the next leader', () => {
  const group = new Group(three, { a: { log: entries([1, 5]) }, b: { log: entries([1, 5]) }, c: { log: entries([1]) } })
  group.stop('a')
  group.tick(3 * electionTicks)
  assert.equal(group.leader, 'b')
  assert.equal(group.raft('c').status().leader, 'b')
})

test('E2: the longer log in the lower term wins, having learned the higher term from a refusal', () => {
  const group = new Group(configuration(['x', 'y']), {
    x: { log: entries([1]), hardState: { term: 7 } },
    y: { log: entries([1, 2, 2]) }
  })
  group.tick(6 * electionTicks)
  assert.equal(group.leader, 'y')
  assert.ok(group.raft('y').status().term > 7)
})

test('E3: a peer that comes back with a higher term is taken in again', () => {
  const group = new Group(three, { c: { hardState: { term: 7 } } })
  group.isolate('c')
  group.elect('a')
  assert.equal(group.raft('a').status().term, 1)
  group.heal()
  group.tick(6 * electionTicks)
  assert.ok(group.leader)
  assert.equal(new Set(group.terms()).size, 1)
  group.propose(group.leader, 'again')
  assert.equal(group.raft('c').status().commit, group.raft(group.leader).status().commit)
})

test('E4: peers that do not hear the leader disturb nobody who does', () => {
  const group = new Group(configuration(['p1', 'p2', 'p3', 'p4', 'p5']))
  const links = new Set(['p1p2', 'p1p3', 'p2p3', 'p2p4', 'p3p5'])
  group.elect('p3')
  group.cut((from, to) => !links.has(from < to ? from + to : to + from))
  group.tick(100 * electionTicks)
  assert.equal(group.leader, 'p3')
  assert.equal(group.raft('p3').status().term, 1)
})

test('E5: a leader that reaches only one peer makes room for one that reaches all', () => {
  const group = new Group(configuration(['l', 'p', 'q', 'r', 'x']))
  group.elect('l')
  group.cut((from, to) => from !== 'x' && to !== 'x')
  group.tick(6 * electionTicks)
  assert.equal(group.leader, 'x')
  const { index } = group.propose('x', 'through x')
  assert.ok(group.raft('x').status().commit >= index)
})

test('E7: whoever looks for votes has no leader, and votes of an earlier round do not count', () => {
  const a = createRaft('a', { founding: configuration(['a', 'b', 'c', 'd', 'e']) })
  a.step({ type: 'heartbeat', from: 'b', to: 'a', term: 1, commit: 0, token: 0 })
  a.campaign()
  assert.equal(a.status().leader, null)
  a.step({ type: 'vote_reply', from: 'c', to: 'a', term: 2, isPreVote: true, rejected: false })
  a.campaign()
  a.step({ type: 'vote_reply', from: 'd', to: 'a', term: 2, isPreVote: true, rejected: false })
  assert.equal(a.status().role, 'pre_candidate', 'one vote of this round and the own one are not three')
  a.step({ type: 'vote_reply', from: 'e', to: 'a', term: 2, isPreVote: true, rejected: false })
  assert.equal(a.status().role, 'candidate')
  flush(a)
  for (const from of ['b', 'c']) a.step({ type: 'vote_reply', from, to: 'a', term: 1, isPreVote: false, rejected: false })
  assert.equal(a.status().role, 'candidate', 'votes of term 1 do not count in term 2')
})

test('E8: the own vote does not count when it reaches the disk too late', () => {
  const a = createRaft('a', { founding: configuration(['a', 'b']) })
  a.campaign()
  flush(a)
  a.step({ type: 'vote_reply', from: 'b', to: 'a', term: 1, isPreVote: true, rejected: false })
  a.ready()
  a.step({ type: 'append', from: 'b', to: 'a', term: 1, previousIndex: 0, previousTerm: 0, entries: [], commit: 0 })
  a.advance()
  assert.deepEqual([a.status().role, a.status().leader], ['follower', 'b'])
  a.campaign()
  a.step({ type: 'vote_reply', from: 'b', to: 'a', term: 2, isPreVote: true, rejected: false })
  a.ready()
  a.step(request('a', { term: 3 }))
  a.advance()
  assert.deepEqual([a.status().role, a.status().term, a.status().vote], ['follower', 3, 'b'])
})

test('E8: a single voter leads only after its own vote is on disk', () => {
  const a = createRaft('a', { founding: configuration(['a']) })
  a.campaign()
  const { hardState, mustSync } = a.ready()
  assert.deepEqual([hardState?.vote, mustSync, a.status().role], ['a', true, 'candidate'])
  a.advance()
  assert.equal(a.status().role, 'leader')
})

test('E9: to be told to campaign again raises no term and unseats no leader', () => {
  const a = createRaft('a', { founding: three })
  for (let times = 0; times < 5; times++) a.campaign()
  assert.deepEqual([a.status().role, a.status().term], ['pre_candidate', 0])
  lead(a, ['b'])
  a.campaign()
  assert.deepEqual([a.status().role, a.status().term], ['leader', 1])
  const alone = createRaft('z', { founding: configuration(['z']) })
  alone.campaign()
  flush(alone)
  alone.campaign()
  flush(alone)
  assert.deepEqual([alone.status().role, alone.status().term], ['leader', 1])
})

test('E10: a peer that hears nothing looks for votes within two timeouts, every time after a newly drawn one', () => {
  const draws = [9, 0, 4, 2, 7]
  const a = createRaft('a', { founding: three, settings: { random: below => (draws.shift() ?? 0) % below } })
  const waits: number[] = []
  for (let round = 0; round < 4; round++) {
    let ticks = 0
    for (; only(flush(a), 'vote').length === 0; ticks++) a.tick()
    waits.push(ticks)
  }
  assert.deepEqual(waits, [19, 10, 14, 12])
})

test('E11: logs are compared by the term of the last entry, then by length', () => {
  for (const [last, isGranted] of [
    [[2, 2], true],
    [[1, 3], true],
    [[9, 1], false],
    [[1, 2], false],
    [[3, 2], true]
  ] as const) {
    const a = createRaft('a', { founding: three, log: entries([1, 2]) })
    a.step(request('a', { term: 5, last: [...last] }))
    assert.equal(single(flush(a), 'vote_reply').rejected, !isGranted, `a last entry ${last[0]} of term ${last[1]}`)
  }
})

test('E12: an answer with a higher term ends a candidacy, and neither counts nor votes', () => {
  for (const rejected of [true, false]) {
    const a = createRaft('a', { founding: three })
    a.campaign()
    a.step({ type: 'vote_reply', from: 'b', to: 'a', term: 1, isPreVote: true, rejected: false })
    flush(a)
    a.step({ type: 'vote_reply', from: 'c', to: 'a', term: 4, isPreVote: false, rejected })
    assert.deepEqual([a.status().role, a.status().term, a.status().vote], ['follower', 4, null])
  }
})

test('E13: a removed peer that does not know it campaigns in vain', () => {
  const group = new Group(three)
  group.elect('a')
  group.isolate('c')
  group.change('a', configuration(['a', 'b']))
  group.heal()
  group.tick(10 * electionTicks)
  assert.equal(group.raft('c').status().role, 'pre_candidate')
  assert.deepEqual([group.leader, group.raft('a').status().term, group.raft('b').status().term], ['a', 1, 1])
})

test('E14: an old removal in the log does not keep out a peer that was added again', () => {
  const change = (index: number, ids: string[]) => ({ index, term: 1, type: 'configuration', configuration: configuration(ids) }) as const
  const a = createRaft('a', { founding: three, log: [change(1, ['b', 'c']), change(2, ['a', 'b', 'c'])], hardState: { commit: 1 } })
  for (let ticks = 0; ticks < electionTicks; ticks++) a.tick()
  assert.equal(a.status().role, 'pre_candidate')
})

test('a peer whose removal was committed before it restarted looks for no votes, one whose removal is open does', () => {
  const removal = { index: 1, term: 1, type: 'configuration', configuration: configuration(['b', 'c']) } as const
  for (const commit of [0, 1]) {
    const a = createRaft('a', { founding: three, log: [removal], hardState: { commit } })
    for (let ticks = 0; ticks < electionTicks; ticks++) a.tick()
    assert.equal(a.status().role, commit === 0 ? 'pre_candidate' : 'follower')
  }
})

test('E15: only voters count, and each of them once', () => {
  const a = createRaft('a', { founding: configuration(['a', 'b', 'c', 'd', 'e'], ['learner']) })
  a.campaign()
  for (const from of ['b', 'b', 'learner', 'stranger']) {
    a.step({ type: 'vote_reply', from, to: 'a', term: 1, isPreVote: true, rejected: false })
  }
  assert.equal(a.status().role, 'pre_candidate')
})

test('E17: a transfer passes the loyalty to a fresh leader, but gives no second vote', () => {
  const c = createRaft('c', { founding: three })
  c.step({ type: 'heartbeat', from: 'a', to: 'c', term: 1, commit: 0, token: 0 })
  flush(c)
  c.step(request('c', { term: 2 }))
  assert.deepEqual(flush(c), [], 'without a word, and without the new term')
  assert.equal(c.status().term, 1)
  c.step(request('c', { term: 2, isTransfer: true }))
  assert.equal(single(flush(c), 'vote_reply').rejected, false)
  c.step(request('c', { term: 2, from: 'a', isTransfer: true }))
  assert.equal(single(flush(c), 'vote_reply').rejected, true)
})

test('a vote leaves only with the write that keeps it, and is the same after a restart', () => {
  const c = createRaft('c', { founding: three })
  c.step(request('c', { term: 2 }))
  const { messages, afterPersist, hardState, mustSync } = c.ready()
  assert.deepEqual([messages.length, afterPersist.length, mustSync], [0, 1, true])
  assert.deepEqual(hardState, { term: 2, vote: 'b', commit: 0 })
  const again = createRaft('c', { founding: three, ...(hardState && { hardState }) })
  again.step(request('c', { term: 2, from: 'a' }))
  assert.equal(single(flush(again), 'vote_reply').rejected, true)
})

test('a follower is loyal for one election timeout, and at once free when it is told that the leader is gone', () => {
  const c = createRaft('c', { founding: three, settings: { random: () => 9 } })
  c.step({ type: 'heartbeat', from: 'a', to: 'c', term: 1, commit: 0, token: 0 })
  flush(c)
  for (let ticks = 0; ticks < electionTicks - 1; ticks++) c.tick()
  c.step(request('c', { term: 2, isPreVote: true }))
  assert.deepEqual(flush(c), [])
  c.tick()
  c.step(request('c', { term: 2, isPreVote: true }))
  assert.equal(single(flush(c), 'vote_reply').rejected, false)
  c.step({ type: 'heartbeat', from: 'a', to: 'c', term: 1, commit: 0, token: 0 })
  flush(c)
  c.forgetLeader()
  c.step(request('c', { term: 2, isPreVote: true }))
  assert.equal(single(flush(c), 'vote_reply').rejected, false)
})

test('a leader that hears no majority for an election timeout steps down', () => {
  const a = createRaft('a', { founding: configuration(['a', 'b', 'c', 'd', 'e'], ['learner']) })
  lead(a, ['b', 'c'])
  const term = a.status().term
  const wait = () => {
    for (let ticks = 0; ticks < electionTicks; ticks++) a.tick()
  }
  wait()
  for (const from of ['b', 'c']) a.step({ type: 'heartbeat_reply', from, to: 'a', term, token: 0 })
  wait()
  assert.equal(a.status().role, 'leader')
  for (const from of ['b', 'learner']) a.step({ type: 'heartbeat_reply', from, to: 'a', term, token: 0 })
  wait()
  assert.deepEqual([a.status().role, a.status().term], ['follower', term])
})

test('a learner that hears its leader no more has none', () => {
  const learner = createRaft('d', { founding: configuration(['a', 'b', 'c'], ['d']) })
  learner.step({ type: 'heartbeat', from: 'a', to: 'd', term: 1, commit: 0, token: 0 })
  assert.equal(learner.leader, 'a')
  for (let tick = 0; tick < 2 * electionTicks; tick++) learner.tick()
  assert.deepEqual([learner.leader, learner.role, learner.term], [null, 'follower', 1])
})

test('a node that was told that it is removed looks for no votes, and gives its own once it has not heard its leader for long', () => {
  const c = createRaft('c', { founding: three })
  c.step({ type: 'heartbeat', from: 'a', to: 'c', term: 1, commit: 0, token: 0 })
  flush(c)
  for (let tick = 0; tick < 10 * electionTicks; tick++) c.tick({ mayCampaign: false })
  assert.deepEqual([flush(c), c.leader], [[], null])
  // It was added again, and does not know it yet: without it there may be no majority.
  c.step(request('c', { term: 2, isPreVote: true }))
  assert.equal(single(flush(c), 'vote_reply').rejected, false)
})
