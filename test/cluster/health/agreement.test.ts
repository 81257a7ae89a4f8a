import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Agreement } from '../../../cluster/health/agreement.ts'
import type { Log } from '../../../src/log.ts'
import type { PeerId } from '../../../src/types.ts'

const [b, c] = ['b', 'c'] as [PeerId, PeerId]

function agreement(hashes: Readonly<Record<number, string>>) {
  const errors: unknown[] = []
  const log = { error: (fields: object) => errors.push(fields) } as unknown as Log
  return { errors, agreement: new Agreement({ applied: () => 10, hashAt: index => hashes[index], log }) }
}

test('a peer that says another hash of the same index differs, until it says the right one; it is told once', () => {
  const { agreement: compared, errors } = agreement({ 8: '1:aa', 10: '1:bb' })
  compared.hear(b, { applied: 8, stateHash: '1:aa' })
  assert.equal(compared.differs(b), undefined)
  compared.hear(b, { applied: 10, stateHash: '1:cc' })
  compared.hear(b, { applied: 10, stateHash: '1:cc' })
  assert.deepEqual([compared.differs(b), compared.differs(c)], [10, undefined])
  assert.deepEqual(errors, [{ peer: b, index: 10, own: '1:bb', other: '1:cc' }])
  compared.hear(b, { applied: 10, stateHash: '1:bb' })
  assert.equal(compared.differs(b), undefined)
})

test('what cannot be compared says nothing: ahead of this peer, too long ago, of another layout, or no hash at all', () => {
  const { agreement: compared } = agreement({ 10: '1:bb', 11: '1:dd' })
  for (const [applied, stateHash] of [
    [11, '1:cc'],
    [3, '1:cc'],
    [10, '2:cc'],
    [10, '']
  ] as const) {
    compared.hear(b, { applied, stateHash })
    assert.equal(compared.differs(b), undefined)
  }
})
