import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { brokenPlace } from '../../src/json-place.ts'

test('what the parser takes has no broken place, and what it refuses has one', () => {
  // JSON with one letter taken out, put in or changed: sometimes still JSON, mostly not.
  const damaged = fc.tuple(
    fc.json(),
    fc.nat(),
    fc.nat(1),
    fc.constantFrom('', ',', '"', '}', ']', ':', '1', '-', 'e', '\\', '\n', 'x', '{', '[')
  )
  fc.assert(
    fc.property(damaged, ([json, at, removed, added]) => {
      const position = at % (json.length + 1)
      const text = json.slice(0, position) + added + json.slice(position + removed)
      assert.equal(brokenPlace(text) === undefined, isJson(text), text)
    }),
    { numRuns: 3_000 }
  )
})

test('the place is where the mistake begins', () => {
  const places: readonly (readonly [string, number, number])[] = [
    ['', 1, 1],
    ['{"a": 1,}', 1, 9],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3],
    ['{\n  "a": nul\n}', 2, 8],
    ['{"a": [1, 2}', 1, 12],
    ['{"a": 1', 1, 8],
    ['{"a": 1}\n\n x', 3, 2],
    ["{'a': 1}", 1, 2],
    ['{"a": "x', 1, 7],
    ['[01]', 1, 2]
  ]
  for (const [text, line, column] of places) assert.deepEqual(brokenPlace(text), { line, column }, text)
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
