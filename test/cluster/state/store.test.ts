/** The contract of the store, run by every engine. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type Binding, GroupCommitStore } from '../../../cluster/state/engine.ts'
import { key, numberKey, prefixRange } from '../../../cluster/state/keys.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import { canLoad, findRocksDb } from '../../../cluster/state/rocksdb.ts'
import type { Engine, Store } from '../../../cluster/state/store.ts'
import { isFault } from '../../../src/errors.ts'

const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes)
const bytes = (value: string) => new TextEncoder().encode(value)
const put = (name: string, value: string) => ({ type: 'put', key: bytes(name), value: bytes(value) }) as const
const everything = { gte: new Uint8Array(), lt: bytes('~') }

async function rows(store: Store, options: { reverse?: boolean; limit?: number } = {}): Promise<string[]> {
  const found: string[] = []
  for await (const [name, value] of store.rows(everything, options)) found.push(`${text(name)}=${text(value)}`)
  return found
}

/** RocksDB is installed by whoever wants it: in this checkout, or where FLOTILLA_ROCKSDB says. */
const rocksFolder = process.env.FLOTILLA_ROCKSDB ?? join(homedir(), '.cache/flotilla-rocksdb/node_modules/rocksdb')
const rocksPath = findRocksDb(rocksFolder) ?? findRocksDb()
const rocksdb = rocksPath !== undefined && (await canLoad(rocksPath)) ? rocksFolder : undefined

const engines: readonly { engine: Engine; skip: string | false }[] = [
  { engine: 'leveldb', skip: false },
  {
    engine: 'rocksdb',
    skip: rocksdb === undefined ? 'the npm package rocksdb is not installed, or its binding does not load on this Node.js' : false
  }
]

for (const { engine, skip } of engines) {
  describe(`store on ${engine}`, { skip }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'flotilla-store-'))
    after(() => rm(folder, { recursive: true, force: true }))
    let opened = 0
    const open = (name = String(opened++)) => openStore(join(folder, name), { engine, rocksdb })

    test('what was written is read back, in key order, forwards, backwards and limited', async () => {
      await using store = await open()
      await store.write([put('b', '2'), put('a', '1'), put('c', '3')], { sync: true })
      await store.write([{ type: 'delete', key: bytes('b') }, put('d', '4')], { sync: false })
      assert.equal(text(await store.get(bytes('a'))), '1')
      assert.equal(await store.get(bytes('b')), undefined)
      assert.deepEqual(await rows(store), ['a=1', 'c=3', 'd=4'])
      assert.deepEqual(await rows(store, { reverse: true, limit: 2 }), ['d=4', 'c=3'])
    })

    test('writes that overlap are applied in the order they were asked for', async () => {
      await using store = await open()
      await Promise.all(Array.from({ length: 2_000 }, (_, index) => store.write([put('k', String(index))], { sync: index % 7 === 0 })))
      assert.equal(text(await store.get(bytes('k'))), '1999')
    })

    test('everything acknowledged is there after opening again', async () => {
      const name = `again-${engine}`
      {
        await using store = await open(name)
        await store.write([put('x', 'y')], { sync: true })
      }
      await using store = await open(name)
      assert.deepEqual(await rows(store), ['x=y'])
    })

    test('a listing shows the rows as they were when it began', async () => {
      await using store = await open()
      await store.write([put('a', '1'), put('b', '1')], { sync: false })
      const seen: string[] = []
      for await (const [name, value] of store.rows(everything)) {
        if (seen.length === 0) await store.write([put('b', '2'), put('c', '2')], { sync: false })
        seen.push(`${text(name)}=${text(value)}`)
      }
      assert.deepEqual(seen, ['a=1', 'b=1'])
    })

    test('clearing a range leaves its neighbours', async () => {
      await using store = await open()
      const inside = Array.from({ length: 5_000 }, (_, index) => ({ type: 'put', key: numberKey('l/', index), value: bytes('v') }) as const)
      await store.write([put('k/', 'before'), ...inside, put('m/', 'behind')], { sync: false })
      await store.clear(prefixRange('l/'))
      assert.deepEqual(await rows(store), ['k/=before', 'm/=behind'])
    })

    test('a second opening of the same folder is refused in one sentence', async () => {
      await using _store = await open(`twice-${engine}`)
      await assert.rejects(
        open(`twice-${engine}`),
        error => isFault(error, 'cannot_start') && /another process uses it/.test(error.message)
      )
    })

    test('an engine asked for later than the folder was made is refused', async () => {
      const name = `other-${engine}`
      await (await open(name))[Symbol.asyncDispose]()
      const other = engine === 'leveldb' ? 'rocksdb' : 'leveldb'
      await assert.rejects(openStore(join(folder, name), { engine: other, rocksdb }), error => isFault(error, 'cannot_start'))
      await (await openStore(join(folder, name), { engine: 'auto', rocksdb }))[Symbol.asyncDispose]()
    })

    test('a closed store answers with a fault, also to a listing', async () => {
      const store = await open()
      await store[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await assert.rejects(store.get(key('a')), error => isFault(error, 'storage_failed'))
      await assert.rejects(store.write([], { sync: true }), error => isFault(error, 'storage_failed'))
      await assert.rejects(rows(store), error => isFault(error, 'storage_failed'))
    })
  })
}

test('after one failed write every later write fails, and nothing reaches the engine', async () => {
  let batches = 0
  const binding: Binding = {
    engine: 'leveldb',
    get: async () => undefined,
    batch: async () => {
      if (++batches === 2) throw new Error('EIO: i/o error')
    },
    async *rows() {},
    close: async () => {}
  }
  await using store = new GroupCommitStore(binding)
  await store.write([put('a', '1')], { sync: true })
  await assert.rejects(store.write([put('b', '1')], { sync: true }), error => isFault(error, 'storage_failed') && /EIO/.test(error.message))
  await assert.rejects(store.write([put('c', '1')], { sync: true }), error => isFault(error, 'storage_failed'))
  assert.equal(batches, 2)
})

test('writes that arrive while one is under way share the next batch', async () => {
  const sizes: number[] = []
  const binding: Binding = {
    engine: 'leveldb',
    get: async () => undefined,
    batch: async ops => {
      sizes.push(ops.length)
      await new Promise(resolve => setImmediate(resolve))
    },
    async *rows() {},
    close: async () => {}
  }
  await using store = new GroupCommitStore(binding)
  const first = store.write([put('a', '1')], { sync: true })
  await null
  await null
  await Promise.all([first, ...Array.from({ length: 10 }, () => store.write([put('b', '1')], { sync: false }))])
  assert.deepEqual(sizes, [1, 10])
})
