/** Three voters and two hundred learners, most of which nobody hears: what the voters do does not depend on them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configuration, electionTicks, Group, only } from '../../support/raft.ts'

const learners = Array.from({ length: 200 }, (_, number) => `learner-${String(number).padStart(3, '0')}`)
const silent = new Set(learners.filter((_, number) => number % 5 !== 0))
const [inflightMax, inflightBytesMax] = [8, 4_000]

function crowd(): Group {
  const settings = { inflightMax, inflightBytesMax, appendBytesMax: 1_000 }
  const everybody = ['a', 'b', 'c', ...learners]
  const group = new Group(configuration(['a', 'b', 'c'], learners), Object.fromEntries(everybody.map(id => [id, { settings }])))
  group.elect('a')
  group.propose('a', 'everybody gets this')
  for (const id of learners) assert.equal(group.member(id).applied, 2)
  group.cut((from, to) => silent.has(from) || silent.has(to))
  return group
}

test('entries are committed by the voters, and what is sent to a learner that does not answer is bounded by messages and bytes', () => {
  for (const [size, messages] of [
    [10, inflightMax],
    [900, 5]
  ] as const) {
    const group = crowd()
    const before = group.sent.length
    for (let number = 0; number < 50; number++) {
      const { index } = group.propose('a', 'x'.repeat(size))
      assert.equal(group.raft('a').commit, index, 'at once')
    }
    const appends = only(group.sent.slice(before), 'append')
    for (const id of silent) assert.ok(appends.filter(({ to }) => to === id).length <= messages, `at most ${messages} to ${id}`)
    for (const id of learners) if (!silent.has(id)) assert.equal(group.member(id).applied, 52)
  }
})

test('the voters elect without them, and they catch up when they are heard again', () => {
  const group = crowd()
  group.tick(3 * electionTicks)
  assert.equal(group.leader, 'a', 'their silence unseats nobody')
  const before = group.sent.length
  group.stop('a')
  group.tick(3 * electionTicks)
  const next = group.leader ?? ''
  assert.ok(['b', 'c'].includes(next))
  assert.deepEqual(
    only(group.sent.slice(before), 'vote').filter(({ from, to }) => learners.includes(from) || learners.includes(to)),
    []
  )
  let last = 0
  for (let number = 0; number < 30; number++) last = group.propose(next, `without a ${number}`).index
  group.raft(next).read(1)
  group.run()
  assert.equal(group.raft(next).released().length, 1)
  group.heal()
  // A follower that is behind takes as much with every sign of life as its window holds.
  group.tick(10)
  for (const id of learners) assert.equal(group.member(id).applied, last, id)
})
