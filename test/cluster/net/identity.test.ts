import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { createIdentity, formatIdentity, loadIdentity, parseIdentity, writeIdentity } from '../../../cluster/net/identity.ts'
import { isFault } from '../../../src/errors.ts'

async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'flotilla-identity-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const says = (pattern: RegExp) => (error: unknown) => isFault(error, 'cannot_start') && pattern.test(error.message)

test('an identity is written as ipfs-cluster writes it, for its owner only, and reads back', async () => {
  await using dir = await folder()
  const file = join(dir.path, 'identity.json')
  const identity = await createIdentity()
  assert.match(identity.id, /^12D3Koo/)
  await writeIdentity(file, identity)
  const text = await readFile(file, 'utf8')
  const key = Buffer.from(privateKeyToProtobuf(identity.privateKey)).toString('base64')
  assert.equal(text, `{\n    "id": "${identity.id}",\n    "private_key": "${key}"\n}`)
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.equal((await loadIdentity(file)).id, identity.id)
})

test('an identity that is there is never overwritten', async () => {
  await using dir = await folder()
  const file = join(dir.path, 'identity.json')
  const first = await createIdentity()
  await writeIdentity(file, first)
  await assert.rejects(writeIdentity(file, await createIdentity()), says(/not overwritten/))
  assert.equal((await loadIdentity(file)).id, first.id)
})

test('an RSA identity of ipfs-cluster is taken', async () => {
  const key = await generateKeyPair('RSA', 2048)
  const id = peerIdFromPrivateKey(key).toString()
  const text = JSON.stringify({ id, private_key: Buffer.from(privateKeyToProtobuf(key)).toString('base64') })
  assert.match(id, /^Qm/)
  assert.equal(parseIdentity(text, 'identity.json').id, id)
})

test('what is wrong with an identity is said in one sentence, without the key', async () => {
  await using dir = await folder()
  await assert.rejects(loadIdentity(join(dir.path, 'identity.json')), says(/does not exist: run "flotilla init" first/))
  await assert.rejects(loadIdentity(dir.path), says(/cannot be read/))
  const identity = await createIdentity()
  const other = await createIdentity()
  const text = formatIdentity(identity)
  assert.throws(
    () => parseIdentity(text.replace(identity.id, other.id), 'f'),
    says(new RegExp(`names peer ${other.id}, but its key belongs to ${identity.id}`))
  )
  const key = /"private_key": "(.*)"/.exec(text)?.[1] ?? ''
  for (const damaged of [
    '',
    '{',
    '[]',
    'null',
    '{"id": 3}',
    text.slice(0, -3),
    text.replace(key, key.slice(0, 20)),
    text.replace(key, '')
  ]) {
    const isClean = (error: unknown) => says(/is not an identity/)(error) && !String(error).includes(key.slice(0, 20))
    assert.throws(() => parseIdentity(damaged, 'f'), isClean, damaged.slice(0, 10))
  }
  const file = join(dir.path, 'damaged.json')
  await writeFile(file, text.slice(0, 40))
  await assert.rejects(loadIdentity(file), says(/damaged\.json is not an identity/))
})
