/** Child processes of `up`, with small shell scripts in the place of daemons. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { holderOf } from '../../cli/lock.ts'
import { Child, type Death } from '../../cli/processes.ts'
import { until } from '../support/until.ts'

test('a child runs with a log and holds its folder, and lets go of it when it is stopped', async () => {
  await using folder = await temporaryFolder()
  const deaths: Death[] = []
  const child = await startScript(folder.path, 'echo up; trap "echo bye; exit 0" TERM; while :; do sleep 0.05; done', deaths)
  await until('it has started', async () => (await logOf(folder.path)).includes('up'))
  assert.equal(await holderOf(folder.path), child.pid)
  assert.equal(await readFile(join(folder.path, 'pid'), 'utf8'), `${child.pid}\n`)
  await child.stop(20_000)
  assert.equal(child.isRunning, false)
  assert.equal(await logOf(folder.path), 'up\nbye\n')
  assert.deepEqual(await readdir(folder.path), ['log'])
  assert.deepEqual(deaths, [], 'an end that was asked for is no death')
})

test('one that does not listen to SIGTERM is killed after its time', async () => {
  await using folder = await temporaryFolder()
  const child = await startScript(folder.path, 'trap "" TERM; echo up; while :; do sleep 0.05; done', [])
  await until('it has started', async () => (await logOf(folder.path)).includes('up'))
  await child.stop(1)
  assert.equal(child.isRunning, false)
})

test('one that ends by itself is reported with how, and with the last lines of its log', async () => {
  await using folder = await temporaryFolder()
  const deaths: Death[] = []
  const child = await startScript(folder.path, 'for n in 1 2 3 4 5; do echo line $n; done; exit 3', deaths)
  await until('its death is told', () => deaths.length === 1)
  assert.deepEqual(deaths, [{ name: 'script', folder: folder.path, how: 'with exit code 3', lastLines: 'line 3\nline 4\nline 5' }])
  await child.stop(1_000)
  assert.equal(await holderOf(folder.path), undefined)
})

test('one that is killed is reported with the signal', async () => {
  await using folder = await temporaryFolder()
  const deaths: Death[] = []
  const child = await startScript(folder.path, 'while :; do sleep 0.05; done', deaths)
  process.kill(child.pid, 'SIGKILL')
  await until('its death is told', () => deaths.length === 1)
  assert.equal(deaths[0]?.how, 'by signal SIGKILL')
  await child.stop(1_000)
})

test('a folder that another process holds is refused, and the child does not stay', async () => {
  await using folder = await temporaryFolder()
  const first = await startScript(folder.path, 'while :; do sleep 0.05; done', [])
  await assert.rejects(startScript(folder.path, 'while :; do sleep 0.05; done', []), new RegExp(`in use by process ${first.pid}`))
  await first.stop(5_000)
})

function startScript(folder: string, script: string, deaths: Death[]): Promise<Child> {
  return Child.start({
    name: 'script',
    folder,
    command: '/bin/bash',
    words: ['-c', script],
    variables: { PATH: process.env.PATH },
    locksFolder: false,
    onDeath: death => deaths.push(death)
  })
}

function logOf(folder: string): Promise<string> {
  return readFile(join(folder, 'log'), 'utf8')
}

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'flotilla-processes-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
