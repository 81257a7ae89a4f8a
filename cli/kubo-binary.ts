/** Getting Kubo: what is there is used, else it is fetched or built once and kept in the cache. Says what it does while it does it. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, constants, copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { environment } from '../src/environment.ts'
import { ClusterError, messageOf } from '../src/errors.ts'
import type { Abortable } from '../src/lifetime.ts'

/** The version that is fetched or built; one that is found may be another. */
export const kuboVersion = '0.42.0'

export interface KuboWish extends Abortable {
  /** `--ipfs`: this one and no other. */
  readonly explicit?: string | undefined
  /** One line at a time, for people. */
  readonly say: (line: string) => void
}

const npmMs = 120_000
const buildMs = 1_500_000

/** @returns the path of a Kubo that runs @throws ClusterError `cannot_start` naming all the ways */
export async function ensureKubo({ explicit, say, signal }: KuboWish): Promise<string> {
  const variables = environment()
  const named = explicit ?? variables.KUBO_BIN
  if (named) {
    if (await works(named, { signal })) return named
    throw cannotStart(`${named} (${explicit ? '--ipfs' : 'KUBO_BIN'}) is not a Kubo that runs here: expected the path of an ipfs program`)
  }
  for (const folder of (variables.PATH ?? '').split(delimiter)) {
    const candidate = join(folder || '.', 'ipfs')
    if (await works(candidate, { signal })) return candidate
  }
  const cache = join(variables.XDG_CACHE_HOME || join(homedir(), '.cache'), 'flotilla', 'kubo', kuboVersion)
  const cached = join(cache, 'ipfs')
  if (await works(cached, { signal })) return cached
  await mkdir(cache, { recursive: true })
  const failures: string[] = []
  for (const [way, get] of [
    ['npm package kubo', fromNpm],
    ['go build', fromGo]
  ] as const) {
    signal?.throwIfAborted()
    const folder = await mkdtemp(join(tmpdir(), 'flotilla-kubo-'))
    try {
      const built = await get(folder, { say, signal })
      await keep(built, cached, { signal })
      say(`Kubo ${kuboVersion} is in ${cached}`)
      return cached
    } catch (error) {
      signal?.throwIfAborted()
      failures.push(`${way}: ${messageOf(error)}`)
      say(`${way}: did not work (${messageOf(error)})`)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  throw cannotStart(
    `no Kubo to be had (${failures.join('; ')}): install it so that "ipfs" is on PATH, or name it by --ipfs PATH or KUBO_BIN, or install Go 1.26`
  )
}

/** Under a name of its own until it is seen to run: somebody else may be doing the same, and what does not run must not take the place of what does. */
async function keep(built: string, cached: string, { signal }: Abortable): Promise<void> {
  const fresh = `${cached}.${randomBytes(6).toString('hex')}`
  try {
    await copyFile(built, fresh)
    if (!(await works(fresh, { signal }))) throw new Error('what came out does not run')
    await rename(fresh, cached)
  } finally {
    await rm(fresh, { force: true })
  }
}

type Way = { say: (line: string) => void } & Abortable

async function fromNpm(folder: string, { say, signal }: Way): Promise<string> {
  say(`Fetching Kubo ${kuboVersion} with the npm package kubo (its installer downloads the official build) …`)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, allowScripts: { kubo: true } }))
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder, `kubo@${kuboVersion}`], {
    cwd: folder,
    timeoutMs: npmMs,
    signal
  })
  const binary = join(folder, 'node_modules', 'kubo', 'kubo', 'ipfs')
  await access(binary, constants.X_OK).catch(() => Promise.reject(new Error('its installer could not download the build')))
  return binary
}

async function fromGo(folder: string, { say, signal }: Way): Promise<string> {
  say(`Building Kubo ${kuboVersion} with Go (about two minutes, once) …`)
  const started = performance.now()
  // "require" instead of "go get": that one asks for the list of versions, which not every proxy serves.
  await writeFile(join(folder, 'go.mod'), `module build\ngo 1.26\nrequire github.com/ipfs/kubo v${kuboVersion}\n`)
  await writeFile(join(folder, 'tools.go'), '//go:build tools\npackage tools\nimport _ "github.com/ipfs/kubo/cmd/ipfs"\n')
  const ticker = setInterval(() => say(`… still building, ${Math.round((performance.now() - started) / 1_000)} s`), 15_000)
  try {
    await run('go', ['build', '-mod=mod', '-o', join(folder, 'ipfs'), 'github.com/ipfs/kubo/cmd/ipfs'], {
      cwd: folder,
      timeoutMs: buildMs,
      signal
    })
  } finally {
    clearInterval(ticker)
  }
  return join(folder, 'ipfs')
}

async function works(file: string, { signal }: Abortable): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return /^\d+\.\d+/.test((await run(file, ['version', '--number'], { timeoutMs: 20_000, signal })).trim())
  } catch {
    signal?.throwIfAborted()
    return false
  }
}

/** @returns what it printed @throws Error with the last line it printed to its error stream */
function run(
  command: string,
  words: readonly string[],
  { cwd, timeoutMs, signal }: { cwd?: string; timeoutMs: number } & Abortable
): Promise<string> {
  const limit = signal ? AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) : AbortSignal.timeout(timeoutMs)
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { cwd, signal: limit, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let complaint = ''
    child.stdout.on('data', chunk => (output += chunk))
    child.stderr.on('data', chunk => (complaint = (complaint + chunk).slice(-4_000)))
    child.on('error', error =>
      reject(
        (error as NodeJS.ErrnoException).code === 'ENOENT'
          ? new Error(`${command} is not installed`)
          : limit.aborted
            ? new Error('took too long')
            : error
      )
    )
    child.on('close', code =>
      code === 0 ? resolve(output) : reject(new Error(complaint.trim().split('\n').at(-1) || `${command} ended with ${code}`))
    )
  })
}

function cannotStart(message: string): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message)
}
