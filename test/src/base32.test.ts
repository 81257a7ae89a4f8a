import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { bytesOfCid, textOfCid } from '../../src/base32.ts'

const cids = fc
  .tuple(fc.nat(2 ** 40), fc.nat(2 ** 40), fc.uint8Array({ maxLength: 200 }))
  .map(([codec, hash, digest]) => CID.createV1(codec, { code: hash, size: digest.length, digest, bytes: multihash(hash, digest) }))

test('text and bytes are those of the library', () => {
  fc.assert(
    fc.property(cids, cid => {
      assert.equal(textOfCid(cid.bytes), cid.toString())
      assert.deepEqual(bytesOfCid(cid.toString()), new Uint8Array(cid.bytes))
    })
  )
})

test('what the library does not take, or would write otherwise, is left to it', () => {
  const known = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
  assert.ok(bytesOfCid(known))
  const strange = [
    '',
    'b',
    known.toUpperCase(),
    `${known}a`,
    known.slice(0, -1),
    `${known.slice(0, -1)}z`,
    known.replace('k', '1'),
    `${known}é`
  ]
  for (const text of [...strange, 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG']) assert.equal(bytesOfCid(text), undefined, text)
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'abcdefz234567') }), rest => {
      const text = `baf${rest}`
      const bytes = bytesOfCid(text)
      if (bytes !== undefined) assert.equal(CID.decode(bytes).toString(), text)
    })
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), tail => {
      const bytes = new Uint8Array([1, ...tail])
      const text = textOfCid(bytes)
      if (text !== undefined) assert.equal(CID.decode(bytes).toString(), text)
    })
  )
})

function multihash(code: number, digest: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array([...varint(code), ...varint(digest.length), ...digest])
}

function varint(number: number): number[] {
  return number < 128 ? [number] : [(number % 128) + 128, ...varint(Math.floor(number / 128))]
}
