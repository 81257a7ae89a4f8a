import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Reach } from '../../../cluster/consensus/reach.ts'
import { isFault } from '../../../src/errors.ts'
import type { PeerId } from '../../../src/types.ts'
import { newcomer, peerId } from '../../support/newcomer.ts'

/** Peer 1, in a cluster of so many voters and one learner, connected to these. */
function reach({ voters, connected }: { voters: number; connected: readonly number[] }): Reach {
  const members = Array.from({ length: voters + 1 }, (_, at) => ({ ...newcomer(at + 1), isVoter: at < voters }))
  const up = new Set<PeerId>(connected.map(peerId))
  return new Reach({ self: peerId(1), isConnected: peer => up.has(peer) }, () => members)
}

describe('how long a client waits', () => {
  test('at a peer that reaches a majority: as long as it may, also without a leader', () => {
    assert.equal(reach({ voters: 3, connected: [3] }).patienceMs(null, 10_000), 10_000)
    assert.equal(reach({ voters: 1, connected: [] }).patienceMs(null, 10_000), 10_000)
  })

  test('at a peer that reaches nobody, or half of all, not even two seconds', () => {
    for (const alone of [reach({ voters: 3, connected: [] }), reach({ voters: 4, connected: [2] })]) {
      assert.ok(alone.patienceMs(null, 10_000) < 2_000)
    }
  })

  test('a learner is nobody to hope for', () => {
    assert.ok(reach({ voters: 2, connected: [3] }).patienceMs(null, 10_000) < 2_000)
  })

  test('at a leader that lost its followers not even two seconds; where somebody else leads, as long as it may', () => {
    const alone = reach({ voters: 3, connected: [] })
    assert.ok(alone.patienceMs(peerId(1), 10_000) < 2_000)
    assert.equal(alone.patienceMs(peerId(2), 10_000), 10_000)
  })

  test('never longer than it may', () => assert.equal(reach({ voters: 3, connected: [] }).patienceMs(null, 300), 300))

  test('and is told who is missing', () => {
    const error = reach({ voters: 3, connected: [2] }).noLeader()
    assert.ok(isFault(error, 'no_leader'))
    assert.deepEqual(error.fault, { code: 'no_leader', voters: 3, reached: 2 })
    assert.match(error.message, /2 of 3 voters are reached, not reached: /)
  })
})
