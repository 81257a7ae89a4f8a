import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Cid } from '../../src/types.ts'
import { isKnown, type Operation, step, type Value } from './history.ts'
import { check } from './linearizable.ts'

const never = Number.POSITIVE_INFINITY

type Span = readonly [calledAt: number, returnedAt: number]

function call([calledAt, returnedAt]: Span, key = 'k' as Cid) {
  return { key, peer: 'p', calledAt, returnedAt }
}
const pin = (name: string, span: Span, key?: Cid): Operation => ({ ...call(span, key), kind: 'pin', name })
const unpin = (found: Value | undefined, span: Span): Operation => ({ ...call(span), kind: 'unpin', found })
const get = (found: Value, span: Span, key?: Cid): Operation => ({ ...call(span, key), kind: 'get', found })

const good: Readonly<Record<string, readonly Operation[]>> = {
  'nothing at all': [],
  'a read of what nobody pinned': [get(null, [0, 1])],
  'one after the other': [pin('a', [0, 1]), get('a', [2, 3]), unpin('a', [4, 5]), get(null, [6, 7])],
  'a read during a pin sees it': [pin('a', [0, 9]), get('a', [1, 2])],
  'a read during a pin does not see it yet': [pin('a', [0, 9]), get(null, [1, 2])],
  'two pins at once, in either order': [pin('a', [0, 9]), pin('b', [0, 9]), get('b', [10, 11])],
  'reads beside each other see the old and the new': [pin('a', [0, 9]), get('a', [1, 8]), get(null, [2, 7])],
  'a pin of unknown outcome that happened': [pin('a', [0, never]), get(null, [1, 2]), get('a', [3, 4])],
  'a pin of unknown outcome that happened long after': [pin('a', [0, never]), pin('b', [1, 2]), get('b', [3, 4]), get('a', [5, 6])],
  'a pin of unknown outcome that never happened': [pin('a', [0, never]), get(null, [1, 2])],
  'an unpin of unknown outcome that happened': [pin('a', [0, 1]), unpin(undefined, [2, never]), get('a', [3, 4]), get(null, [5, 6])],
  'an unpin of unknown outcome that did not': [pin('a', [0, 1]), unpin(undefined, [2, never]), get('a', [3, 4])],
  'an unpin beside a pin finds nothing': [pin('a', [0, 9]), unpin(null, [1, 2])],
  'an answer in the instant of a call is beside it': [pin('a', [0, 5]), get(null, [5, 6])],
  'CIDs are apart': [pin('a', [0, 1], 'x' as Cid), get(null, [2, 3], 'y' as Cid)]
}

const bad: Readonly<Record<string, readonly Operation[]>> = {
  'an acknowledged pin is lost': [pin('a', [0, 1]), get(null, [2, 3])],
  'a stale read': [pin('a', [0, 1]), pin('b', [2, 3]), get('a', [4, 5])],
  'a read of what nobody pinned': [get('a', [0, 1])],
  'a read before its pin was asked for': [get('a', [0, 1]), pin('a', [2, 3])],
  'a read goes back': [pin('a', [0, 9]), get('a', [1, 2]), get(null, [3, 4])],
  'two readers see two pins in two orders': [pin('a', [0, 9]), pin('b', [0, 9]), get('a', [10, 11]), get('b', [12, 13])],
  'an unpin is undone': [pin('a', [0, 1]), unpin('a', [2, 3]), get('a', [4, 5])],
  'an unpin ends what was replaced': [pin('a', [0, 1]), pin('b', [2, 3]), unpin('a', [4, 5])],
  'an unpin does not find what is there': [pin('a', [0, 1]), unpin(null, [2, 3])],
  'two unpins end the same pin': [pin('a', [0, 1]), unpin('a', [2, 5]), unpin('a', [3, 6])],
  'a pin of unknown outcome happens twice': [pin('a', [0, never]), get('a', [1, 2]), pin('b', [3, 4]), get('b', [5, 6]), get('a', [7, 8])],
  'an unpin of unknown outcome happens before it was asked for': [pin('a', [0, 1]), get(null, [2, 3]), unpin(undefined, [4, never])]
}

/** The definition itself: every order of every choice of the unknown ones. For few operations. */
function isLinearizableByTrying(operations: readonly Operation[], value: Value = null): boolean {
  if (!operations.some(isKnown)) return true
  const firstEnd = Math.min(...operations.map(({ returnedAt }) => returnedAt))
  return operations.some((operation, at) => {
    if (operation.calledAt > firstEnd) return false
    const after = step(value, operation)
    return after !== undefined && isLinearizableByTrying(operations.toSpliced(at, 1), after)
  })
}

/** Whatever clients may have seen, most of it impossible. */
const anything = fc.array(
  fc
    .record({
      kind: fc.constantFrom('pin', 'unpin', 'get'),
      value: fc.constantFrom(null, 'a', 'b', 'c'),
      calledAt: fc.nat(20),
      lasts: fc.constantFrom(1, 3, 8, never),
      isFound: fc.boolean()
    })
    .map(({ kind, value, calledAt, lasts, isFound }): Operation => {
      const span = [calledAt, calledAt + lasts] as const
      if (kind === 'pin') return pin(value ?? 'd', span)
      if (kind === 'unpin') return unpin(isFound && lasts !== never ? value : undefined, span)
      return get(value, [calledAt, calledAt + Math.min(lasts, 8)])
    }),
  { maxLength: 7 }
)

interface Made {
  readonly operations: readonly Operation[]
}

/** What clients see of an object that does one thing at a time: each operation happens at one moment, and takes a while before and after it. */
const correct: fc.Arbitrary<Made> = fc
  .array(
    fc.record({
      kind: fc.constantFrom('pin', 'pin', 'unpin', 'get', 'get'),
      client: fc.nat(4),
      before: fc.nat(6),
      after: fc.nat(6),
      /** The client does not get the answer; and it may not have happened. */
      isLost: fc.nat(9).map(n => n === 0),
      didHappen: fc.boolean()
    }),
    { minLength: 4, maxLength: 60 }
  )
  .map(steps => {
    const operations: Operation[] = []
    let value: Value = null
    const key = 'k' as Cid
    for (const [number, { kind, client, before, after, isLost, didHappen }] of steps.entries()) {
      const moment = number + 1
      const span = { key, peer: `p${client}`, calledAt: moment - before, returnedAt: isLost ? never : moment + after + 0.5 }
      const happens = !isLost || didHappen
      if (kind === 'pin') {
        if (happens) value = `n${number}`
        operations.push({ ...span, kind, name: `n${number}` })
      } else if (kind === 'unpin') {
        operations.push({ ...span, kind, found: isLost ? undefined : value })
        if (happens) value = null
      } else if (!isLost) operations.push({ ...span, kind: 'get', found: value })
    }
    return { operations }
  })

describe('histories of pin, unpin and get', () => {
  for (const [title, operations] of Object.entries(good)) {
    test(`accepted: ${title}`, () => assert.deepEqual(check(operations), []))
  }

  for (const [title, operations] of Object.entries(bad)) {
    test(`rejected: ${title}`, () =>
      assert.deepEqual(
        check(operations).map(({ verdict }) => verdict),
        ['violation']
      ))
  }

  test('agrees with trying every order, on whatever clients may have seen', () => {
    let accepted = 0
    let rejected = 0
    fc.assert(
      fc.property(anything, operations => {
        const expected = isLinearizableByTrying(operations)
        if (expected) accepted++
        else rejected++
        assert.equal(check(operations).length === 0, expected)
      }),
      { numRuns: 4_000, seed: 7 }
    )
    assert.ok(accepted > 500 && rejected > 500, `${accepted} accepted, ${rejected} rejected`)
  })

  test('accepts what a correct object does, however late its answers', () => {
    fc.assert(
      fc.property(correct, ({ operations }) => assert.deepEqual(check(operations), [])),
      { numRuns: 500 }
    )
  })

  test('rejects what a correct object cannot have done: a read of a pin that was replaced before the read was asked for', () => {
    fc.assert(
      fc.property(correct, ({ operations }) => {
        const end = Math.max(...operations.map(({ returnedAt }) => (returnedAt === never ? 0 : returnedAt))) + 100
        // Two pins that everybody saw end, whatever was before them and whatever is still open.
        const last = [pin('first', [end, end + 1]), pin('second', [end + 2, end + 3])]
        assert.deepEqual(check([...operations, ...last, get('second', [end + 4, end + 5])]), [])
        assert.equal(check([...operations, ...last, get('first', [end + 4, end + 5])]).length, 1)
      }),
      { numRuns: 300 }
    )
  })

  test('rejects a correct history in which one read is changed to what can only have been later', () => {
    let changed = 0
    fc.assert(
      fc.property(correct, fc.nat(), ({ operations }, chosen) => {
        const reads = operations.filter(({ kind }) => kind === 'get')
        const read = reads[chosen % Math.max(1, reads.length)]
        const later = operations.find(operation => operation.kind === 'pin' && read !== undefined && operation.calledAt > read.returnedAt)
        if (read?.kind !== 'get' || later?.kind !== 'pin') return
        changed++
        const wrong = operations.map(operation => (operation === read ? { ...read, found: later.name } : operation))
        assert.equal(check(wrong).length, 1)
      }),
      { numRuns: 500 }
    )
    assert.ok(changed > 50, `only ${changed} histories had such a read`)
  })

  test('tells the longest explanation there is', () => {
    const [verdict] = check(bad['an unpin is undone'] ?? [])
    assert.deepEqual(
      verdict?.placed.map(({ kind }) => kind),
      ['pin', 'unpin']
    )
  })

  test('says that it is undecided instead of using more memory than it may', () => {
    const open = Array.from({ length: 12 }, (_, number) => pin(`n${number}`, [0, 100]))
    const reads = [get('n0', [101, 102]), get('n1', [103, 104])]
    assert.deepEqual(
      check([...open, ...reads], { situationsMax: 100 }).map(({ verdict }) => verdict),
      ['undecided']
    )
  })
})
