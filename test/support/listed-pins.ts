/** Pins at random, as far as a list shows them: CIDs of both versions, some with names. */
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { cidOf } from '../../src/codec.ts'
import type { Cid, Pin } from '../../src/types.ts'
import { examplePin } from './pins.ts'

const old = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(digest => CID.createV0(create(0x12, digest)))
const fresh = fc
  .tuple(fc.constantFrom(0x55, 0x70, 0x0129), fc.constantFrom(0x12, 0x1e, 0xb220), fc.uint8Array({ maxLength: 64 }))
  .map(([codec, hash, digest]) => CID.createV1(codec, create(hash, digest)))
const carrying = fc.uint8Array({ maxLength: 300 }).map(content => CID.createV1(0x55, create(0, content)))

export const listedCids: fc.Arbitrary<Cid> = fc.oneof(old, fresh, carrying).map(cidOf)

const names = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom('a', 'a <&> b', 'ü\u2028\n"', 'x'.repeat(70), '\u{1f600}') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 30 }) }
)

export const listedPins: fc.Arbitrary<Pin> = fc
  .record({
    cid: listedCids,
    name: names,
    isDirect: fc.nat(4).map(number => number === 0),
    type: fc.oneof({ weight: 6, arbitrary: fc.constant('pin' as const) }, { weight: 1, arbitrary: fc.constant('shard-pin' as const) })
  })
  .map(({ isDirect, ...pin }) => ({
    ...examplePin,
    ...pin,
    mode: isDirect ? ('direct' as const) : ('recursive' as const),
    maxDepth: isDirect ? 0 : -1
  }))
