import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from 'cborg'
import fc from 'fast-check'
import { outlineOfRecord } from '../../../cluster/state/outline.ts'
import { encodePin } from '../../../cluster/state/record.ts'
import { outlineOf } from '../../../src/pin-page.ts'
import type { Multiaddr, PeerId, Pin } from '../../../src/types.ts'
import { listedCids, listedPins } from '../../support/listed-pins.ts'

const numbers = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true }), fc.constantFrom(-1, 0, 23, 24, 255, 256, 65_536, 2 ** 32))
const rest = fc.record({
  replicationMin: fc.integer(),
  replicationMax: fc.integer(),
  allocations: fc.array(
    fc.string({ maxLength: 80 }).map(text => text as PeerId),
    { maxLength: 30, size: 'max' }
  ),
  expireAt: fc.option(numbers),
  metadata: fc.dictionary(fc.string(), fc.string({ maxLength: 300, size: 'max' })),
  pinUpdate: fc.option(listedCids),
  origins: fc.array(fc.string().map(text => text as Multiaddr)),
  maxDepth: fc.constantFrom(-1, 0, 1, 2, 30),
  shardSize: numbers,
  timestamp: numbers
})
const pins: fc.Arbitrary<Pin> = fc.tuple(listedPins, rest).map(([pin, rest]) => {
  const all = { ...pin, ...rest }
  return { ...all, mode: all.maxDepth === 0 ? 'direct' : 'recursive' }
})

test('what is read from the bytes of a record is what the pin says', () => {
  fc.assert(
    fc.property(pins, pin => {
      const { isDirect, isPlain, name } = outlineOf(pin)
      const read = outlineOfRecord(encodePin(pin))
      assert.deepEqual(read && { ...read, name: Buffer.from(read.name) }, { isDirect, isPlain, name: Buffer.from(name) })
    })
  )
})

test('what is written otherwise is not read', () => {
  fc.assert(
    fc.property(listedPins, fc.nat(1_000), (pin, length) => {
      const record = encodePin(pin)
      // The depth and what stands behind it are 13 bytes, of which all but the first are not looked at.
      const cut = record.subarray(0, length % (record.length - 12))
      assert.equal(outlineOfRecord(cut), undefined)
    })
  )
  for (const odd of [[], [1], [2, ...new Array<number>(14).fill(0)], new Array<number>(15).fill(1), { a: 1 }, 7]) {
    assert.equal(outlineOfRecord(encode(odd)), undefined, JSON.stringify(odd))
  }
  assert.equal(outlineOfRecord(new Uint8Array()), undefined)
})
