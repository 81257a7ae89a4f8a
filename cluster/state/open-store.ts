/** Opens the store of a data folder with the engine it was made with; a new folder gets the best one that loads here. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { GroupCommitStore } from './engine.ts'
import { openLevelDb } from './leveldb.ts'
import { canLoad, findRocksDb, openRocksDb } from './rocksdb.ts'
import type { Engine, Store } from './store.ts'

export interface StoreSettings {
  /** `auto`: RocksDB where its binding loads, else LevelDB. */
  readonly engine: Engine | 'auto'
  /** Folder of the `rocksdb` package where it is installed elsewhere. */
  readonly rocksdb?: string | undefined
}

/**
 * @param folder made if missing; its file `engine` holds the choice, which never changes by itself
 * @throws ClusterError `cannot_start`: the folder cannot be used, is in use, or belongs to another engine
 */
export async function openStore(folder: string, settings: StoreSettings): Promise<Store> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const engine = await choose(folder, settings)
    const path = engine === 'rocksdb' ? findRocksDb(settings.rocksdb) : undefined
    if (engine === 'rocksdb' && (path === undefined || !(await canLoad(path)))) {
      throw cannotStart(
        `the store in ${folder} is made by RocksDB, but the npm package rocksdb is not installed here or does not load on this Node.js`
      )
    }
    return new GroupCommitStore(
      path === undefined ? await openLevelDb(join(folder, engine)) : await openRocksDb(join(folder, engine), path)
    )
  } catch (error) {
    if (error instanceof ClusterError) throw error
    throw cannotStart(`the store in ${folder} cannot be opened: ${reason(error)}`, error)
  }
}

async function choose(folder: string, { engine, rocksdb }: StoreSettings): Promise<Engine> {
  const file = join(folder, 'engine')
  const made = await readFile(file, 'utf8').then(
    text => text.trim(),
    error => (error.code === 'ENOENT' ? undefined : Promise.reject(error))
  )
  if (made !== undefined) {
    if (made !== 'rocksdb' && made !== 'leveldb')
      throw cannotStart(`${file} should name an engine (rocksdb or leveldb), not "${made.slice(0, 40)}"`)
    if (engine !== 'auto' && engine !== made) {
      throw cannotStart(
        `the store in ${folder} is made by ${made}, but the configuration asks for ${engine}: set it back, or start with an empty folder and join again`
      )
    }
    return made
  }
  const path = engine === 'leveldb' ? undefined : findRocksDb(rocksdb)
  const chosen = engine === 'auto' ? (path !== undefined && (await canLoad(path)) ? 'rocksdb' : 'leveldb') : engine
  await writeFile(file, `${chosen}\n`, { mode: 0o600 })
  return chosen
}

/** LevelDB says "Database is not open" and keeps the reason in `cause`. */
function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const text = messageOf(cause)
  if (/lock/i.test(text)) return 'another process uses it'
  if ((cause as { code?: string }).code === 'EROFS' || /read-only/i.test(text)) return 'the file system is read-only'
  return text
}

function cannotStart(message: string, cause?: unknown): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message, { cause })
}
