import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Agreement } from '../../../cluster/health/agreement.ts'
import { encodeOperation } from '../../../cluster/state/operations.ts'
import type { Log } from '../../../src/log.ts'
import type { PeerId, Pin } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { type TestPeer, TestPeers } from '../../support/consensus.ts'
import { silent } from '../../support/network.ts'
import { examplePin } from '../../support/pins.ts'
import { until } from '../../support/until.ts'

const [b, c] = ['b', 'c'] as [PeerId, PeerId]

test('peers say the same of every index, however the entries came to them; one whose state was changed past the log is found', async () => {
  await using peers = await TestPeers.open()
  await Promise.all([1, 2, 3].map(number => peers.start(number, peers.found(1, 2, 3))))
  await until('a leader', () => peers.leader())
  const pins = Array.from({ length: 60 }, (_, at) => ({ ...examplePin, cid: inline(`agreed-${at}`) }))
  const pinAt = (number: number, pin: Pin) => peers.get(number).consensus.propose(encodeOperation({ type: 'pin', pin, basedOn: 0 }))
  await Promise.all(pins.map((pin, at) => pinAt((at % 3) + 1, pin)))
  const [one, two, three] = [1, 2, 3].map(number => peers.get(number)) as [TestPeer, TestPeer, TestPeer]
  const applied = (peer: TestPeer) => peer.consensus.status().applied
  await until(
    'all have applied the same',
    () => one.pinset.count === 60 && applied(one) === applied(two) && applied(two) === applied(three)
  )
  for (let index = 1; index <= applied(one); index++) {
    const said = [one, two, three].map(({ pinset }) => pinset.hashAt(index))
    assert.deepEqual(said, Array(3).fill(said[0]), `at index ${index}`)
  }
  const compared = new Agreement({ applied: () => applied(one), hashAt: index => one.pinset.hashAt(index), log: silent })
  const data = encodeOperation({
    type: 'unpin',
    cid: inline('agreed-7'),
    basedOn: (await two.pinset.get(inline('agreed-7')))?.version ?? 0
  })
  ;(await two.pinset.apply([{ index: applied(two), data }])).committed()
  for (const peer of [two, three]) compared.hear(peer.id, { applied: applied(peer), stateHash: peer.pinset.hash })
  assert.deepEqual([compared.differs(two.id), compared.differs(three.id)], [applied(one), undefined])
})

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
