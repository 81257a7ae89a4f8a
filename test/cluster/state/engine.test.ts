/** What the store makes of an engine: one write at a time, shared batches, writes that can wait, and the first error final. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Binding, GroupCommitStore } from '../../../cluster/state/engine.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import { isFault } from '../../../src/errors.ts'
import { bytes, put, rows, text } from '../../support/store.ts'

/** An engine in memory of which only writing matters. */
function bindingOf(batch: Binding['batch'], rest: Partial<Binding> = {}): Binding {
  return {
    engine: 'leveldb',
    getMany: async keys => keys.map(() => undefined),
    batch,
    iterate: () => ({ next: async () => [], end: async () => {} }),
    close: async () => {},
    ...rest
  }
}

test('after one failed write every later write fails, nothing reaches the engine, and the owner is told once', async () => {
  let batches = 0
  const failures: unknown[] = []
  const binding = bindingOf(async () => {
    if (++batches === 2) throw new Error('EIO: i/o error')
  })
  await using store = new GroupCommitStore(binding, { onFailure: error => failures.push(error) })
  await store.write([put('a', '1')], { sync: true })
  const failed = store.write([put('b', '1')], { sync: true })
  await null
  await null
  const waiting = store.write([put('c', '1')], { sync: true })
  await assert.rejects(failed, error => isFault(error, 'storage_failed') && /EIO/.test(error.message))
  await assert.rejects(waiting, error => isFault(error, 'storage_failed'))
  await assert.rejects(store.write([put('d', '1')], { sync: true }), error => isFault(error, 'storage_failed'))
  assert.equal(batches, 2)
  assert.equal(failures.length, 1)
})

test('writes that arrive while one is under way share the next batch, which is synced if one of them asks for it', async () => {
  const batches: (readonly [number, boolean])[] = []
  let running = 0
  const binding = bindingOf(async (ops, sync) => {
    assert.equal(++running, 1, 'one write is outstanding, ever')
    batches.push([ops.length, sync])
    await new Promise(resolve => setImmediate(resolve))
    running--
  })
  await using store = new GroupCommitStore(binding)
  const first = store.write([put('a', '1')], { sync: false })
  await null
  await null
  await Promise.all([first, ...Array.from({ length: 10 }, (_, index) => store.write([put('b', '1')], { sync: index === 5 }))])
  assert.deepEqual(batches, [
    [1, false],
    [10, true]
  ])
})

test('a write that can wait shares the batch of an urgent one where those come often, and is written all the same where none comes', async () => {
  const batches: number[] = []
  await using store = new GroupCommitStore(bindingOf(async ops => void batches.push(ops.length)))
  await store.write([put('calm', '1')], { sync: false, canWait: true })
  assert.deepEqual(batches, [1], 'nothing urgent came lately')
  await store.write([put('urgent', '1')], { sync: true })
  const patient = store.write([put('patient', '1')], { sync: false, canWait: true })
  await null
  await null
  assert.deepEqual(batches, [1, 1], 'it waits')
  await store.write([put('urgent', '2'), put('urgent', '3')], { sync: true })
  await patient
  assert.deepEqual(batches, [1, 1, 3])
  await store.write([put('alone', '1')], { sync: false, canWait: true })
  assert.deepEqual(batches, [1, 1, 3, 1])
})

test('a write that can wait is seen by reads at once, also where a later one replaces or deletes it, and is forgotten once it is written', async () => {
  const engine = new Map<string | undefined, Uint8Array>()
  const allowed = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let batches = 0
  const binding = bindingOf(
    async ops => {
      await allowed[batches++]?.promise
      for (const op of ops) if (op.type === 'put') engine.set(text(op.key), op.value)
    },
    { getMany: async keys => keys.map(key => engine.get(text(key))) }
  )
  await using store = new GroupCommitStore(binding)
  const see = async (name: string) => text(await store.get(bytes(name)))
  const later = { sync: false, canWait: true }
  const first = store.write([put('a', '1'), put('b', '1')], later)
  assert.deepEqual([await see('a'), await see('b'), await see('c')], ['1', '1', undefined])
  await null
  const second = store.write([put('a', '2'), { type: 'delete', key: bytes('b') }], later)
  assert.deepEqual([await see('a'), await see('b')], ['2', undefined])
  allowed[0]?.resolve()
  await first
  assert.deepEqual([await see('a'), await see('b')], ['2', undefined], 'the engine has the first, the second is what counts')
  allowed[1]?.resolve()
  await second
  engine.set('a', bytes('3'))
  assert.equal(await see('a'), '3', 'the engine is asked')
})

test('rows show what was asked to be written before, also what could wait', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-store-'))
  after(() => rm(folder, { recursive: true, force: true }))
  await using store = await openStore(folder, { engine: 'leveldb' })
  await store.write([put('urgent', '1')], { sync: true })
  const later = store.write([put('a', '1')], { sync: false, canWait: true })
  assert.deepEqual(await rows(store), ['a=1', 'urgent=1'])
  await later
})

test('rows of a store that could not write what waited are an error, never a list without it', async () => {
  const binding = bindingOf(async () => {
    throw new Error('EIO: i/o error')
  })
  await using store = new GroupCommitStore(binding)
  const later = store.write([put('a', '1')], { sync: false, canWait: true })
  await Promise.all([
    assert.rejects(rows(store), error => isFault(error, 'storage_failed')),
    assert.rejects(later, error => isFault(error, 'storage_failed'))
  ])
})

test('a read by this thread that has to wait for the disk lets other threads read for a while', async () => {
  const asked: string[] = []
  let isSlow = true
  const binding = bindingOf(async () => {}, {
    getNow() {
      asked.push('here')
      const end = performance.now() + (isSlow ? 6 : 0)
      while (performance.now() < end);
      return undefined
    },
    async getMany(keys) {
      asked.push('there')
      return keys.map(() => undefined)
    }
  })
  await using store = new GroupCommitStore(binding)
  await store.get(bytes('a'))
  isSlow = false
  await store.get(bytes('a'))
  assert.deepEqual(asked, ['here', 'there'])
})

test('a long list has its next page read while one is looked at, and is closed when that has been read', async () => {
  const calls: string[] = []
  const reading = Promise.withResolvers<void>()
  const binding = bindingOf(async () => {}, {
    iterate: () => ({
      async next() {
        const number = calls.push('next')
        if (number === 3) await reading.promise
        return [[bytes(`row ${number}`), bytes('')]]
      },
      end: async () => void calls.push('end')
    })
  })
  await using store = new GroupCommitStore(binding)
  const list = store.pages({ gte: bytes('a'), lt: bytes('z') })[Symbol.asyncIterator]()
  await list.next()
  assert.deepEqual(calls, ['next'], 'who wants one page only pays for one')
  await list.next()
  assert.deepEqual(calls, ['next', 'next', 'next'])
  const left = list.return?.()
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(calls, ['next', 'next', 'next'])
  reading.resolve()
  await left
  assert.deepEqual(calls, ['next', 'next', 'next', 'end'])
})
