import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { holderOf, lockFolder } from '../../cli/lock.ts'
import { isFault } from '../../src/errors.ts'

const lockModule = resolve(import.meta.dirname, '../../cli/lock.ts')

test('a folder has one holder, a second one is refused with its number, and disposal frees it', async () => {
  await using folder = await temporaryFolder()
  {
    await using _lock = await lockFolder(folder.path)
    assert.equal(await readFile(join(folder.path, 'pid'), 'utf8'), `${process.pid}\n`)
    assert.equal(await holderOf(folder.path), process.pid)
    await assert.rejects(
      lockFolder(folder.path),
      error =>
        isFault(error, 'cannot_start') &&
        error.message === `the folder ${folder.path} is in use by process ${process.pid}: stop that one first`
    )
  }
  assert.equal(await holderOf(folder.path), undefined)
  assert.deepEqual(await readdir(folder.path), [])
  await using _again = await lockFolder(folder.path)
})

test('the lock of a killed process is taken over', async () => {
  await using folder = await temporaryFolder()
  const { child } = await holderIn(folder.path)
  assert.equal(await holderOf(folder.path), child.pid)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(await holderOf(folder.path), undefined)
  await using _lock = await lockFolder(folder.path)
  assert.equal(await holderOf(folder.path), process.pid)
})

test('a process that only has the number of the holder is not the holder', async () => {
  await using folder = await temporaryFolder()
  // This very process, but started at another time; and the same after the machine was started anew.
  for (const start of ['1 an-old-boot', '']) {
    await writeFile(join(folder.path, 'lock'), `${process.pid} ${start}\n`)
    const holder = await holderOf(folder.path)
    assert.equal(holder, start === '' ? process.pid : undefined, 'without a start, the number alone counts')
  }
  await writeFile(join(folder.path, 'lock'), `${process.pid} 1 an-old-boot\n`)
  await using _lock = await lockFolder(folder.path)
})

test('of many that find a stale lock at once, one gets the folder', async () => {
  await using folder = await temporaryFolder()
  for (let round = 0; round < 100; round++) {
    await writeFile(join(folder.path, 'lock'), 'gone\n')
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder.path)))
    const locks = outcomes.filter(outcome => outcome.status === 'fulfilled').map(({ value }) => value)
    assert.equal(locks.length, 1)
    await locks[0]?.[Symbol.asyncDispose]()
    assert.deepEqual(await readdir(folder.path), [])
  }
})

test('a folder can be held for a child, and outlives the parent', async () => {
  await using folder = await temporaryFolder()
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e9)'], { stdio: 'ignore' })
  try {
    await lockFolder(folder.path, { pid: child.pid ?? 0 })
    assert.equal(await holderOf(folder.path), child.pid)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  assert.equal(await holderOf(folder.path), undefined)
})

test('a folder that does not exist is named, with a way out', async () => {
  await using folder = await temporaryFolder()
  const missing = join(folder.path, 'missing')
  await assert.rejects(
    lockFolder(missing),
    error => isFault(error, 'cannot_start') && /does not exist, "flotilla init" makes it/.test(error.message)
  )
})

async function holderIn(folder: string) {
  const script = `const { lockFolder } = await import(${JSON.stringify(lockModule)}); await lockFolder(${JSON.stringify(folder)}); console.log('locked'); setInterval(() => {}, 1e9)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return { child }
}

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'flotilla-lock-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
