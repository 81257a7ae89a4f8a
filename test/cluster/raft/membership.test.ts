/** Changes of members. M1 to M21 are bugs that others had; each test keeps one of them out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configuration, createRaft, electionTicks, entries, flush, Group, lead, only, single } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])

test('M1: nobody changes the members before an entry of its own term is committed', () => {
  const a = createRaft('a', { founding: three })
  lead(a, ['b', 'c'])
  assert.deepEqual(a.proposeConfiguration(configuration(['a', 'b'])), { refused: 'no_commit_in_term' })
  a.step({ type: 'append_reply', from: 'b', to: 'a', term: 1, index: 1, rejected: false })
  assert.ok('index' in a.proposeConfiguration(configuration(['a', 'b'])))
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
