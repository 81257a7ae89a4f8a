import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { allocate, type Candidate, type Placement } from '../../cluster/allocator.ts'
import { isFault } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'

const peer = (number: number) => `peer-${number}` as PeerId
const candidate = (number: number, freeBytes: number | null = 100 + number, isAlive = true): Candidate => ({
  id: peer(number),
  isAlive,
  freeBytes
})
const placement = (changes: Partial<Placement>): Placement => ({
  replicationMin: 2,
  replicationMax: 3,
  current: [],
  isUnchanged: false,
  preferred: [],
  candidates: [1, 2, 3, 4, 5].map(number => candidate(number)),
  ...changes
})

const ids = fc.uniqueArray(fc.integer({ min: 0, max: 8 }), { maxLength: 9 }).map(numbers => numbers.map(peer))
const placements: fc.Arbitrary<Placement> = fc
  .record({
    factors: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 4 })),
    current: ids,
    isUnchanged: fc.boolean(),
    preferred: ids,
    candidates: fc.uniqueArray(
      fc.record({
        number: fc.integer({ min: 0, max: 8 }),
        isAlive: fc.boolean(),
        freeBytes: fc.oneof(fc.constant(null), fc.constant(0), fc.integer({ min: 1, max: 4 }))
      }),
      { selector: ({ number }) => number }
    )
  })
  .map(({ factors: [min, more], candidates, ...rest }) => ({
    ...rest,
    replicationMin: min,
    replicationMax: min + more,
    candidates: candidates.map(({ number, ...state }) => ({ id: peer(number), ...state }))
  }))

/** The holders, or `null` where there are too few. */
function tried(wanted: Placement): PeerId[] | null {
  try {
    return allocate(wanted)
  } catch (error) {
    assert.ok(isFault(error, 'not_enough_peers'), String(error))
    assert.equal(error.fault.wanted, wanted.replicationMin)
    assert.ok(error.fault.available < wanted.replicationMin)
    return null
  }
}

test('for any cluster: enough holders and not too many, sorted, each once, able to hold it', () => {
  fc.assert(
    fc.property(placements, wanted => {
      const holders = tried(wanted)
      const { replicationMin, replicationMax, current, candidates, isUnchanged } = wanted
      const living = current.filter(id => candidates.find(one => one.id === id)?.isAlive)
      const able = candidates.filter(({ id, isAlive, freeBytes }) => isAlive && (current.includes(id) || (freeBytes ?? 0) > 0))
      if (holders === null) return able.length < replicationMin
      if (isUnchanged && living.length >= replicationMin) {
        assert.deepEqual(holders, current)
        return true
      }
      assert.ok(holders.length >= replicationMin && holders.length <= replicationMax)
      assert.equal(holders.length, Math.min(able.length, replicationMax), 'as many as there are, up to the maximum')
      assert.deepEqual(holders, [...new Set(holders)].toSorted())
      assert.ok(holders.every(id => able.some(one => one.id === id)))
      // Who holds it and lives stays, as far as there is place.
      assert.equal(holders.filter(id => living.includes(id)).length, Math.min(living.length, replicationMax))
      return true
    }),
    { numRuns: 3_000 }
  )
})

test('for any cluster: the answer does not depend on the order in which peers are listed', () => {
  fc.assert(
    fc.property(placements, wanted => {
      const turned = { ...wanted, candidates: wanted.candidates.toReversed() }
      assert.deepEqual(tried(wanted), tried(turned))
    }),
    { numRuns: 2_000 }
  )
})

test('for any cluster: nobody left out has more space than a newcomer that was taken, unless that one was preferred', () => {
  fc.assert(
    fc.property(placements, wanted => {
      const holders = tried({ ...wanted, isUnchanged: false })
      if (holders === null) return
      const space = (id: PeerId) => wanted.candidates.find(one => one.id === id)?.freeBytes ?? 0
      const taken = holders.filter(id => !wanted.current.includes(id) && !wanted.preferred.includes(id))
      const left = wanted.candidates.filter(({ id, isAlive, freeBytes }) => isAlive && freeBytes !== null && !holders.includes(id))
      for (const id of taken) for (const other of left) if (!wanted.current.includes(other.id)) assert.ok(space(id) >= space(other.id))
    }),
    { numRuns: 2_000 }
  )
})

test('free space decides, preferred peers go first in their order', () => {
  assert.deepEqual(allocate(placement({})), [peer(3), peer(4), peer(5)])
  assert.deepEqual(allocate(placement({ replicationMax: 2, preferred: [peer(2), peer(1), peer(3)] })), [peer(1), peer(2)])
})

test('-1 is every peer, also those that are down', () => {
  assert.deepEqual(allocate(placement({ replicationMin: -1, replicationMax: -1, candidates: [candidate(1, null, false)] })), [])
})

test('too few peers are a fault that says who was left out and why', () => {
  const candidates = [candidate(1), candidate(2, 0), candidate(3, null), candidate(4, 9, false)]
  assert.throws(
    () => allocate(placement({ candidates })),
    error =>
      isFault(error, 'not_enough_peers') &&
      /Needed at least: 2/.test(error.message) &&
      /peer-2 is full, peer-3 has no word from its Kubo, peer-4 does not answer/.test(error.message)
  )
  assert.throws(() => allocate(placement({ candidates: [candidate(1)] })), /The cluster has 1 peers/)
})
