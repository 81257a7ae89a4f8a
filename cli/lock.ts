/**
 * One process a folder. The file `lock` says which one, and when it was started, so that a number that another program got meanwhile does not
 * count; the file `pid` holds the number alone, for people and scripts.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClusterError, messageOf } from '../src/errors.ts'

/**
 * Takes the folder for a process; the lock ends by disposal, or with the process.
 * @param folder exists already
 * @param options.pid of a child that this process has just started; default: this process
 * @throws ClusterError `cannot_start` naming the process that holds the folder
 */
export async function lockFolder(folder: string, { pid = process.pid }: { pid?: number } = {}): Promise<AsyncDisposable> {
  const file = join(folder, 'lock')
  const mine = `${pid} ${startOf(pid) ?? ''}\n`
  const fresh = `${file}.${randomBytes(6).toString('hex')}`
  try {
    await writeFile(fresh, mine, { flag: 'wx', mode: 0o600 })
    // Linked, not created and then filled: nobody sees a lock without its holder.
    while (!(await didLink(fresh, file))) {
      const text = await contentOf(file)
      const holder = text === undefined ? undefined : livingHolder(text)
      if (holder !== undefined) {
        throw new ClusterError({ code: 'cannot_start' }, `the folder ${folder} is in use by process ${holder}: stop that one first`)
      }
      if (text !== undefined) await removeStale(file, text, fresh)
    }
    await writeFile(join(folder, 'pid'), `${pid}\n`, { mode: 0o644 })
  } catch (error) {
    if (error instanceof ClusterError) throw error
    throw new ClusterError({ code: 'cannot_start' }, `the folder ${folder} cannot be used: ${reasonOf(error)}`, { cause: error })
  } finally {
    await rm(fresh, { force: true }).catch(() => {}) // In a folder that cannot be written there is none.
  }
  return {
    async [Symbol.asyncDispose]() {
      if ((await contentOf(file)) !== mine) return
      await rm(join(folder, 'pid'), { force: true })
      await rm(file, { force: true })
    }
  }
}

/** The process that holds the folder, if it lives. */
export async function holderOf(folder: string): Promise<number | undefined> {
  const text = await contentOf(join(folder, 'lock'))
  return text === undefined ? undefined : livingHolder(text)
}

/**
 * Removes the lock of a process that is gone. Two that see the same one must not both do it, or the slower one would remove what the faster one has
 * put there meanwhile: only the holder of a second lock may. That one is held for microseconds.
 */
async function removeStale(file: string, stale: string, fresh: string): Promise<void> {
  const turn = `${file}.turn`
  if (await didLink(fresh, turn)) {
    try {
      if ((await contentOf(file)) === stale) await rm(file, { force: true })
    } finally {
      await rm(turn, { force: true })
    }
    return
  }
  const other = await contentOf(turn)
  if (other !== undefined && livingHolder(other) === undefined) await rm(turn, { force: true })
}

async function didLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function contentOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function livingHolder(text: string): number | undefined {
  const [, digits, start] = /^(\d+) (.*)\n$/.exec(text) ?? []
  const pid = Number(digits)
  if (digits === undefined || !isAlive(pid)) return undefined
  const now = startOf(pid)
  return now === undefined || start === '' || now === start ? pid : undefined
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It may belong to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Tells a process from every other one that had or gets its number; `undefined` where there is no /proc, or no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold anything. The 20th field behind it is the start, in ticks since the machine was: so which start of the machine?
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return `${ticks} ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
  } catch {
    return undefined
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  ENOENT: 'it does not exist, "flotilla init" makes it',
  ENOTDIR: 'it is a file',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only'
}

function reasonOf(error: unknown): string {
  return reasons[String((error as NodeJS.ErrnoException).code)] ?? messageOf(error)
}
