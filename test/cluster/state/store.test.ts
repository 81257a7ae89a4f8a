/** The contract of the store, run by every engine. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { key, numberKey, prefixRange } from '../../../cluster/state/keys.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import { canLoad, findRocksDb } from '../../../cluster/state/rocksdb.ts'
import type { Engine } from '../../../cluster/state/store.ts'
import { isFault } from '../../../src/errors.ts'
import { bytes, everything, put, rows, text } from '../../support/store.ts'
import { until } from '../../support/until.ts'

/** The peer may run as anybody; as root nothing is forbidden, so the test becomes nobody for a while. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  const isRoot = process.geteuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
}

/** Of all files in `folder`; one that goes in between is not counted. */
async function bytesOf(folder: string): Promise<number> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile())
  const sizes = files.map(({ parentPath, name }) =>
    stat(join(parentPath, name)).then(
      ({ size }) => size,
      () => 0
    )
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
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
  if (skip) {
    // As a test, for a suite that is skipped is not in the count.
    test(`store on ${engine}`, { skip }, () => {})
    continue
  }
  describe(`store on ${engine}`, async () => {
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

    test('rows that are deleted give their room back while others are written, as those of a log that is cut', async () => {
      const name = String(opened++)
      await using store = await open(name)
      const row = (number: number) => numberKey('l/', number)
      const [pieces, pieceRows, kept] = [480, 100, 20]
      const numbersOf = (piece: number) => Array.from({ length: pieceRows }, (_, place) => piece * pieceRows + place)
      for (let piece = 0; piece < pieces; piece++) {
        const added = numbersOf(piece).map(number => ({ type: 'put', key: row(number), value: randomBytes(1_000) }) as const)
        const removed = piece < kept ? [] : numbersOf(piece - kept).map(number => ({ type: 'delete', key: row(number) }) as const)
        await store.write([...added, ...removed], { sync: false })
      }
      // 2 MB of rows are there of 48 that were written. How much the engine is behind with its own work depends on the machine.
      await until('the folder has shrunk', async () => (await bytesOf(join(folder, name))) < (pieces * pieceRows * 1_000) / 2)
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

    test('closing waits for reads and writes under way and ends open listings', async () => {
      const store = await open()
      await store.write(
        Array.from({ length: 3_000 }, (_, index) => put(`row-${String(index).padStart(5, '0')}`, 'v')),
        { sync: false }
      )
      const listing = store.rows(everything)[Symbol.asyncIterator]()
      await listing.next()
      const untouched = store.rows(everything)[Symbol.asyncIterator]()
      const reads = Promise.allSettled(Array.from({ length: 200 }, (_, index) => store.get(numberKey('row-', index))))
      const write = store.write([put('last', 'v')], { sync: true })
      await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()])
      await write
      await reads
      // What the page in memory holds may still come; behind it there is a fault, never a crash.
      await assert.rejects(
        async () => {
          for (let step = await listing.next(); !step.done; step = await listing.next());
        },
        error => isFault(error, 'storage_failed')
      )
      await assert.rejects(untouched.next(), error => isFault(error, 'storage_failed'))
      await listing.return?.()
    })

    test('many reads at once each get their own answer', async () => {
      await using store = await open()
      await store.write([put('a', '1'), put('c', '3')], { sync: false })
      const found = await Promise.all(['c', 'b', 'a', 'c'].map(name => store.get(bytes(name))))
      assert.deepEqual(found.map(text), ['3', undefined, '1', '3'])
    })

    test('plain bytes and empty values are stored as they are', async () => {
      await using store = await open()
      const raw = new Uint8Array([0, 255, 1, 2])
      await store.write([{ type: 'put', key: raw.subarray(1), value: raw }, put('empty', '')], { sync: false })
      assert.deepEqual(new Uint8Array((await store.get(new Uint8Array([255, 1, 2])))!), raw)
      assert.equal((await store.get(bytes('empty')))?.length, 0)
    })

    test('leaving a listing early closes it, also by an error', async () => {
      await using store = await open()
      await store.write([put('a', '1'), put('b', '2')], { sync: false })
      for (let round = 0; round < 300; round++) {
        for await (const _row of store.rows(everything)) break
      }
      await assert.rejects(async () => {
        for await (const _row of store.rows(everything)) throw new Error('enough')
      }, /enough/)
    })

    test('a folder that this user may not write to, a file in the way, and unreadable files are one sentence each', async () => {
      const shut = join(folder, `shut-${engine}`)
      await mkdir(shut)
      await chmod(folder, 0o755)
      await chmod(shut, 0o500)
      await asNobody(() =>
        assert.rejects(openStore(shut, { engine, rocksdb }), error => isFault(error, 'cannot_start') && /may not write/.test(error.message))
      )
      const file = join(folder, `file-${engine}`)
      await writeFile(file, 'not a folder')
      await assert.rejects(
        openStore(file, { engine, rocksdb }),
        error => isFault(error, 'cannot_start') && /in the way/.test(error.message)
      )
      const made = `sealed-${engine}`
      await (await open(made))[Symbol.asyncDispose]()
      if (process.geteuid?.() === 0) await chown(join(folder, made), 65_534, 65_534)
      await chmod(join(folder, made, engine), 0o000)
      await asNobody(() => assert.rejects(open(made), error => isFault(error, 'cannot_start') && /may not write/.test(error.message)))
      await chmod(join(folder, made, engine), 0o700)
    })

    test('on a full disk a write fails for good, what was acknowledged stays, and a new store is refused', async context => {
      const disk = join(folder, `disk-${engine}`)
      await mkdir(disk)
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk], { stdio: 'pipe' })
      } catch {
        context.skip('a small disk cannot be mounted here: that needs root')
        return
      }
      try {
        const failures: unknown[] = []
        const where = join(disk, 'store')
        const store = await openStore(where, { engine, rocksdb, onFailure: error => failures.push(error) })
        const noise = Buffer.alloc(100_000)
        let acknowledged = 0
        const fill = async () => {
          for (;;) {
            for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(Math.floor(Math.random() * 2 ** 32), at)
            await store.write([{ type: 'put', key: numberKey('n/', acknowledged), value: noise }], { sync: true })
            acknowledged++
          }
        }
        await assert.rejects(fill(), error => isFault(error, 'storage_failed'))
        await assert.rejects(store.write([put('later', '1')], { sync: false }), error => isFault(error, 'storage_failed'))
        assert.equal(failures.length, 1)
        await store[Symbol.asyncDispose]()
        await writeFile(join(disk, 'rest'), Buffer.alloc(8 << 20)).catch(() => {})
        await assert.rejects(
          openStore(join(disk, 'new'), { engine, rocksdb }),
          error => isFault(error, 'cannot_start') && /full/.test(error.message)
        )
        await rm(join(disk, 'rest'))
        execFileSync('mount', ['-o', 'remount,size=64m', disk], { stdio: 'pipe' })
        await using again = await openStore(where, { engine, rocksdb })
        for (let index = 0; index < acknowledged; index++)
          assert.ok(await again.get(numberKey('n/', index)), `write ${index} of ${acknowledged}`)
      } finally {
        execFileSync('umount', [disk])
      }
    })
  })
}

test('an engine that cannot be had is refused, and the folder is not marked by the attempt', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-store-'))
  after(() => rm(folder, { recursive: true, force: true }))
  const nowhere = { rocksdb: join(folder, 'nowhere') }
  await assert.rejects(
    openStore(join(folder, 'a'), { engine: 'rocksdb', ...nowhere }),
    error => isFault(error, 'cannot_start') && /not installed/.test(error.message)
  )
  await using store = await openStore(join(folder, 'a'), { engine: 'auto', ...nowhere })
  assert.equal(store.engine, 'leveldb')
  assert.equal(await readFile(join(folder, 'a', 'engine'), 'utf8'), 'leveldb\n')
})

test('a binding that aborts on loading is found out in a child process, and LevelDB is taken', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-store-'))
  after(() => rm(folder, { recursive: true, force: true }))
  const rocksdb = join(folder, 'rocksdb')
  await mkdir(rocksdb)
  await writeFile(join(rocksdb, 'package.json'), '{"name":"rocksdb","main":"index.js"}')
  await writeFile(join(rocksdb, 'index.js'), 'process.abort()')
  await using store = await openStore(join(folder, 'a'), { engine: 'auto', rocksdb })
  assert.equal(store.engine, 'leveldb')
})

test('a folder that lost its note about the engine keeps its engine, and a wrong note is refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-store-'))
  after(() => rm(folder, { recursive: true, force: true }))
  await (await openStore(folder, { engine: 'leveldb' }))[Symbol.asyncDispose]()
  await rm(join(folder, 'engine'))
  await assert.rejects(
    openStore(folder, { engine: 'rocksdb', rocksdb }),
    error => isFault(error, 'cannot_start') && /made by leveldb/.test(error.message)
  )
  await (await openStore(folder, { engine: 'auto', rocksdb }))[Symbol.asyncDispose]()
  await writeFile(join(folder, 'engine'), 'sqlite')
  await assert.rejects(
    openStore(folder, { engine: 'auto' }),
    error => isFault(error, 'cannot_start') && /should name an engine/.test(error.message)
  )
})
