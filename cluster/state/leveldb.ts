/** LevelDB by `classic-level`: ready-made for every platform, so it is what runs where RocksDB is not installed. */
import { ClassicLevel } from 'classic-level'
import { type Binding, buffer } from './engine.ts'

const binary = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

export async function openLevelDb(folder: string): Promise<Binding> {
  const db = new ClassicLevel<Buffer, Buffer>(folder, {
    ...binary,
    compression: true,
    writeBufferSize: 8 << 20,
    cacheSize: 8 << 20,
    maxOpenFiles: 200
  })
  await db.open()
  return {
    engine: 'leveldb',
    get: key => db.get(buffer(key)),
    batch: (ops, sync) =>
      db.batch(
        ops.map(op =>
          op.type === 'put' ? { type: 'put', key: buffer(op.key), value: buffer(op.value) } : { type: 'del', key: buffer(op.key) }
        ),
        { sync }
      ),
    rows: ({ gte, lt }, { reverse, limit }) => iterate(db, { gte: buffer(gte), lt: buffer(lt), reverse, limit }),
    close: () => db.close()
  }
}

async function* iterate(db: ClassicLevel<Buffer, Buffer>, options: object): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
  const iterator = db.iterator(options)
  try {
    // Rows come in pages: one promise a row would cost more than the row.
    for (let page = await iterator.nextv(500); page.length > 0; page = await iterator.nextv(500)) yield* page
  } finally {
    await iterator.close()
  }
}
