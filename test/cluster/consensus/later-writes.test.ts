import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, mock, test } from 'node:test'
import { LaterWrites } from '../../../cluster/consensus/later-writes.ts'
import { type Binding, GroupCommitStore } from '../../../cluster/state/engine.ts'
import { openLevelDb } from '../../../cluster/state/leveldb.ts'
import type { WriteOp } from '../../../cluster/state/store.ts'

const op: WriteOp = { type: 'delete', key: new Uint8Array(1) }

test('nobody waits for a few writes, and everybody once there are many', async () => {
  const writes: PromiseWithResolvers<void>[] = []
  const store = {
    async write() {
      const write = Promise.withResolvers<void>()
      writes.push(write)
      await write.promise
    }
  }
  const later = new LaterWrites(store, error => assert.fail(String(error)))
  await later.write([]).written
  for (let count = 1; count < 4; count++) await later.write([op]).written
  let isFree = false
  const fourth = later.write([op]).written.then(() => (isFree = true))
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual([writes.length, isFree], [5, false], 'and an empty one that hurries them')
  for (const { resolve } of writes) resolve()
  await fourth
})

test('one that is waited for does not wait for the next batch of the log', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-later-'))
  after(() => rm(folder, { recursive: true, force: true }))
  let batches = 0
  const binding = await openLevelDb(folder)
  const counted: Binding = {
    ...binding,
    batch(ops, sync) {
      batches++
      return binding.batch(ops, sync)
    }
  }
  await using store = new GroupCommitStore(counted)
  const later = new LaterWrites(store, error => assert.fail(String(error)))
  // Patience without end: as if time stood still.
  mock.timers.enable({ apis: ['setTimeout'] })
  after(() => mock.timers.reset())
  await store.write([op], { sync: false })
  for (let count = 1; count < 4; count++) await later.write([op]).written
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(batches, 1, 'three wait')
  await later.write([op]).written
  assert.equal(batches, 2)
})

test('a write that fails is told to the owner, not to whoever asked', async () => {
  const failures: unknown[] = []
  const broken = new Error('broken')
  const later = new LaterWrites({ write: () => Promise.reject(broken) }, error => failures.push(error))
  await later.write([op]).written
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(failures, [broken])
})

test('few writes can be seen at once, many of them once they are in the store, which does not let them wait', async () => {
  const asked: boolean[] = []
  const write = Promise.withResolvers<void>()
  const store = {
    async write(_ops: readonly WriteOp[], { canWait = false }: { canWait?: boolean }) {
      asked.push(canWait)
      await write.promise
    }
  }
  const later = new LaterWrites(store, error => assert.fail(String(error)))
  assert.equal(later.write([op]).shown, undefined)
  const many = later.write(Array.from({ length: 1_001 }, () => op))
  assert.deepEqual(asked, [true, false])
  let isShown = false
  const shown = many.shown?.then(() => (isShown = true))
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(isShown, false)
  write.resolve()
  await shown
  await many.written
})
