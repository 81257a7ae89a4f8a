/** Changes of members. M1 to M21 are bugs that others had; each test keeps one of them out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Raft } from '../../../cluster/raft/raft.ts'
import { configuration, createRaft, electionTicks, entries, flush, Group, lead, only, single } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])

test('M1: nobody changes the members before an entry of its own term is committed', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b', 'c'])
  assert.deepEqual(a.proposeConfiguration(configuration(['a', 'b'])), { refused: 'no_commit_in_term' })
  a.step({ type: 'append_reply', from: 'b', to: 'a', term: 1, index: 1, rejected: false })
  assert.ok('index' in a.proposeConfiguration(configuration(['a', 'b'])))
})

test('M2: a change that is in the log and not applied counts in the election that begins there', () => {
  const change = { index: 2, term: 1, type: 'configuration', configuration: configuration(['a', 'b', 'c', 'd']) } as const
  const timerFires = (b: Raft) => {
    b.campaign()
    for (const from of ['a', 'c']) b.step({ type: 'vote_reply', from, to: 'b', term: 2, isPreVote: true, rejected: false })
  }
  const leaderHandsOver = (b: Raft) => b.step({ type: 'timeout_now', from: 'a', to: 'b', term: 1, index: 2 })
  for (const [commit, begin] of [[1, timerFires] as const, [2, timerFires] as const, [2, leaderHandsOver] as const]) {
    const b = createRaft('b', { founding: three, log: [...entries([1]), change], hardState: { commit }, applied: 1 })
    begin(b)
    assert.deepEqual(
      only(flush(b), 'vote').flatMap(({ isPreVote, to }) => (isPreVote ? [] : [to])),
      ['a', 'c', 'd']
    )
    const grant = (from: string) => b.step({ type: 'vote_reply', from, to: 'b', term: 2, isPreVote: false, rejected: false })
    grant('c')
    assert.equal(b.status().role, 'candidate', 'two votes of three would do, but there are four voters')
    grant('d')
    assert.equal(b.status().role, 'leader')
  }
})

for (const [reached, means] of [
  [[], 'nobody'],
  [['c'], 'the one that loses its vote'],
  [['d'], 'the one that got its vote last'],
  [['c', 'd'], 'both of them']
] as const) {
  test(`M3: while a majority of the voters of before and of after a change is up, somebody wins: the change has reached ${means}`, () => {
    const group = new Group(configuration(['a', 'b', 'c'], ['d']))
    group.elect('a')
    group.isolate('b')
    group.change('a', configuration(['a', 'b', 'c', 'd']))
    assert.equal(group.raft('a').status().configurationIndex, group.raft('a').status().commit, 'd has its vote')
    group.cut((from, to) => from === 'a' && !reached.some(id => id === to))
    group.change('a', configuration(['a', 'b', 'd'], ['c']))
    group.propose('a', 'behind the change')
    group.stop('a')
    group.heal()
    // The timers of the test fall together again and again where nobody can win; a few rounds are enough where somebody can.
    group.tick(8 * electionTicks)
    const leader = ['b', 'c', 'd'].find(id => group.raft(id).status().role === 'leader')
    assert.ok(leader, 'somebody leads')
    const { index } = group.propose(leader, 'after')
    group.tick(2)
    for (const id of ['b', 'c', 'd']) assert.ok(group.raft(id).status().commit >= index, `${id} has it`)
  })
}

test('M4: a change that an earlier leader began too is refused while it is under way, and does nothing once it is made', () => {
  const next = configuration(['a', 'b', 'c', 'd'])
  const group = new Group(configuration(['a', 'b', 'c'], ['d']))
  group.elect('a')
  group.cut((from, to) => to === 'a' || (from === 'a' && to !== 'b'))
  group.change('a', next)
  assert.deepEqual(group.raft('a').proposeConfiguration(next), { refused: 'change_pending' })
  group.isolate('a')
  group.tick(4 * electionTicks)
  assert.equal(group.leader, 'b', 'only b has the change')
  group.change('b', next)
  group.heal()
  group.tick(2)
  for (const id of ['a', 'b', 'c', 'd']) {
    const { configuration: current, configurationIndex, commit } = group.raft(id).status()
    assert.deepEqual(current, next)
    assert.ok(configurationIndex <= commit, 'nothing is pending')
  }
})

test('M5: a learner that is asked for its vote gives it, as it may be a voter without knowing', () => {
  const learner = createRaft('d', { founding: configuration(['a', 'b', 'c'], ['d']), log: entries([1, 1]) })
  learner.step({ type: 'vote', from: 'b', to: 'd', term: 2, isPreVote: false, isTransfer: false, lastIndex: 2, lastTerm: 1 })
  assert.equal(single(flush(learner), 'vote_reply').rejected, false)
})

test('M6: a leader that removes itself does not count itself, then leads no more, and the others go on', () => {
  const group = new Group(three)
  group.elect('a')
  group.isolate('c')
  const { commit } = group.raft('a').status()
  group.change('a', configuration(['b', 'c']))
  assert.equal(group.raft('a').status().commit, commit, 'one of the two others is not enough')
  group.heal()
  group.tick(2)
  assert.equal(group.raft('a').status().role, 'follower')
  group.tick(3 * electionTicks)
  const next = group.leader ?? ''
  assert.ok(['b', 'c'].includes(next))
  const { index } = group.propose(next, 'without a')
  assert.equal(group.raft(next).status().commit, index)
})

test('M8: entries are counted by the voters of now alone, and two votes never change at a time', () => {
  const committed = (founding: typeof three, next: typeof three, acknowledging: readonly string[]): boolean => {
    const a = createRaft('a', { founding })
    lead(a, ['b', 'c'])
    const acknowledge = (from: string, index: number) => a.step({ type: 'append_reply', from, to: 'a', term: 1, index, rejected: false })
    for (const from of ['b', 'c']) acknowledge(from, 1)
    const outcome = a.proposeConfiguration(next)
    assert.ok('index' in outcome)
    flush(a)
    for (const from of acknowledging) acknowledge(from, outcome.index)
    return a.status().commit >= outcome.index
  }
  const four = configuration(['a', 'b', 'c', 'd'])
  assert.equal(committed(three, four, ['b']), false, 'a majority of the voters of before')
  assert.equal(committed(three, four, ['b', 'd']), true)
  assert.equal(committed(four, three, ['d']), false, 'the removed one does not count')
  assert.equal(committed(three, configuration(['a', 'b'], ['c']), ['c']), false, 'nor does one that lost its vote')
  assert.equal(committed(four, three, ['b']), true)
  const swapped = configuration(['a', 'b', 'd'])
  assert.throws(() => committed(three, swapped, []), /one vote changes at a time/)
})

test('M12: a learner never looks for votes, however long it hears nothing', () => {
  const learner = createRaft('d', { founding: configuration(['a', 'b', 'c'], ['d']), log: entries([1, 1]) })
  for (let tick = 0; tick < 10 * electionTicks; tick++) learner.tick()
  learner.campaign()
  assert.deepEqual(only(flush(learner), 'vote'), [])
})

test('M17: the last voter is neither removed nor made a learner', () => {
  const a = createRaft('a', { founding: configuration(['a'], ['b']) })
  lead(a, [])
  for (const next of [configuration([], ['b']), configuration([], ['a', 'b'])]) {
    assert.deepEqual(a.proposeConfiguration(next), { refused: 'no_voters' })
  }
})

test('M18: a peer that was just added is not blamed for its silence', () => {
  const group = new Group(configuration(['a', 'b']), {}, ['c'])
  group.elect('a')
  group.tick(electionTicks - 1)
  group.stop('c')
  group.change('a', three)
  group.tick(electionTicks)
  assert.equal(group.leader, 'a')
})

test('M20: a peer that was removed while it was cut off moves no term when it is back', () => {
  const group = new Group(three)
  group.elect('a')
  group.isolate('c')
  group.change('a', configuration(['a', 'b']))
  group.tick(5 * electionTicks)
  group.heal()
  group.tick(5 * electionTicks)
  assert.equal(group.leader, 'a')
  assert.equal(group.raft('a').status().term, 1)
})

test('M21: a change in the tail that a new leader inherits counts as pending until it is committed', () => {
  const change = { index: 2, term: 1, type: 'configuration', configuration: configuration(['a', 'b', 'c', 'd']) } as const
  const a = createRaft('a', { founding: three, log: [...entries([1]), change] })
  lead(a, ['b', 'c'])
  assert.deepEqual(a.proposeConfiguration(three), { refused: 'change_pending' })
})
