/** The log by itself, where the messages around it say nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RaftLog } from '../../../cluster/raft/log.ts'
import { configuration, createRaft, entries, flush, restored, single } from '../../support/raft.ts'

const three = configuration(['a', 'b', 'c'])

test('nothing rolls back: what is committed stays whatever a later leader sends, and code that would drop it stops the peer', () => {
  const log = entries([1, 1, 1, 1])
  const b = createRaft('b', { founding: three, log, hardState: { commit: 3 } })
  for (const previousIndex of [0, 1, 2]) {
    const sent = entries([2, 2, 2, 2], previousIndex + 1)
    const previousTerm = previousIndex && 1
    b.step({ type: 'append', from: 'a', to: 'b', term: 2, previousIndex, previousTerm, entries: sent, commit: 0 })
    assert.deepEqual(
      [1, 2, 3, 4].map(index => b.termAt(index)),
      [1, 1, 1, 1]
    )
    assert.equal(single(flush(b), 'append_reply').index, 3, 'and says how far that is')
  }
  b.step({ type: 'append', from: 'a', to: 'b', term: 2, previousIndex: 3, previousTerm: 1, entries: entries([2], 4), commit: 0 })
  assert.deepEqual([b.commit, b.termAt(3), b.termAt(4)], [3, 1, 2], 'what is not committed may go')
  const bare = new RaftLog(restored({ founding: three, log }), 1_000)
  assert.throws(() => bare.truncateFrom(3, 3), /committed entries are never replaced/)
})
