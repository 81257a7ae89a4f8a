import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LaterWrites } from '../../../cluster/consensus/later-writes.ts'
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
  await later.write([])
  for (let count = 1; count < 4; count++) await later.write([op])
  let isFree = false
  const fourth = later.write([op]).then(() => (isFree = true))
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual([writes.length, isFree], [4, false])
  for (const { resolve } of writes) resolve()
  await fourth
  await later.write([op])
})

test('a write that fails is told to the owner, not to whoever asked', async () => {
  const failures: unknown[] = []
  const broken = new Error('broken')
  const later = new LaterWrites({ write: () => Promise.reject(broken) }, error => failures.push(error))
  await later.write([op])
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(failures, [broken])
})
