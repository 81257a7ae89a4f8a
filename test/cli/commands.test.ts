/** The client commands as a user runs them: a process, its two outputs and its exit code. */
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MemoryCluster, memoryPeers } from '../support/memory-cluster.ts'
import { openTestDoor, testCid } from '../support/rest.ts'
import { until } from '../support/until.ts'

const bin = fileURLToPath(new URL('../../cli/bin.js', import.meta.url))
const cid = testCid(1)

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

test('a pin is added, listed, shown and removed', async () => {
  const cluster = new MemoryCluster()
  await using door = await openTestDoor(cluster)
  const run = runner(door.url)
  const words = ['pin', 'add', '--name', 'site', '--rmin', '1', '--rmax', '2', '--meta', 'a=b=c', '--expire-in', '2h', '--wait', cid]
  assert.deepEqual(await run(...words), { code: 0, out: `${cid}  pinned by 2 peers\n`, err: '' })
  const pin = cluster.pins.get(cid)
  assert.deepEqual([pin?.name, pin?.replicationMin, pin?.replicationMax, pin?.metadata], ['site', 1, 2, { a: 'b=c' }])
  assert.equal((await run('pin', 'ls')).out, `${cid}  1 to 2 copies  site\n`)
  assert.match((await run('pin', 'ls', cid)).out, /name {5}site\n[\s\S]*meta {5}a=b=c\n/)
  assert.match((await run('status', cid)).out, /peer-0 {2}pinned[\s\S]*peer-2 {2}remote/)
  assert.deepEqual(await run('pin', 'rm', cid), { code: 0, out: `${cid}  unpinned\n`, err: '' })
  assert.deepEqual(await run('pin', 'rm', cid), { code: 1, out: '', err: `flotilla: ${cid} is not part of the pinset\n` })
})

test('a peer is named by its multiaddress, by a URL, or by host and port as `up` shows them', async () => {
  await using door = await openTestDoor(new MemoryCluster())
  const { hostname, port } = new URL(door.url)
  for (const host of [`/ip4/${hostname}/tcp/${port}`, `http://${hostname}:${port}`, `${hostname}:${port}`, `localhost:${port}`]) {
    assert.equal((await start(['version', '--host', host])).out, '0.1.0\n', host)
  }
})

test('with --json every command prints documents, lists one a line, also when it fails', async () => {
  const cluster = new MemoryCluster()
  await using door = await openTestDoor(cluster)
  const run = runner(door.url)
  const json = async (...words: string[]) =>
    (await run(...words, '--json')).out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
  assert.equal((await json('pin', 'add', cid))[0].cid, cid)
  await json('pin', 'add', testCid(2))
  assert.deepEqual(
    (await json('pin', 'ls')).map(pin => pin.cid),
    [cid, testCid(2)]
  )
  assert.deepEqual(
    (await json('peers', 'ls')).map(peer => peer.id),
    memoryPeers
  )
  assert.equal((await json('id'))[0].id, memoryPeers[0])
  assert.deepEqual(await json('version'), [{ version: '0.1.0' }])
  assert.equal((await json('status'))[0].answered_by, memoryPeers[0])
  assert.equal((await json('status', cid))[0].peer_map[memoryPeers[0]].status, 'pinned')
  assert.deepEqual(await json('health'), [{ healthy: true, problems: [] }])
  assert.deepEqual(await json('pin', 'rm', testCid(3)), [
    { error: { code: 'not_pinned', message: `${testCid(3)} is not part of the pinset` } }
  ])
})

test('pins are listed by name and by time', async () => {
  const cluster = new MemoryCluster()
  await using door = await openTestDoor(cluster)
  const run = runner(door.url)
  for (const [seed, name] of ['site', 'site-2', 'other'].entries()) {
    const pin = await cluster.pin(testCid(seed), { name })
    cluster.pins.set(pin.cid, { ...pin, timestamp: Date.parse('2026-05-11T10:00:00Z') + seed * 3_600_000 })
  }
  const names = async (...words: string[]) =>
    (await run('pin', 'ls', ...words)).out
      .trim()
      .split('\n')
      .map(line => line.split('  ').at(-1))
  assert.deepEqual(await names('--name', 'site'), ['site'])
  assert.deepEqual(await names('--name-prefix', 'site'), ['site', 'site-2'])
  assert.deepEqual(await names('--order', 'newest', '--limit', '2'), ['other', 'site-2'])
  assert.deepEqual(await names('--after', '2026-05-11T11:00:00Z', '--before', '2026-05-11T13:00:00+02:00'), ['site-2'])
  assert.deepEqual(await run('pin', 'ls', '--after', 'noon'), {
    code: 2,
    out: '',
    err: 'flotilla: --after takes a time like 2026-05-11T10:17:41Z, or a duration like 2h, not "noon"\n'
  })
})

test('the status screen fits into 80 columns and says what is wrong', async () => {
  const cluster = new MemoryCluster()
  cluster.problems = ['peer-2 has been silent for 12 s: is it running?']
  await using door = await openTestDoor(cluster)
  const { code, out } = await runner(door.url)('status')
  assert.equal(code, 0)
  assert.match(out, /peer-0 answers; peer-1 leads in term 4; 2 of 3 voters reached/)
  assert.match(out, /peer-0 {2}follower +0 {2}11.5 GiB/)
  assert.deepEqual(out.match(/^peer-\d(?= {2})/gm), ['peer-0', 'peer-1', 'peer-2'])
  assert.match(out, /What is wrong:\n- peer-2 has been silent/)
  assert.ok(out.split('\n').every(line => line.length <= 80))
})

test('health fails when something is wrong', async () => {
  const cluster = new MemoryCluster()
  await using door = await openTestDoor(cluster)
  const run = runner(door.url)
  assert.deepEqual(await run('health'), { code: 0, out: 'healthy: 2 of 3 voters reached\n', err: '' })
  cluster.problems = ['one', 'two']
  assert.deepEqual(await run('health'), { code: 1, out: 'one\ntwo\n', err: '' })
})

test('the host comes from the environment when no option names one, the password only from there', async () => {
  await using door = await openTestDoor(new MemoryCluster(), { basicAuth: { ann: 'hunter2' } })
  const variables = { FLOTILLA_HOST: door.door.addresses[0] ?? '' }
  const refused = await start(['id'], variables)
  assert.equal(refused.code, 1)
  assert.match(refused.err, /^flotilla: unauthorized: /)
  assert.equal((await start(['id'], { ...variables, FLOTILLA_BASIC_AUTH: 'ann:hunter2' })).code, 0)
})

suite('a mistake in the call is exit code 2 and one sentence', () => {
  const mistakes = [
    [[], /^flotilla: which command\?/],
    [['frobnicate'], /^flotilla: unknown command: frobnicate: see flotilla --help\n$/],
    [['stats'], /^flotilla: unknown command: did you mean status\?\n$/],
    [['pin'], /^flotilla: which command\?/],
    [['pin', 'add'], /^flotilla: an argument is missing: --help names them\n$/],
    [['pin', 'add', 'nope'], /^flotilla: "nope" is neither a CID nor a path/],
    [['pin', 'add', '--rmin', '0', cid], /^flotilla: a replication factor is/],
    [['pin', 'add', '--meta', 'x', cid], /^flotilla: --meta takes key=value/],
    [['pin', 'add', '--expire-in', 'soon', cid], /^flotilla: "soon" is not a duration/],
    [['pin', 'add', '--wait=some', cid], /^flotilla: invalid values: .*"min", "all"\n$/],
    [['status', 'nope'], /^flotilla: "nope" is not a CID/],
    [['id', '--loud'], /^flotilla: unknown argument: loud\n$/],
    [['id', '--host', 'nope'], /^flotilla: "nope" is not a multiaddress/],
    [['daemon', '--bootstrap', 'nope'], /^flotilla: "nope" is not a multiaddress/],
    [['up', '--peers', '0'], /^flotilla: expected --peers from 1 to 9/],
    [['up', '--base-port', 'x'], /^flotilla: expected --peers from 1 to 9 and --base-port/]
  ] as const
  for (const [words, sentence] of mistakes) {
    test(['flotilla', ...words].join(' '), async () => {
      const { code, out, err } = await start(words)
      assert.deepEqual([code, out], [2, ''])
      assert.match(err, sentence)
    })
  }
})

test('where no daemon listens, the sentence asks for it', async () => {
  const door = await openTestDoor(new MemoryCluster())
  await door[Symbol.asyncDispose]()
  const { code, err } = await runner(door.url)('id')
  assert.deepEqual([code, err], [1, `flotilla: nothing answers at ${door.url}: is the daemon running?\n`])
})

test('help names every command and ends well', async () => {
  const { code, out } = await start(['--help'])
  assert.equal(code, 0)
  for (const command of ['up', 'init', 'daemon', 'id', 'version', 'peers', 'leave', 'pin', 'status', 'health']) {
    assert.match(out, new RegExp(`^  flotilla ${command}\\b`, 'm'))
  }
})

suite('the help of every command says what it is for, and what is its own', () => {
  const commands = ['up', 'init', 'daemon', 'id', 'version', 'peers ls', 'leave', 'pin add', 'pin rm', 'pin ls', 'status', 'health']
  // Those work on this machine, not on a peer that answers.
  const local = ['up', 'init', 'daemon']
  for (const command of commands) {
    test(command, async () => {
      const { code, out, err } = await start([...command.split(' '), '--help'])
      assert.deepEqual([code, err], [0, ''])
      assert.match(out, new RegExp(`^flotilla ${command}.*\n\n[A-Z].{10,}\n`))
      assert.match(out, /--json/)
      assert.equal(/--host/.test(out), !local.includes(command))
      assert.ok(out.split('\n').every(line => line.length <= 80))
    })
  }
})

suite('under a Node that is too old', () => {
  const oldNode = findOldNode()
  const skip = oldNode === undefined && 'no Node before 22.19 on the PATH'

  test('the launcher finds the one of the checkout, and passes on words, outputs and exit code', { skip }, async () => {
    await using door = await openTestDoor(new MemoryCluster())
    const host = ['--host', door.url]
    assert.deepEqual(await start(['version', ...host], {}, oldNode), { code: 0, out: '0.1.0\n', err: '' })
    assert.deepEqual(await start(['frobnicate'], {}, oldNode), {
      code: 2,
      out: '',
      err: 'flotilla: unknown command: frobnicate: see flotilla --help\n'
    })
  })

  test('a signal goes through the launcher to the command', { skip }, async () => {
    const cluster = new MemoryCluster()
    await using door = await openTestDoor(cluster)
    cluster.held.add(cid)
    const child = spawn(oldNode ?? '', [bin, 'pin', 'add', '--wait', cid, '--host', door.url], { stdio: 'ignore' })
    await until('the command follows the pin', () => cluster.openStreams === 1)
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    assert.equal(code, 128 + 15)
    await until('the command is gone', () => cluster.openStreams === 0)
  })
})

test('a reader that leaves early is no failure', async () => {
  const cluster = new MemoryCluster()
  for (let seed = 0; seed < 3_000; seed++) await cluster.pin(testCid(seed))
  await using door = await openTestDoor(cluster)
  const child = spawn(process.execPath, [bin, 'pin', 'ls', '--host', door.url], { stdio: ['ignore', 'pipe', 'pipe'] })
  let err = ''
  child.stderr.on('data', chunk => {
    err += chunk
  })
  child.stdout.once('data', () => child.stdout.destroy())
  const [code] = await once(child, 'close')
  assert.deepEqual([code, err], [0, ''])
})

function runner(url: string): (...words: string[]) => Promise<Outcome> {
  return (...words) => start([...words, '--host', url])
}

function start(words: readonly string[], variables: Readonly<Record<string, string>> = {}, node = process.execPath): Promise<Outcome> {
  return new Promise(resolve => {
    const env = { PATH: process.env.PATH ?? '', ...variables }
    execFile(node, [bin, ...words], { env }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err })
    })
  })
}

function findOldNode(): string | undefined {
  const candidates = (process.env.PATH ?? '').split(':').map(folder => join(folder, 'node'))
  return candidates.filter(existsSync).find(node => {
    const [major = 0, minor = 0] = execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).split('.').map(Number)
    return major < 22 || (major === 22 && minor < 19)
  })
}
