/** LevelDB by `classic-level`: ready-made for every platform, so it is what runs where RocksDB is not installed. */
import { ClassicLevel } from 'classic-level'
import { type Binding, batchOf, buffer } from './engine.ts'

/** Rows fetched in one call: one promise a row would cost more than the row, and a call as much as a hundred rows. */
const pageRows = 1_000
/** The call ends with the row that goes beyond. Handing over so many takes this thread a millisecond. */
const pageBytes = 128 << 10

/** @param folder made if missing */
export async function openLevelDb(folder: string): Promise<Binding> {
  const options = {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    writeBufferSize: 2 << 20,
    cacheSize: 2 << 20,
    // Open tables are mapped into memory, and what was read of them counts as this process's: 64 of one MiB, the least that LevelDB allows of both.
    maxOpenFiles: 74,
    maxFileSize: 1 << 20
  } as const
  const db = new ClassicLevel<Buffer, Buffer>(folder, options)
  await db.open()
  return {
    engine: 'leveldb',
    getNow: key => db.getSync(buffer(key)),
    getMany: keys => db.getMany(keys.map(buffer)),
    batch: (ops, sync) => db.batch(batchOf(ops), { sync }),
    iterate({ gte, lt }, { reverse, limit }) {
      const iterator = db.iterator({ gte: buffer(gte), lt: buffer(lt), reverse, limit, highWaterMarkBytes: pageBytes })
      return { next: () => iterator.nextv(pageRows), end: () => iterator.close() }
    },
    close: () => db.close()
  }
}
