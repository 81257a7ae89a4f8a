import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { allocate, type Candidate, type Placement } from '../../cluster/allocator.ts'
import { isFault } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import { cid } from '../support/consensus-pins.ts'

const peer = (number: number) => `peer-${number}` as PeerId
const candidate = (number: number, freeBytes: number | null = 100 + number, isAlive = true): Candidate => ({
  id: peer(number),
  isAlive,
  freeBytes
})
const placement = (changes: Partial<Placement>): Placement => ({
  cid: cid('a pin'),
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
    cid: fc.integer({ min: 0, max: 50 }).map(number => cid(`pin ${number}`)),
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

/** How many of `count` pins each peer gets. */
function shares(wanted: Placement, count: number): ReadonlyMap<PeerId, number> {
  const counts = new Map<PeerId, number>()
  for (let index = 0; index < count; index++) {
    for (const id of allocate({ ...wanted, cid: cid(`share ${index}`) })) counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return counts
}

test('pins with one copy go to peers in proportion to their free space, and nobody with space gets none', () => {
  const spaces = [1e9, 1e9, 2e9, 4e9]
  const candidates = [
    ...spaces.map((space, index) => candidate(index + 1, space)),
    candidate(5, 0),
    candidate(6, null),
    candidate(7, 9e9, false)
  ]
  const counts = shares(placement({ replicationMin: 1, replicationMax: 1, candidates }), 8_000)
  assert.deepEqual([...counts.keys()].toSorted(), [1, 2, 3, 4].map(peer))
  // 1,000 pins for each 1e9 bytes; chance makes no more than 4 standard deviations of it.
  for (const [index, space] of spaces.entries()) {
    const share = space / 8e9
    const deviation = Math.abs(counts.get(peer(index + 1))! - 8_000 * share)
    assert.ok(deviation < 4 * Math.sqrt(8_000 * share * (1 - share)), `peer ${index + 1} is ${deviation} pins off`)
  }
})

test('pins with copies on some of the peers are spread over all', () => {
  const counts = shares(placement({ replicationMax: 2, candidates: [1, 2, 3, 4].map(number => candidate(number, 5e9)) }), 4_000)
  for (const number of [1, 2, 3, 4])
    assert.ok(Math.abs(counts.get(peer(number))! - 2_000) < 150, `peer ${number} has ${counts.get(peer(number))}`)
})

test('for any cluster: one more peer takes pins over, and moves none between the others', () => {
  fc.assert(
    fc.property(placements, fc.integer({ min: 1, max: 4 }), (wanted, freeBytes) => {
      const fresh = { ...wanted, current: [], preferred: [] }
      const before = tried(fresh)
      const after = tried({ ...fresh, candidates: [...wanted.candidates, candidate(9, freeBytes)] })
      if (before === null || after === null) return
      assert.deepEqual(
        after.filter(id => id !== peer(9) && !before.includes(id)),
        []
      )
    }),
    { numRuns: 2_000 }
  )
})

test('preferred peers go first in their order', () => {
  const holders = allocate(placement({ replicationMax: 2, preferred: [peer(2), peer(1), peer(3)] }))
  assert.deepEqual(holders, [peer(1), peer(2)])
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
