/**
 * RocksDB by the npm package `rocksdb`. Its binding has no guard of its own: any call after `close` ends the process, and on official builds of
 * Node >= 22 merely loading the binary it ships aborts. So it is asked for in a child process first, and calls are counted in and out here.
 */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Binding, buffer } from './engine.ts'
import type { Range } from './store.ts'

type Callback<T = unknown> = (error: Error | null, value?: T) => void

/** What is used of the binding (abstract-leveldown 7). */
interface Down {
  open(options: object, done: Callback): void
  close(done: Callback): void
  get(key: Buffer, options: object, done: Callback<Buffer>): void
  batch(ops: readonly object[], options: object, done: Callback): void
  iterator(options: object): DownIterator
}
interface DownIterator {
  next(done: (error: Error | null, key?: Buffer, value?: Buffer) => void): void
  end(done: Callback): void
}

const run = promisify(execFile)

/** Where the package is: beside this program, in the folder it runs in, or where the caller says. */
export function findRocksDb(folder?: string): string | undefined {
  for (const from of folder ? [join(folder, 'package.json')] : [import.meta.filename, join(process.cwd(), 'package.json')]) {
    try {
      return folder ? createRequire(from).resolve('.') : createRequire(from).resolve('rocksdb')
    } catch {
      // Not there; the next place may have it.
    }
  }
  return undefined
}

/** Loads the binding in another process, because failing means aborting. */
export async function canLoad(path: string): Promise<boolean> {
  try {
    await run(process.execPath, ['-e', 'require(process.argv[1])', path], { timeout: 20_000 })
    return true
  } catch {
    return false
  }
}

export async function openRocksDb(folder: string, path: string): Promise<Binding> {
  const create = createRequire(import.meta.filename)(path) as (folder: string) => Down
  const db = create(folder)
  await promisify(db.open.bind(db) as (options: object, done: Callback) => void)({
    createIfMissing: true,
    writeBufferSize: 8 << 20,
    cacheSize: 8 << 20,
    maxOpenFiles: 200
  })
  const batch = promisify(db.batch.bind(db) as (ops: readonly object[], options: object, done: Callback) => void)
  const get = (key: Uint8Array) =>
    new Promise<Uint8Array | undefined>((resolve, reject) => {
      db.get(buffer(key), { asBuffer: true }, (error, value) => {
        // The binding tells a missing key by the beginning of a message: it has no code.
        if (error === null) resolve(value)
        else if (/^NotFound/.test(error.message)) resolve(undefined)
        else reject(error)
      })
    })
  return {
    engine: 'rocksdb',
    get,
    batch: async (ops, sync) => {
      await batch(
        ops.map(op =>
          op.type === 'put' ? { type: 'put', key: buffer(op.key), value: buffer(op.value) } : { type: 'del', key: buffer(op.key) }
        ),
        { sync }
      )
    },
    rows: (range, { reverse, limit }) => iterate(db, range, reverse, limit),
    close: () => promisify(db.close.bind(db) as (done: Callback) => void)().then(() => {})
  }
}

async function* iterate(db: Down, { gte, lt }: Range, reverse: boolean, limit: number): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
  const iterator = db.iterator({ gte: buffer(gte), lt: buffer(lt), reverse, limit, keyAsBuffer: true, valueAsBuffer: true })
  const next = () =>
    new Promise<readonly [Uint8Array, Uint8Array] | undefined>((resolve, reject) =>
      iterator.next((error, key, value) => (error ? reject(error) : resolve(key && value && [key, value])))
    )
  try {
    for (let row = await next(); row !== undefined; row = await next()) yield row
  } finally {
    await promisify(iterator.end.bind(iterator) as (done: Callback) => void)()
  }
}
