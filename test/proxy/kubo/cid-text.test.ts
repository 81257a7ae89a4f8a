import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidText, isBaseName } from '../../../proxy/kubo/cid-text.ts'
import { parseCid } from '../../../src/codec.ts'

test('a base makes version 1 of version 0, and changes no bytes', () => {
  const old = parseCid('QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG')
  assert.equal(cidText(old, null), old)
  const base32 = cidText(old, 'base32')
  assert.match(base32, /^bafybei/)
  for (const base of ['base16', 'base36', 'base58btc', 'base64url']) assert.equal(parseCid(cidText(old, base)), parseCid(base32), base)
})

test('bases by the names that Kubo knows', () => {
  for (const name of ['base16', 'base32', 'base32upper', 'base36', 'base58btc', 'base64', 'base64url']) assert.ok(isBaseName(name), name)
  assert.ok(!isBaseName('base31') && !isBaseName(''))
})
