/** What is measured, each three members on this machine: flotilla as its package is published, Go ipfs-cluster, etcd. */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { LocalCluster } from '../test/support/local-cluster.ts'
import { installPackage } from '../test/support/package.ts'

const run = promisify(execFile)

export interface LoadWish {
  readonly clients: number
  /** Where a pin is asked for, with `{cid}` in it. Default: the REST API, on all peers. */
  readonly path?: string
  readonly seconds?: number
  /** Ends after so many. */
  readonly count?: number
}

export interface Load {
  readonly perSecond: number
  readonly done: number
}

export interface System extends AsyncDisposable {
  readonly name: string
  /** Those that agree; the Kubos are not among them. */
  readonly pids: readonly number[]
  /** What it pins on. */
  readonly kubos: readonly number[]
  load(wish: LoadWish): Promise<Load>
}

let loads = 0

/** Every load pins CIDs of its own. A failed pin is told, and does not count. */
export async function pins(name: string, url: string, { clients, path, seconds, count }: LoadWish): Promise<Load> {
  const words = ['--url', url, '--clients', String(clients), '--tag', `${name}-${process.pid}-${loads++}`]
  if (path !== undefined) words.push('--path', path)
  if (seconds !== undefined) words.push('--seconds', String(seconds))
  if (count !== undefined) words.push('--count', String(count))
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'load.ts'), ...words])
  const { perSecond, pinned, failed, firstFailure } = JSON.parse(stdout)
  if (failed > 0) console.log(`${name}, ${clients} clients: ${failed} failed (${firstFailure})`)
  return { perSecond, done: pinned }
}

export async function flotilla(): Promise<System> {
  await using opened = new AsyncDisposableStack()
  const { program } = opened.use(await installPackage())
  const cluster = opened.use(await LocalCluster.start({ program }))
  const { rest } = cluster.peer(await cluster.leader())
  const pids = cluster.peers.map(({ pid }) => pid)
  const kubos = cluster.peers.map(({ kuboDir }) => pidIn(join(kuboDir, 'pid')))
  const owned = opened.move()
  return {
    name: 'flotilla',
    pids,
    kubos,
    load: wish => pins('flotilla', rest, wish),
    [Symbol.asyncDispose]: () => owned.disposeAsync()
  }
}

export interface Anchors {
  /** Folder with the binaries `ipfs-cluster-service` and `etcdload`. */
  readonly binaries: string
  /** Folder with the scripts `kubos`, `gocluster` and `etcds`. */
  readonly scripts: string
  readonly kubo: string
}

/** @returns `undefined` where its binary or the scripts that start it are not there */
export function goCluster({ binaries, scripts, kubo }: Anchors): System | undefined {
  const service = join(binaries, 'ipfs-cluster-service')
  if (!existsSync(service) || !existsSync(join(scripts, 'gocluster'))) return undefined
  const dir = mkdtempSync(join(tmpdir(), 'bench-go-'))
  const env = { ...process.env, IPFS: kubo, S: service, ANCHORS: binaries }
  execFileSync(join(scripts, 'kubos'), [join(dir, 'kubos'), '3'], { env, stdio: 'ignore' })
  execFileSync(join(scripts, 'gocluster'), [join(dir, 'go'), '3'], { env, stdio: 'ignore' })
  const pids = pidsIn(join(dir, 'go/*/pid'))
  const kubos = pidsIn(join(dir, 'kubos/*/pid'))
  return {
    name: 'Go ipfs-cluster',
    pids,
    kubos,
    load: wish => pins('go', 'http://127.0.0.1:9204', wish),
    [Symbol.asyncDispose]: () => end([...pids, ...kubos], dir)
  }
}

/** @returns `undefined` where its load generator or the script that starts it is not there */
export async function etcd({ binaries, scripts }: Anchors): Promise<System | undefined> {
  const program = join(binaries, 'etcdload')
  if (!existsSync(program) || !existsSync(join(scripts, 'etcds'))) return undefined
  const dir = mkdtempSync(join(tmpdir(), 'bench-etcd-'))
  spawn(join(scripts, 'etcds'), [dir], { stdio: 'ignore' })
  await sleep(4_000)
  const pids = pidsIn(join(dir, '*.pid'))
  return {
    name: 'etcd (puts)',
    pids,
    kubos: [],
    async load({ clients, seconds = 5 }) {
      const { stdout } = await run(program, ['--ep', '127.0.0.1:12379', '--clients', String(clients), '--seconds', String(seconds)])
      const perSecond = Math.round(Number(/: (\d+)\/s/.exec(stdout)?.[1]))
      return { perSecond, done: perSecond * seconds }
    },
    [Symbol.asyncDispose]: () => end(pids, dir)
  }
}

function pidsIn(pattern: string): number[] {
  return globSync(pattern).map(pidIn)
}

export function pidIn(file: string): number {
  return Number.parseInt(readFileSync(file, 'utf8'), 10)
}

async function end(pids: readonly number[], dir: string): Promise<void> {
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}
