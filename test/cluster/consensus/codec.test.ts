import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeEntry, decodeMessage, encodeEntry, encodeMessage } from '../../../cluster/consensus/codec.ts'
import type { Entry, Message } from '../../../cluster/raft/types.ts'

const number = fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat())
const data = fc.uint8Array({ maxLength: 200 })
const member = fc.record({ id: fc.string(), isVoter: fc.boolean(), context: data })
const ends = { from: 'a', to: 'b' }

const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ index: number, term: number, type: fc.constant('normal'), data }),
  fc.record({ index: number, term: number, type: fc.constant('empty') }),
  fc.record({
    index: number,
    term: number,
    type: fc.constant('configuration'),
    configuration: fc.record({ members: fc.array(member, { maxLength: 5 }) })
  })
)

/** Entries that follow each other, as every append has them. */
const append: fc.Arbitrary<Message> = fc
  .tuple(fc.nat(), fc.nat(), number, number, fc.array(fc.tuple(entry, fc.nat(3)), { maxLength: 8 }))
  .map(([previousIndex, previousTerm, term, commit, drawn]) => {
    let last = previousTerm
    const entries = drawn.map(([one, step], position): Entry => ({ ...one, index: previousIndex + 1 + position, term: (last += step) }))
    return { ...ends, type: 'append', term, previousIndex, previousTerm, commit, entries }
  })

const envelope = { from: fc.constant('a'), to: fc.constant('b'), term: number }
const message: fc.Arbitrary<Message> = fc.oneof(
  append,
  fc.record({ ...envelope, type: fc.constant('append_reply'), rejected: fc.constant(false), index: number }),
  fc.record({
    ...envelope,
    type: fc.constant('append_reply'),
    rejected: fc.constant(true),
    index: number,
    hintIndex: number,
    hintTerm: number
  }),
  fc.record({ ...envelope, type: fc.constant('heartbeat'), commit: number, token: number }),
  fc.record({ ...envelope, type: fc.constant('commit'), commit: number }),
  fc.record({ ...envelope, type: fc.constant('timeout_now'), index: number }),
  fc.record({ ...envelope, type: fc.constant('snapshot'), index: number }),
  fc.record({ ...envelope, type: fc.constant('heartbeat_reply'), token: number }),
  fc.record({
    ...envelope,
    type: fc.constant('vote'),
    isPreVote: fc.boolean(),
    isTransfer: fc.boolean(),
    lastIndex: number,
    lastTerm: number
  }),
  fc.record({ ...envelope, type: fc.constant('vote_reply'), isPreVote: fc.boolean(), rejected: fc.boolean() })
)

/** Bytes as plain arrays: a view and a copy of the same bytes are equal. */
const plain = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value, (_key, item) =>
      item instanceof Uint8Array || item?.type === 'Buffer' ? Buffer.from(item).toString('hex') : item
    )
  )

test('every entry and every message is read back as it was written', () => {
  fc.assert(fc.property(entry, one => assert.deepEqual(plain(decodeEntry(encodeEntry(one))), plain(one))))
  fc.assert(
    fc.property(message, one => assert.deepEqual(plain(decodeMessage(encodeMessage(one), ends)), plain(one))),
    { numRuns: 500 }
  )
})

test('an entry is encoded once: the bytes for the disk are the bytes for the peers, also on the way through a follower', () => {
  const one: Entry = { index: 7, term: 2, type: 'normal', data: new Uint8Array([1, 2, 3]) }
  const bytes = encodeEntry(one)
  assert.equal(encodeEntry(one), bytes)
  const sent = encodeMessage({ ...ends, type: 'append', term: 2, previousIndex: 6, previousTerm: 2, commit: 6, entries: [one] })
  const received = decodeMessage(sent, ends)
  assert.ok(received.type === 'append' && received.entries[0])
  const stored = encodeEntry(received.entries[0])
  assert.deepEqual(Buffer.from(stored), Buffer.from(bytes))
  assert.equal(stored.buffer, sent.buffer, 'a view of what arrived, not a copy')
})

test('any bytes are either a message or one error, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), bytes => {
      try {
        const found = decodeMessage(bytes, ends)
        assert.deepEqual(Buffer.from(encodeMessage(found)), Buffer.from(bytes))
      } catch (error) {
        assert.ok(error instanceof Error && !(error instanceof RangeError) && !(error instanceof TypeError), String(error))
      }
    }),
    { numRuns: 5_000 }
  )
})

test('a message that is cut off or longer than it should be is refused', () => {
  fc.assert(
    fc.property(message, fc.nat(), (one, at) => {
      const bytes = encodeMessage(one)
      const shorter = bytes.subarray(0, at % bytes.length)
      // An append may end behind any of its entries and be a shorter append.
      if (one.type !== 'append' || shorter.length < 34) assert.throws(() => decodeMessage(shorter, ends))
      assert.throws(() => decodeMessage(Buffer.concat([bytes, Buffer.from([0])]), ends))
    })
  )
})

test('one flipped bit in an entry is noticed', () => {
  fc.assert(
    fc.property(entry, fc.nat(), (one, at) => {
      const bytes = Buffer.from(encodeEntry(one))
      const bit = at % (bytes.length * 8)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      assert.throws(() => decodeEntry(bytes))
    }),
    { numRuns: 500 }
  )
})

test('entries that do not follow each other are refused before they reach the core', () => {
  const at = (index: number, term: number): Entry => ({ index, term, type: 'empty' })
  const holes: (readonly Entry[])[] = [[at(8, 2)], [at(7, 2), at(9, 2)], [at(7, 1)], [at(7, 3), at(8, 2)]]
  for (const entries of holes) {
    const bytes = encodeMessage({ ...ends, type: 'append', term: 3, previousIndex: 6, previousTerm: 2, commit: 6, entries })
    assert.throws(() => decodeMessage(bytes, ends), /follow each other/)
  }
})
