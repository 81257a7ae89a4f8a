import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { brokenPromises, type SeenPin, type Sighting } from './sightings.ts'

const none: ReadonlySet<string> = new Set()

function seen(at: number, pin: SeenPin | null, more: Partial<Sighting> = {}): Sighting {
  return { key: 'k', peer: 'p', calledAt: at, returnedAt: at + 1, pin, ...more }
}
const a = { name: 'a', version: 3 }
const b = { name: 'b', version: 5 }

describe('what every read must show', () => {
  test('a CID goes forward: pinned, replaced, ended, pinned again', () => {
    const later = { name: 'c', version: 9 }
    const sightings = [seen(0, null), seen(2, a), seen(4, b), seen(6, null, { ended: b }), seen(8, null), seen(10, later)]
    assert.deepEqual(brokenPromises(sightings, { denied: none }), [])
  })

  test('reads beside each other may see the old and the new', () => {
    assert.deepEqual(brokenPromises([seen(0, b, { returnedAt: 9 }), seen(1, a, { returnedAt: 10 })], { denied: none }), [])
  })

  test('another peer may be behind', () => {
    assert.deepEqual(brokenPromises([seen(0, b), seen(2, a, { peer: 'q' })], { denied: none }), [])
  })

  for (const [title, sightings] of Object.entries({
    'an older pin comes back': [seen(0, b), seen(2, a)],
    'a pin comes back after its unpin': [seen(0, null, { ended: a }), seen(2, a)],
    'a pin comes back that was not there any more': [seen(0, a), seen(2, null), seen(4, a)],
    'one version is two pins': [seen(0, a), seen(2, { ...b, version: a.version }, { peer: 'q' })],
    'a slow read does not hide what was seen before it': [seen(0, b), seen(2, a, { returnedAt: 50 })]
  })) {
    test(`broken: ${title}`, () => assert.equal(brokenPromises(sightings, { denied: none }).length, 1))
  }

  test('broken: what was denied is there', () => {
    assert.equal(brokenPromises([seen(0, a)], { denied: new Set(['a']) }).length, 1)
  })
})
