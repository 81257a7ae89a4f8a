/** `flotilla state` as a user runs it: on the folder of a stopped peer, and through a REST API. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { lockFolder } from '../../cli/lock.ts'
import { exportLine } from '../../src/lines.ts'
import { inline } from '../support/cids.ts'
import { MemoryCluster } from '../support/memory-cluster.ts'
import { examplePin } from '../support/pins.ts'
import { openTestDoor } from '../support/rest.ts'

const bin = resolve(import.meta.dirname, '../../cli/bin.js')
const goExport = resolve(import.meta.dirname, '../support/go-export.ndjson')

test('an export of ipfs-cluster goes into an empty folder and comes out again, but for peers that are no members', async () => {
  await using folder = await peerFolder()
  const first = await folder.run('state', 'import', '--offline', '--file', goExport)
  assert.deepEqual([first.code, first.out], [0, '3 pins: 3 added, 0 replaced, 0 as they were\n'])
  const second = await folder.run('state', 'import', '--offline', '--file', goExport)
  assert.equal(second.out, '3 pins: 0 added, 0 replaced, 3 as they were\n')
  const { code, out, err } = await folder.run('state', 'export', '--offline')
  assert.deepEqual([code, err], [0, '3 pins as of index 1\n'])
  const pins = (text: string) =>
    text
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
      .sort((a, b) => (a.cid < b.cid ? -1 : 1))
  const own = pins(out)
  const id = own.find(({ name }) => name.startsWith('two'))?.allocations[0]
  const expected = pins(await readFile(goExport, 'utf8')).map(pin => (pin.allocations.length > 0 ? { ...pin, allocations: [id] } : pin))
  assert.deepEqual(own, expected)
  assert.deepEqual(Object.keys(own[0]), Object.keys(expected[0]), 'in the same order')
})

test('the folder of a daemon that runs is left alone', async () => {
  await using folder = await peerFolder()
  await using _lock = await lockFolder(folder.path)
  const commands = [
    ['state', 'export', '--offline'],
    ['state', 'import', '--offline', '--file', goExport],
    ['state', 'info'],
    ['recover', '--accept-data-loss', '1/1']
  ]
  for (const words of commands) {
    const { code, err } = await folder.run(...words)
    assert.equal(code, 1)
    assert.match(err, /is in use by process \d+: stop that one first/)
  }
})

test('an empty folder has nothing to export', async () => {
  await using folder = await peerFolder()
  const { code, err } = await folder.run('state', 'export', '--offline')
  assert.deepEqual([code, err], [1, 'flotilla: the folder is empty: there is nothing in it\n'])
})

test('recovery is told twice: what there is to lose first, and then which folder is meant', async () => {
  await using folder = await peerFolder()
  await folder.run('state', 'import', '--offline', '--file', goExport)
  const asked = await folder.run('recover')
  assert.equal(asked.code, 0)
  assert.match(asked.out, /^cluster {5}[0-9a-f]{32}\nlast entry {2}term 1, index 1\n/)
  assert.match(asked.out, /Take that one[\s\S]*\n\n {2}flotilla recover --accept-data-loss 1\/1\n$/)
  const wrong = await folder.run('recover', '--accept-data-loss', '2/7')
  assert.deepEqual(
    [wrong.code, wrong.err],
    [1, 'flotilla: the last entry of this folder is 1/1, not 2/7: is it the survivor that you mean?\n']
  )
  const alone = await folder.run('recover', '--accept-data-loss', '1/1')
  assert.deepEqual([alone.code, alone.err], [1, 'flotilla: nobody else has a vote: this peer needs no recovery, start it\n'])
  const info = JSON.parse((await folder.run('state', 'info', '--json')).out)
  assert.deepEqual([info.pins, info.last_index, info.members.length, info.notes], [3, 1, 1, []])
})

test('through a peer: out to a file that is whole, and in again from stdin', async () => {
  await using folder = await peerFolder()
  const cluster = new MemoryCluster()
  await using door = await openTestDoor(cluster)
  for (const name of ['a', 'b', 'c']) await cluster.pin(inline(name), { name })
  const file = join(folder.path, 'pins.ndjson')
  const exported = await folder.run('state', 'export', '--host', door.url, '--file', file)
  assert.equal(exported.out, `3 pins as of index 3 written to ${file}\n`)
  cluster.pins.delete(inline('b'))
  const imported = await folder.run('state', 'import', '--host', door.url, { stdin: await readFile(file, 'utf8') })
  assert.equal(imported.out, '3 pins: 1 added, 0 replaced, 2 as they were\n')
  const json = await folder.run('state', 'import', '--json', '--keep', '--host', door.url, '--file', file)
  assert.deepEqual(JSON.parse(json.out), { pins: 3, added: 0, replaced: 0, unchanged: 3, done: true })
})

test('an export that is cut off leaves no file', async () => {
  await using folder = await peerFolder()
  const cluster = new MemoryCluster()
  await using door = await openTestDoor(cluster)
  await cluster.pin(inline('a'))
  await cluster.pin(inline('b'))
  cluster.lateFault = new Error('gone')
  const { code } = await folder.run('state', 'export', '--host', door.url, '--file', join(folder.path, 'pins.ndjson'))
  assert.equal(code, 1)
  assert.deepEqual((await readdir(folder.path)).sort(), ['identity.json', 'service.json'])
})

test('a mistake in the file is told with its line, and how to go on', async () => {
  await using folder = await peerFolder()
  const cluster = new MemoryCluster()
  await using door = await openTestDoor(cluster)
  const good = exportLine(examplePin)
  const file = join(folder.path, 'pins.ndjson')
  for (const [bad, reason] of [
    ['{"name":"x"}', 'line 3: the field "cid" is missing'],
    ['{"cid":"nonsense"}', 'line 3: the field "cid": "nonsense" is not a CID: expected text like bafybei… or Qm…'],
    ['{', 'line 3: it is not a JSON document']
  ]) {
    await writeFile(file, `${good}\n${bad}\n${good}`)
    const { code, err } = await folder.run('state', 'import', '--host', door.url, '--file', file)
    assert.equal(code, 2)
    assert.ok(err.startsWith(`flotilla: ${reason} (after at least 0 pins: what was imported stays, so run it again`), err)
  }
  const missing = await folder.run('state', 'import', '--file', join(folder.path, 'none'))
  assert.equal(missing.code, 2)
  assert.match(missing.err, /none cannot be read/)
  const half = await folder.run('state', 'import', '--rmin', '2', '--file', file)
  assert.deepEqual([half.code, half.err], [2, 'flotilla: --rmin and --rmax go together: give both or none\n'])
})

async function peerFolder() {
  const path = await mkdtemp(join(tmpdir(), 'flotilla-state-'))
  const run = (...words: (string | { stdin: string })[]): Promise<{ code: number; out: string; err: string }> =>
    new Promise(resolve => {
      const env = { PATH: process.env.PATH ?? '', FLOTILLA_PATH: path }
      const texts = words.filter(word => typeof word === 'string')
      const child = execFile(process.execPath, [bin, ...texts], { env }, (error, out, err) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err })
      })
      child.stdin?.end(words.find(word => typeof word !== 'string')?.stdin ?? '')
    })
  await run('init')
  return { path, run, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
