import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginning } from '../../cluster/joining.ts'
import { systemClock } from '../../src/clock.ts'
import { isFault } from '../../src/errors.ts'
import { openLog } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import { newcomer, peerId } from '../support/newcomer.ts'

const nobody = { dialAny: () => Promise.reject(new Error('nobody is asked')) }
const parts = { network: nobody, clock: systemClock, log: openLog({ level: 'silent', name: 'test' }) }

function begin(self: number, initPeerset: readonly PeerId[]) {
  return beginning(parts, { self: newcomer(self), bootstrap: [], initPeerset, peerAddresses: [] })
}

test('founders that were given the same list come to the same cluster, those with another list to another, which refuses them', () => {
  const clusterOf = (self: number, ...numbers: number[]) => {
    const start = begin(self, numbers.map(peerId))
    assert.ok(start.type === 'found')
    return start.clusterId
  }
  assert.equal(clusterOf(1, 1, 2, 3), clusterOf(2, 3, 2, 1))
  assert.notEqual(clusterOf(1, 1, 2, 3), clusterOf(1, 1, 2))
  assert.throws(
    () => begin(4, [1, 2, 3].map(peerId)),
    error => isFault(error, 'cannot_start') && /does not list this peer/.test(error.message)
  )
})
