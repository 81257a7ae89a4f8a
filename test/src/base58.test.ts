import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { textOfOldCid } from '../../src/base58.ts'

test('the text of a CID of version 0 is that of the library', () => {
  const digests = fc.oneof(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    fc.constantFrom(0, 255).map(byte => new Uint8Array(32).fill(byte))
  )
  fc.assert(
    fc.property(digests, digest => {
      const bytes = new Uint8Array([0x12, 0x20, ...digest])
      assert.equal(textOfOldCid(bytes), CID.decode(bytes).toString())
    })
  )
})

test('what is none is left to it', () => {
  const digest = new Array<number>(32).fill(7)
  for (const bytes of [[], [0x12, 0x20], [0x12, 0x20, ...digest, 1], [0x12, 0x1f, ...digest.slice(1)], [1, 0x55, 0x12, 0x20, ...digest]]) {
    assert.equal(textOfOldCid(new Uint8Array(bytes)), undefined)
  }
})
