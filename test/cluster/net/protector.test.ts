import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { Keystream } from '../../../cluster/net/protector.ts'

const counting = (from: number, length: number) => Buffer.from(Array.from({ length }, (_, index) => from + index))

test('the key stream is XSalsa20', () => {
  // From the NaCl paper (D. J. Bernstein, "Cryptography in NaCl", section 8).
  const key = Buffer.from('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389', 'hex')
  const nonce = Buffer.from('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37', 'hex')
  const start = Buffer.from(new Keystream(key, nonce).apply(new Uint8Array(64))).toString('hex')
  assert.equal(
    start,
    'eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880309e645a74e9e0a60d8243acd9177ab51a1beb8d5a2f5d700c093c5e55855796'
  )
})

test('it runs on over 1,563 blocks as an implementation of the specification in another language does', () => {
  const stream = new Keystream(counting(0, 32), counting(100, 24)).apply(new Uint8Array(100_003))
  assert.equal(Buffer.from(stream.subarray(0, 32)).toString('hex'), '687dffe12afa5fef7e0feb195d6cd992f49572d6194281e3c87fbb4e2106932c')
  assert.equal(createHash('sha256').update(stream).digest('hex'), 'a6f9e49188f6fc64fe47d767e0e64bae51e5a66d6bc5a677e364819079deba57')
})

test('however the bytes are cut, and into whatever lists, the same comes out, and what goes in stays as it is', () => {
  const key = randomBytes(32)
  const nonce = randomBytes(24)
  const data = randomBytes(4_096)
  const before = Buffer.from(data)
  const whole = Buffer.from(new Keystream(key, nonce).apply(data))
  fc.assert(
    fc.property(fc.array(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 4 }), { maxLength: 40 }), sizes => {
      const cut = new Keystream(key, nonce)
      let at = 0
      const take = (size: number) => data.subarray(at, (at = Math.min(data.length, at + size)))
      const pieces = sizes.map(list => {
        const parts = list.map(take)
        const byteLength = parts.reduce((sum, part) => sum + part.length, 0)
        return cut.apply({ byteLength, [Symbol.iterator]: () => parts[Symbol.iterator]() })
      })
      pieces.push(cut.apply(data.subarray(at)))
      assert.deepEqual(Buffer.concat(pieces), whole)
    })
  )
  assert.deepEqual(data, before)
})

test('it is right far out, and ends after 256 GiB instead of beginning anew', () => {
  const key = counting(0, 32)
  const nonce = counting(100, 24)
  const far = new Keystream(key, nonce, 64 * (2 ** 31 + 5) + 3).apply(new Uint8Array(32))
  assert.equal(Buffer.from(far).toString('hex'), 'f2675b36973bad6753c3aa064c2dead4e842d09f0a3ee45932f8d137784d533e')
  const last = new Keystream(key, nonce, 64 * (2 ** 32 - 2))
  last.apply(new Uint8Array(64))
  assert.throws(() => last.apply(new Uint8Array(1)), /counter/)
})
