/**
 * RocksDB by the npm package `rocksdb`, which whoever wants it installs. Merely loading the binary that it ships aborts the process on official
 * builds of Node >= 22 (https://github.com/Level/rocksdb/issues/228), so a child process is asked first. The binding has no guard of its own
 * either: any call after `close` ends the process. The store above makes none.
 */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Binding, batchOf, buffer, type RowIterator } from './engine.ts'
import type { Range } from './store.ts'

type Done<T = void> = (error: Error | null, value: T) => void

/** What is used of the binding (abstract-leveldown 7). */
interface Down {
  open(options: object, done: Done): void
  close(done: Done): void
  getMany(keys: readonly Buffer[], options: object, done: Done<(Buffer | undefined)[]>): void
  batch(ops: readonly object[], options: object, done: Done): void
  iterator(options: object): DownIterator
}

interface DownIterator {
  next(done: (error: Error | null, key?: Buffer, value?: Buffer) => void): void
  end(done: Done): void
}

/** Rows handed on at once. */
const pageRows = 200

/**
 * The entry file of the package: in `folder` where one is given, else beside this program, else in the folder the process runs in;
 * `undefined` where it is not installed.
 */
export function findRocksDb(folder?: string): string | undefined {
  if (folder !== undefined) return resolve(join(folder, 'package.json'), '.')
  return resolve(import.meta.filename, 'rocksdb') ?? resolve(join(process.cwd(), 'package.json'), 'rocksdb')
}

function resolve(from: string, name: string): string | undefined {
  try {
    return createRequire(from).resolve(name)
  } catch {
    return undefined
  }
}

/** Whether the binding at `path` loads on this Node.js: asked in another process, because failing means aborting. */
export async function canLoad(path: string): Promise<boolean> {
  try {
    await promisify(execFile)(process.execPath, ['-e', 'require(process.argv[1])', path], { timeout: 20_000 })
    return true
  } catch {
    return false
  }
}

/** @param path of a package that `canLoad` */
export async function openRocksDb(folder: string, path: string): Promise<Binding> {
  const create = createRequire(import.meta.filename)(path) as (folder: string) => Down
  const db = create(folder)
  // Records are short and their CIDs random: compressing them costs more than it saves. The binding changes the object it gets.
  const options = { createIfMissing: true, compression: false, writeBufferSize: 8 << 20, cacheSize: 8 << 20, maxOpenFiles: 200 }
  await called<void>(done => db.open(options, done))
  return {
    engine: 'rocksdb',
    getMany: keys => called<(Buffer | undefined)[]>(done => db.getMany(keys.map(buffer), { asBuffer: true }, done)),
    batch: (ops, sync) => called<void>(done => db.batch(batchOf(ops), { sync }, done)),
    iterate: (range, options) => iterate(db, range, options),
    close: () => called<void>(done => db.close(done))
  }
}

function iterate(db: Down, { gte, lt }: Range, options: { readonly reverse: boolean; readonly limit: number }): RowIterator {
  const iterator = db.iterator({ gte: buffer(gte), lt: buffer(lt), ...options, keyAsBuffer: true, valueAsBuffer: true })
  return {
    next() {
      const rows: (readonly [Buffer, Buffer])[] = []
      return new Promise((resolve, reject) => {
        const step = () =>
          iterator.next((error, key, value) => {
            if (error) return reject(error)
            if (key === undefined || value === undefined) return resolve(rows)
            if (rows.push([key, value]) === pageRows) return resolve(rows)
            step()
          })
        step()
      })
    },
    end: () => called<void>(done => iterator.end(done))
  }
}

function called<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))))
}
