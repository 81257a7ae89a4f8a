/** Opens the store of a data folder with the engine it was made with; a new folder gets the best one that loads here. */
import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import { GroupCommitStore } from './engine.ts'
import { openLevelDb } from './leveldb.ts'
import { canLoad, findRocksDb, openRocksDb } from './rocksdb.ts'
import type { Engine, Store } from './store.ts'

export interface StoreSettings {
  /** `auto`: RocksDB where its binding loads, else LevelDB. */
  readonly engine: Engine | 'auto'
  /** Folder of the `rocksdb` package where it is installed elsewhere. */
  readonly rocksdb?: string | undefined
  readonly log?: Log | undefined
  /** Told of the first write that fails, whoever asked for it: the peer has to be stopped. Must not throw. */
  readonly onFailure?: ((error: ClusterError) => void) | undefined
}

/**
 * @param folder made if missing; its file `engine` holds the choice, which never changes by itself
 * @throws ClusterError `cannot_start`: the folder cannot be used, is in use, or belongs to another engine
 */
export async function openStore(folder: string, settings: StoreSettings): Promise<Store> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const made = await madeBy(folder)
    if (made !== undefined && settings.engine !== 'auto' && settings.engine !== made) {
      const way = 'set it back, or start with an empty folder and join again'
      throw cannotStart(`the store in ${folder} is made by ${made}, but the configuration asks for ${settings.engine}: ${way}`)
    }
    const choice = await choose(made ?? settings.engine, settings)
    const within = join(folder, choice.engine)
    const binding = choice.engine === 'rocksdb' ? await openRocksDb(within, choice.path) : await openLevelDb(within)
    if (made === undefined) await writeFile(join(folder, 'engine'), `${choice.engine}\n`, { mode: 0o600 })
    settings.log?.debug({ folder, engine: choice.engine }, 'store opened')
    return new GroupCommitStore(binding, settings)
  } catch (error) {
    if (error instanceof ClusterError) throw error
    throw cannotStart(`the store in ${folder} cannot be opened: ${reason(error)}`, error)
  }
}

/** The engine of an existing folder. Where the file is lost, what lies in the folder says it: a second, empty store would be far worse. */
async function madeBy(folder: string): Promise<Engine | undefined> {
  const file = join(folder, 'engine')
  const text = (await optional(readFile(file, 'utf8')))?.trim() ?? ''
  if (text === 'rocksdb' || text === 'leveldb') return text
  if (text !== '') throw cannotStart(`${file} should name an engine (rocksdb or leveldb), not "${text.slice(0, 40)}"`)
  for (const engine of ['rocksdb', 'leveldb'] as const) {
    if ((await optional(access(join(folder, engine, 'CURRENT')).then(() => engine))) !== undefined) return engine
  }
  return undefined
}

type Choice = { readonly engine: 'rocksdb'; readonly path: string } | { readonly engine: 'leveldb' }

async function choose(wanted: Engine | 'auto', { rocksdb, log }: StoreSettings): Promise<Choice> {
  if (wanted === 'leveldb') return { engine: 'leveldb' }
  const path = findRocksDb(rocksdb)
  const isLoadable = path !== undefined && (await canLoad(path))
  if (isLoadable) return { engine: 'rocksdb', path }
  const problem = path === undefined ? 'the npm package rocksdb is not installed' : 'the npm package rocksdb does not load on this Node.js'
  if (wanted === 'rocksdb') throw cannotStart(`the engine of the store is rocksdb, but ${problem}`)
  log?.info({ reason: problem }, 'store by LevelDB')
  return { engine: 'leveldb' }
}

async function optional<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Neither engine gives the reason as a code: LevelDB wraps it in "Database failed to open", both speak in the words of the C library. */
const reasons: readonly (readonly [RegExp, string])[] = [
  [/EACCES|EPERM|permission denied|not permitted/i, 'this user may not write there'],
  [/EROFS|read-only/i, 'the file system is read-only'],
  [/ENOSPC|no space left/i, 'the disk is full'],
  [/ENOTDIR|EEXIST|not a directory/i, 'a file is in the way'],
  [/lock/i, 'another process uses it'],
  [/corrupt|checksum/i, 'its files are damaged; move the folder aside and let this peer join again with a new identity']
]

function reason(error: unknown): string {
  const text = messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error)
  return reasons.find(([pattern]) => pattern.test(text))?.[1] ?? text
}

function cannotStart(message: string, cause?: unknown): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message, { cause })
}
