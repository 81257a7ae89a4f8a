import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { formatConfig, loadConfig, peerFolder, writeConfig } from '../../src/config-file.ts'
import { isFault } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'

test('what is written is read again, warns of nothing, and is for its owner only', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'service.json')
  const secret = new Secret(new Uint8Array(32).fill(7))
  await writeConfig(file, { cluster: { peername: 'a', secret }, flotilla: { closeTimeoutMs: 1_500 } }, { replace: false })
  const { config, ignored } = await loadConfig(file, {})
  assert.deepEqual(ignored, [])
  assert.deepEqual(
    [config.cluster.peername, config.cluster.secret?.reveal(), config.flotilla.closeTimeoutMs],
    ['a', secret.reveal(), 1_500]
  )
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.match(await readFile(file, 'utf8'), /^\{\n {2}"cluster": \{\n {4}"peername": "a",/)
  assert.deepEqual(await readdir(folder.path), ['service.json'])
})

test('an existing file is overwritten only when that is wanted', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'service.json')
  await writeFile(file, 'mine')
  await assert.rejects(
    writeConfig(file, {}, { replace: false }),
    error => isFault(error, 'cannot_start') && /exists already/.test(error.message)
  )
  assert.equal(await readFile(file, 'utf8'), 'mine')
  assert.deepEqual(await readdir(folder.path), ['service.json'])
  await writeConfig(file, {}, { replace: true })
  assert.equal(await readFile(file, 'utf8'), formatConfig({}))
})

test('a file that cannot be read is named, with a way out', async () => {
  await using folder = await temporaryFolder()
  await assert.rejects(
    loadConfig(join(folder.path, 'service.json'), {}),
    /service\.json cannot be read: it does not exist, "flotilla init" makes one/
  )
  await assert.rejects(loadConfig(folder.path, {}), /cannot be read: it is a folder/)
})

test('the folder of a peer comes from its own variable, from that of ipfs-cluster, or is in the home', () => {
  assert.equal(peerFolder({ FLOTILLA_PATH: '/a', IPFS_CLUSTER_PATH: '/b' }), '/a')
  assert.equal(peerFolder({ FLOTILLA_PATH: '', IPFS_CLUSTER_PATH: '/b' }), '/b')
  assert.equal(peerFolder({}), join(homedir(), '.flotilla'))
})

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'flotilla-config-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
