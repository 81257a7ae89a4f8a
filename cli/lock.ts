/** One process a folder: the file `pid` says which. A file whose process is gone is left over from a crash, and taken over. */
import { readFileSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { ClusterError } from '../src/errors.ts'

/** @throws ClusterError `cannot_start` naming the process that holds the folder */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const file = `${folder}/pid`
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}\n`
  for (let attempt = 0; ; attempt++) {
    try {
      await writeFile(file, mine, { flag: 'wx', mode: 0o644 })
      break
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code !== 'EEXIST' || attempt > 3) {
        const reason =
          code === 'EROFS'
            ? 'the file system is read-only'
            : code === 'EACCES'
              ? 'permission denied'
              : code === 'ENOENT'
                ? 'the folder does not exist; run "flotilla init" first'
                : String(code)
        throw new ClusterError({ code: 'cannot_start' }, `the folder ${folder} cannot be used: ${reason}`, { cause: error })
      }
      const holder = await holderOf(folder)
      if (holder !== undefined) {
        throw new ClusterError({ code: 'cannot_start' }, `the folder ${folder} is in use by process ${holder}: stop that one first`)
      }
      await rm(file, { force: true })
    }
  }
  return {
    async [Symbol.asyncDispose]() {
      if ((await readFile(file, 'utf8').catch(() => '')) === mine) await rm(file, { force: true })
    }
  }
}

/** The process that holds `folder`, if it lives. A number that another program got meanwhile does not count. */
export async function holderOf(folder: string): Promise<number | undefined> {
  const [pid = '', start = ''] = (await readFile(`${folder}/pid`, 'utf8').catch(() => '')).trim().split(' ')
  if (!/^\d+$/.test(pid)) return undefined
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined
  }
  const now = startOf(Number(pid))
  return start !== '' && now !== undefined && now !== start ? undefined : Number(pid)
}

/** When a process was started, in the kernel's ticks; `undefined` where there is no /proc. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold anything; the 20th field behind it is the start.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
