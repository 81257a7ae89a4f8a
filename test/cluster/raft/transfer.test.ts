/** Handing leadership over. T1 to T8, M10 and E17 are bugs that others had; each test keeps one of them out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configuration, createRaft, electionTicks, entries, flush, Group, lead, only, single } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])

/** `a` leads in term 1, and everybody has everything. */
function led(founding = three): Group {
  const group = new Group(founding)
  group.elect('a')
  group.propose('a', 'before')
  return group
}

function handOver(group: Group, to: string): void {
  assert.equal(group.raft('a').transfer(to), null)
  group.run()
}

test('leadership moves to the peer that is named, in the next term, without a pre-vote', () => {
  const group = led()
  group.sent.length = 0
  handOver(group, 'b')
  assert.equal(group.leader, 'b')
  assert.deepEqual(group.terms(), [2, 2, 2])
  assert.equal(only(group.sent, 'timeout_now').length, 1)
  assert.ok(only(group.sent, 'vote').every(({ isPreVote, isTransfer }) => isTransfer && !isPreVote))
  group.propose('b', 'behind')
  assert.equal(group.raft('a').status().commit, group.raft('b').status().commit)
})

test('T1: a leader that was deposed while it handed over takes proposals when it leads again', () => {
  const group = led()
  group.isolate('b')
  handOver(group, 'b')
  assert.equal(group.raft('a').status().transferTo, 'b')
  group.raft('a').step({ type: 'append_reply', from: 'c', to: 'a', term: 7, index: 0, rejected: false })
  group.run()
  assert.equal(group.leader, undefined)
  group.tick(3 * electionTicks)
  assert.equal(group.leader, 'a')
  assert.equal(group.raft('a').status().transferTo, null)
  group.propose('a', 'again')
})

test('T2: while it hands over, a leader refuses proposals and changes of members in so many words', () => {
  const group = led()
  group.isolate('b')
  handOver(group, 'b')
  const { lastIndex } = group.raft('a').status()
  assert.deepEqual(group.raft('a').propose(new Uint8Array(1)), { refused: 'transferring' })
  assert.deepEqual(group.raft('a').proposeConfiguration(configuration(['a', 'b'])), { refused: 'transferring' })
  assert.equal(group.raft('a').status().lastIndex, lastIndex)
})

test('T3: a successor that does not take over within an election timeout is given up, and the leader goes on', () => {
  const group = led()
  group.stop('b')
  handOver(group, 'b')
  group.tick(electionTicks - 1)
  assert.equal(group.raft('a').status().transferTo, 'b')
  group.tick()
  assert.equal(group.raft('a').status().transferTo, null)
  assert.equal(group.raft('a').status().term, 1)
  const { index } = group.propose('a', 'on')
  assert.equal(group.raft('a').status().commit, index)
})

test('T4: a second one to the same peer changes nothing, to another peer it goes there', () => {
  const group = led()
  group.stop('b')
  handOver(group, 'b')
  group.tick(electionTicks - 1)
  handOver(group, 'b')
  group.tick()
  assert.equal(group.raft('a').status().transferTo, null, 'the time goes on')
  handOver(group, 'b')
  handOver(group, 'c')
  assert.equal(group.leader, 'c')
})

test('T4: to itself it ends, and to nobody, to a learner, or from a follower it never begins', () => {
  const group = led(configuration(['a', 'b', 'c'], ['d']))
  group.stop('b')
  handOver(group, 'b')
  handOver(group, 'a')
  assert.equal(group.raft('a').status().transferTo, null)
  group.propose('a', 'on')
  assert.equal(group.raft('a').transfer('nobody'), 'not_a_voter')
  assert.equal(group.raft('a').transfer('d'), 'not_a_voter')
  assert.equal(group.raft('c').transfer('c'), 'not_leader')
})

test('T4: there and back again', () => {
  const group = led()
  handOver(group, 'b')
  assert.equal(group.raft('b').transfer('a'), null)
  group.run()
  assert.equal(group.leader, 'a')
  assert.deepEqual(group.terms(), [3, 3, 3])
})

test('T4: a peer that was removed or lost its vote is no successor, from the moment that is appended', () => {
  for (const next of [configuration(['a', 'c']), configuration(['a', 'c'], ['b'])]) {
    const group = led()
    group.change('a', next)
    assert.equal(group.raft('a').transfer('b'), 'not_a_voter')
  }
})

test('T5: a successor that is behind catches up first, and is asked once', () => {
  const group = led()
  group.isolate('b')
  for (let number = 0; number < 50; number++) group.propose('a', `while b is away ${number}`)
  group.heal()
  group.sent.length = 0
  assert.equal(group.raft('a').transfer('b'), null)
  for (let tick = 0; tick < 3 && group.leader !== 'b'; tick++) group.tick()
  assert.equal(group.leader, 'b')
  const asked = single(group.sent, 'timeout_now')
  const last = group.sent.findLast(message => message.type === 'append_reply' && message.from === 'b' && message.to === 'a')
  assert.ok(last && group.sent.indexOf(asked) > group.sent.indexOf(last), 'asked behind its last acknowledgement')
  assert.equal(asked.index, 52)
})

test('T6: the votes for a successor are given in spite of a leader just heard, and only those', () => {
  const c = createRaft('c', { founding: three, log: entries([1, 1]) })
  c.step({ type: 'heartbeat', from: 'a', to: 'c', term: 1, commit: 0, token: 0 })
  flush(c)
  const vote = { type: 'vote', from: 'b', to: 'c', term: 2, isPreVote: false, lastIndex: 2, lastTerm: 1 } as const
  c.step({ ...vote, isTransfer: false })
  assert.deepEqual(flush(c), [])
  c.step({ ...vote, isTransfer: true })
  assert.equal(single(flush(c), 'vote_reply').rejected, false)
})

test('T8: a request to take over that comes late does nothing', () => {
  const b = createRaft('b', { founding: three, log: entries([1, 1]), hardState: { term: 1 } })
  const request = { type: 'timeout_now', from: 'a', to: 'b', term: 1, index: 2 } as const
  b.step({ type: 'heartbeat', from: 'c', to: 'b', term: 2, commit: 0, token: 0 })
  flush(b)
  b.step(request)
  assert.deepEqual(
    flush(b).map(({ type, to }) => `${type} ${to}`),
    ['append_reply a'],
    'the old leader is told of the new term'
  )
  assert.deepEqual({ role: b.status().role, term: b.status().term, leader: b.status().leader }, { role: 'follower', term: 2, leader: 'c' })
})

test('a request to take over that names an entry this peer has lost, or that comes to a learner, does nothing', () => {
  const behind = createRaft('b', { founding: three, log: entries([1, 1]) })
  behind.step({ type: 'timeout_now', from: 'a', to: 'b', term: 1, index: 3 })
  assert.deepEqual(only(flush(behind), 'vote'), [])
  const learner = createRaft('b', { founding: configuration(['a', 'c'], ['b']), log: entries([1, 1]) })
  learner.step({ type: 'timeout_now', from: 'a', to: 'b', term: 1, index: 2 })
  assert.deepEqual(only(flush(learner), 'vote'), [])
})

test('M10: a learner that has just got its vote takes over only with the entry that says so', () => {
  const a = createRaft('a', { founding: configuration(['a', 'c'], ['b']) })
  lead(a, ['c'])
  for (const from of ['b', 'c']) a.step({ type: 'append_reply', from, to: 'a', term: 1, index: 1, rejected: false })
  flush(a)
  a.proposeConfiguration(three)
  assert.equal(a.transfer('b'), null)
  assert.deepEqual(only(flush(a), 'timeout_now'), [])
  a.step({ type: 'append_reply', from: 'b', to: 'a', term: 1, index: 2, rejected: false })
  assert.equal(single(flush(a), 'timeout_now').index, 2)
})

test('E17: a successor and another candidate never lead the same term', () => {
  const group = led(configuration(['a', 'b', 'c', 'd', 'e']))
  group.raft('d').forgetLeader()
  group.raft('d').campaign()
  handOver(group, 'b')
  group.tick(6 * electionTicks)
  assert.ok(group.leader)
  const leaders = new Set(group.sent.filter(({ type }) => type === 'append').map(({ from, term }) => `${term} ${from}`))
  assert.equal(leaders.size, new Set([...leaders].map(each => each.split(' ')[0])).size, `leaders by term: ${[...leaders]}`)
})
