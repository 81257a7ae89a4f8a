import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TraceEvent } from '../../../cluster/raft/trace.ts'
import { configuration, Group } from '../../support/raft.ts'

test('an election, a proposal and a change of members are told in the words of etcd/raft, in their order', () => {
  const events: TraceEvent[] = []
  const settings = { trace: (event: TraceEvent) => events.push(event) }
  const group = new Group(configuration(['a', 'b', 'c']), { a: { settings }, b: { settings } })
  const namesOf = (nid: string) => events.filter(event => event.nid === nid && event.name !== 'Ready').map(({ name }) => name)
  assert.deepEqual([namesOf('a'), namesOf('b')], [['InitState'], ['InitState']])

  events.length = 0
  group.elect('a')
  const elected = namesOf('a')
  const order = [
    'BecomeCandidate',
    'SendRequestVoteRequest',
    'ReceiveRequestVoteResponse',
    'BecomeLeader',
    'Replicate',
    'SendAppendEntriesRequest'
  ]
  assert.deepEqual([...new Set(elected)].slice(0, order.length), order)
  assert.equal(elected.filter(name => name === 'BecomeLeader').length, 1)
  assert.deepEqual([...new Set(namesOf('b'))].slice(0, 3), ['ReceiveRequestVoteRequest', 'BecomeFollower', 'SendRequestVoteResponse'])

  events.length = 0
  const { index } = group.propose('a', 'one')
  const sent = events.find(({ nid, name }) => nid === 'a' && name === 'SendAppendEntriesRequest')
  assert.deepEqual(sent?.msg, {
    term: 1,
    from: 'a',
    to: 'b',
    entries: 1,
    logTerm: 1,
    index: index - 1,
    commit: index - 1,
    reject: false,
    rejectHint: 0,
    type: 'MsgApp'
  })
  const committed = events.find(({ nid, name }) => nid === 'a' && name === 'Commit')
  assert.deepEqual(committed, {
    name: 'Commit',
    nid: 'a',
    state: { term: 1, vote: 'a', commit: index },
    role: 'StateLeader',
    log: index,
    conf: [['a', 'b', 'c'], []]
  })

  events.length = 0
  group.change('a', configuration(['a', 'b']))
  assert.ok(namesOf('a').includes('ChangeConf') && namesOf('b').includes('ApplyConfChange') && !namesOf('b').includes('ChangeConf'))
})
