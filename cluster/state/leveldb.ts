/** LevelDB by `classic-level`: ready-made for every platform, so it is what runs where RocksDB is not installed. */
import { ClassicLevel } from 'classic-level'
import { type Binding, batchOf, buffer } from './engine.ts'

/** Rows fetched in one call: one promise a row would cost more than the row. The binding also stops a page at 16 KiB. */
const pageRows = 500

/** @param folder made if missing */
export async function openLevelDb(folder: string): Promise<Binding> {
  const options = {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    writeBufferSize: 4 << 20,
    cacheSize: 4 << 20,
    maxOpenFiles: 200
  } as const
  const db = new ClassicLevel<Buffer, Buffer>(folder, options)
  await db.open()
  return {
    engine: 'leveldb',
    getNow: key => db.getSync(buffer(key)),
    getMany: keys => db.getMany(keys.map(buffer)),
    batch: (ops, sync) => db.batch(batchOf(ops), { sync }),
    iterate({ gte, lt }, { reverse, limit }) {
      const iterator = db.iterator({ gte: buffer(gte), lt: buffer(lt), reverse, limit })
      return { next: () => iterator.nextv(pageRows), end: () => iterator.close() }
    },
    close: () => db.close()
  }
}
