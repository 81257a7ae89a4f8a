import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, encode } from 'cborg'
import fc from 'fast-check'
import { decodeOperation, decodeResult, encodeOperation, encodeResult } from '../../../cluster/state/operations.ts'
import { decodePin, encodePin, recordOf, withVersion } from '../../../cluster/state/record.ts'
import { parseCid } from '../../../src/codec.ts'
import type { Multiaddr, PeerId, Pin } from '../../../src/types.ts'

const cid = parseCid('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy')
const other = parseCid('QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG')

const pins = fc.record({
  cid: fc.constant(cid),
  type: fc.constantFrom('pin', 'meta-pin', 'clusterdag-pin', 'shard-pin'),
  name: fc.string({ unit: 'binary' }),
  mode: fc.constantFrom('recursive', 'direct'),
  replicationMin: fc.integer({ min: -1, max: 9 }),
  replicationMax: fc.integer({ min: -1, max: 9 }),
  allocations: fc.array(fc.string()) as fc.Arbitrary<PeerId[]>,
  expireAt: fc.option(fc.maxSafeNat()),
  metadata: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
  pinUpdate: fc.option(fc.constant(other)),
  origins: fc.array(fc.string()) as fc.Arbitrary<Multiaddr[]>,
  maxDepth: fc.integer({ min: -1, max: 2 }),
  reference: fc.option(fc.constant(other)),
  shardSize: fc.maxSafeNat(),
  timestamp: fc.maxSafeNat(),
  version: fc.maxSafeNat()
}) as fc.Arbitrary<Pin>

/** The mode is not stored: it is what the depth says. */
const consistent = pins.map(pin => ({ ...pin, mode: pin.maxDepth === 0 ? ('direct' as const) : ('recursive' as const) }))

test('a pin comes back from its bytes as it went in', () => {
  fc.assert(fc.property(consistent, pin => assert.deepEqual(decodePin(cid, encodePin(pin)), pin)))
})

test('an operation and its result come back as they went in', () => {
  fc.assert(
    fc.property(consistent, fc.maxSafeNat(), (pin, basedOn) => {
      for (const operation of [{ type: 'pin', pin, basedOn } as const, { type: 'unpin', cid: pin.cid, basedOn } as const])
        assert.deepEqual(decodeOperation(encodeOperation(operation)), operation)
      const note = { type: 'note', note: { at: basedOn, text: pin.name.toWellFormed() } } as const
      assert.deepEqual(decodeOperation(encodeOperation(note)), note)
      const merge = { type: 'merge', records: [recordOf(pin)], existing: basedOn % 2 === 0 ? 'replace' : 'keep' } as const
      const back = decodeOperation(encodeOperation(merge))
      assert.ok(back.type === 'merge')
      assert.deepEqual([back.records.map(({ pin }) => pin), back.existing], [[{ ...pin, version: 0 }], merge.existing])
      assert.deepEqual(decodePin(pin.cid, withVersion(recordOf(pin).bytes, basedOn)), { ...pin, version: basedOn })
      for (const result of [
        { status: 'merged', added: basedOn, replaced: 1, unchanged: 0 } as const,
        { status: 'done' } as const,
        { status: 'conflict', version: basedOn } as const
      ])
        assert.deepEqual(decodeResult(encodeResult(result)), result)
    })
  )
})

test('a record with a field too many, too few or of another kind is refused, never guessed', () => {
  const [sample] = fc.sample(consistent, 1)
  assert.ok(sample)
  const fields = decode(encodePin(sample)) as unknown[]
  const refused = (changed: readonly unknown[]) =>
    assert.throws(() => decodePin(cid, encode(changed)), /not of a layout this version knows/)
  refused([...fields, 0])
  refused(fields.slice(0, -1))
  for (const position of fields.keys()) refused(fields.with(position, true))
  refused(fields.with(0, 2))
  refused(fields.with(1, 4))
  refused(fields.with(5, [1]))
  refused(fields.with(7, { key: 1 }))
  assert.throws(() => decodePin(cid, encode({})), /not of a layout/)
})

test('an operation that this version does not know is an error, for a peer that skipped it would differ from the others', () => {
  const [sample] = fc.sample(consistent, 1)
  assert.ok(sample)
  const pin = decode(encodeOperation({ type: 'pin', pin: sample, basedOn: 1 })) as unknown[]
  const unpin = decode(encodeOperation({ type: 'unpin', cid, basedOn: 1 })) as unknown[]
  for (const strange of [
    pin.with(0, 3),
    pin.with(1, 'text'),
    pin.with(2, null),
    pin.with(3, 0.5),
    [...pin, 1],
    unpin.with(2, null),
    [3, [], 2],
    [3, [pin[1]], 0],
    [3, [pin[1], pin[1], pin[1]], 0],
    [3, [pin[1], 'text'], 0],
    [3, [pin[1], encodePin({ ...sample, version: 1 })], 0],
    [...unpin, 1],
    [],
    {},
    7
  ])
    assert.throws(() => decodeOperation(encode(strange)), /does not know/)
  assert.throws(() => decodeResult(encode([2])), /does not know/)
})
