/** Programs of other languages that the tests run, made once and kept in the cache; where one cannot be made, the reason. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'flotilla', 'clients')
const limitMs = 240_000

export type Program = { readonly path: string } | { readonly missing: string }

/** A Python of its own with one package. */
export async function pythonWith(packageName: string, version: string): Promise<Program> {
  const folder = join(cache, `python-${packageName}-${version}`)
  const path = join(folder, 'bin', 'python')
  if (await exists(join(folder, 'complete'))) return { path }
  try {
    await rm(folder, { recursive: true, force: true })
    await mkdir(cache, { recursive: true })
    await run('python3', ['-m', 'venv', folder], { timeout: limitMs })
    await run(path, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `${packageName}==${version}`], { timeout: limitMs })
    await mkdir(join(folder, 'complete'))
    return { path }
  } catch (error) {
    return { missing: `Python with ${packageName} ${version}: ${reasonOf(error)}` }
  }
}

/** A Go program of one file against one version of a module. */
export async function goProgram(source: string, module: string, version: string): Promise<Program> {
  const text = await readFile(source)
  const path = join(cache, `go-${createHash('sha256').update(text).update(version).digest('hex').slice(0, 16)}`)
  if (await exists(path)) return { path }
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-go-'))
  const options = { cwd: folder, timeout: limitMs, maxBuffer: 16 << 20, env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' } }
  try {
    await run('go', ['version'], options)
    await copyFile(source, join(folder, 'main.go'))
    await run('go', ['mod', 'init', 'client'], options)
    await run('go', ['get', `${module}@v${version}`], options)
    await run('go', ['build', '-o', 'client', '.'], options)
    await mkdir(dirname(path), { recursive: true })
    await copyFile(join(folder, 'client'), `${path}.${process.pid}`)
    await rename(`${path}.${process.pid}`, path)
    return { path }
  } catch (error) {
    return { missing: `a Go client against ${module} ${version}: ${reasonOf(error)}` }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function reasonOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string }
  return (stderr?.trim() || message).split('\n').slice(-3).join(' ')
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false
  )
}
