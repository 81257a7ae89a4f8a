import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { identityOf } from '../../cli/peer-folder.ts'
import { createIdentity, formatIdentity } from '../../cluster/net/identity.ts'
import { loadConfig } from '../../src/config-file.ts'
import { isFault } from '../../src/errors.ts'

const bin = resolve(import.meta.dirname, '../../cli/bin.js')
const secret = 'ab'.repeat(32)

test('init makes a folder that is complete, with a random secret that it does not print', async () => {
  await using folder = await temporaryFolder()
  const { code, out } = await flotilla(['init'], folder)
  assert.equal(code, 0)
  const { config } = await loadConfig(join(folder.path, 'service.json'), {})
  const identity = await identityOf(folder.path, {})
  const made = config.cluster.secret?.reveal()
  assert.equal(made?.length, 32)
  assert.doesNotMatch(out, new RegExp(Buffer.from(made ?? []).toString('hex')))
  assert.match(
    out,
    new RegExp(`configuration written to ${folder.path}/service.json\nnew identity written to .*\npeer id ${identity.id}\n`)
  )
  for (const file of ['service.json', 'identity.json']) assert.equal((await stat(join(folder.path, file))).mode & 0o777, 0o600)
})

test('an existing service.json is not overwritten without --force, and nothing is changed', async () => {
  await using folder = await temporaryFolder()
  await mkdir(folder.path)
  await writeFile(join(folder.path, 'service.json'), '{}')
  const { code, out, err } = await flotilla(['init'], folder)
  assert.deepEqual([code, out, err], [1, '', `flotilla: ${folder.path}/service.json exists already; --force overwrites it\n`])
  assert.deepEqual(await readdir(folder.path), ['service.json'])
  assert.equal(await readFile(join(folder.path, 'service.json'), 'utf8'), '{}')
})

test('with --force the configuration is new, and the identity stays', async () => {
  await using folder = await temporaryFolder()
  await flotilla(['init'], folder)
  const before = await readFile(join(folder.path, 'identity.json'), 'utf8')
  const { code, out } = await flotilla(['init', '--force', '--json'], folder, { CLUSTER_SECRET: secret })
  const { id } = await identityOf(folder.path, {})
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(out), {
    folder: folder.path,
    id,
    config: join(folder.path, 'service.json'),
    identity: join(folder.path, 'identity.json'),
    new_identity: false
  })
  assert.equal(await readFile(join(folder.path, 'identity.json'), 'utf8'), before)
  assert.equal(JSON.parse(await readFile(join(folder.path, 'service.json'), 'utf8')).cluster.secret, secret)
})

test('variables and --peers go into the file', async () => {
  await using folder = await temporaryFolder()
  const peers = ['/dns4/a/tcp/9096', '/ip4/10.0.0.2/tcp/9096']
  await flotilla(['init', '--peers', peers.join(',')], folder, {
    CLUSTER_PEERNAME: 'ann',
    CLUSTER_REPLICATIONFACTORMIN: '1',
    CLUSTER_REPLICATIONFACTORMAX: '2'
  })
  const { cluster } = (await loadConfig(join(folder.path, 'service.json'), {})).config
  assert.deepEqual([cluster.peername, cluster.replicationFactorMin, cluster.replicationFactorMax], ['ann', 1, 2])
  assert.deepEqual(cluster.peerAddresses, peers)
})

test('the profile for peers that are far apart is in the file, unless a variable says otherwise', async () => {
  const timeouts = async (words: readonly string[], variables: Readonly<Record<string, string>> = {}) => {
    await using folder = await temporaryFolder()
    assert.equal((await flotilla(['init', ...words], folder, variables)).code, 0)
    const { consensus, flotilla: own } = (await loadConfig(join(folder.path, 'service.json'), {})).config
    return [consensus.raft.heartbeatTimeoutMs, own.proposeTimeoutMs]
  }
  assert.deepEqual(await timeouts([]), [1_000, 10_000])
  assert.deepEqual(await timeouts(['--profile', 'wan']), [5_000, 30_000])
  assert.deepEqual(await timeouts(['--profile', 'wan'], { CLUSTER_RAFT_HEARTBEATTIMEOUT: '2s' }), [2_000, 30_000])
})

test('a mistake is one sentence, and nothing is written', async () => {
  await using folder = await temporaryFolder()
  const wrongPeers = await flotilla(['init', '--peers', 'there'], folder)
  assert.equal(wrongPeers.code, 2)
  assert.match(wrongPeers.err, /^flotilla: --peers takes addresses such as .*\n$/)
  const wrongSecret = await flotilla(['init'], folder, { CLUSTER_SECRET: 'hunter2' })
  assert.equal(wrongSecret.code, 1)
  assert.match(wrongSecret.err, /^flotilla: the variable CLUSTER_SECRET is 7 characters that are not .*\n$/)
  await assert.rejects(readdir(folder.path), { code: 'ENOENT' })
})

test('the identity of the environment goes over that of the folder, and half of one is refused', async () => {
  await using folder = await temporaryFolder()
  await flotilla(['init'], folder)
  const other = await createIdentity()
  const { id, private_key: key } = JSON.parse(formatIdentity(other))
  assert.equal((await identityOf(folder.path, { CLUSTER_ID: id, CLUSTER_PRIVATEKEY: key })).id, other.id)
  await assert.rejects(
    identityOf(folder.path, { CLUSTER_ID: id }),
    error => isFault(error, 'cannot_start') && /set both or none/.test(error.message)
  )
})

interface Folder {
  readonly path: string
}

function flotilla(words: readonly string[], { path }: Folder, variables: Readonly<Record<string, string>> = {}) {
  return new Promise<{ code: unknown; out: string; err: string }>(done => {
    const env = { PATH: process.env.PATH ?? '', FLOTILLA_PATH: path, ...variables }
    execFile(process.execPath, [bin, ...words], { env }, (error, out, err) => done({ code: error?.code ?? 0, out, err }))
  })
}

/** A name in a new folder: what is tested makes it. */
async function temporaryFolder(): Promise<Folder & AsyncDisposable> {
  const parent = await mkdtemp(join(tmpdir(), 'flotilla-init-'))
  return { path: join(parent, 'peer'), [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }) }
}
