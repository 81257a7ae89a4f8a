/**
 * Commits through REST with 1, 16 and 64 clients, CPU per commit over three peers, and memory with 100k pins: flotilla beside Go ipfs-cluster and etcd,
 * in one run on one machine. What is not found is left out, and said. Environment: KUBO_BIN; ANCHORS, a folder with ipfs-cluster-service, etcdload
 * and the scripts gocluster, kubos, etcds (SCRIPTS); SECONDS a figure (default 8); PINS (default 100000).
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import Table from 'cli-table3'
import { ensureKubo } from '../cli/kubo-binary.ts'
import { LocalCluster } from '../test/support/local-cluster.ts'

const run = promisify(execFile)
const seconds = Number(process.env.SECONDS ?? 8)
const pins = Number(process.env.PINS ?? 100_000)
const anchors = process.env.ANCHORS ?? join(process.env.HOME ?? '', '.cache', 'flotilla-anchors')
const scripts = process.env.SCRIPTS ?? ''
const columns = [1, 16, 64]

interface Figures {
  readonly name: string
  readonly perSecond: number[]
  /** Milliseconds of processor time a commit costs, all peers together, at 64 clients. */
  cpuMs: number | null
  /** MiB of each peer. */
  memory: number[]
}

const ticksPerSecond = 100

function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  }, 0)
}

function memoryMiB(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024)
}

async function load(
  url: string,
  words: readonly string[]
): Promise<{ perSecond: number; pinned: number; failed: number; firstFailure: string }> {
  const { stdout } = await run(process.execPath, [resolve(import.meta.dirname, 'load.ts'), '--url', url, ...words])
  return JSON.parse(stdout)
}

async function measure(name: string, url: string, pids: readonly number[]): Promise<Figures> {
  const figures: Figures = { name, perSecond: [], cpuMs: null, memory: [] }
  await load(url, ['--clients', '16', '--seconds', '2', '--tag', `${name}-warm`])
  for (const clients of columns) {
    const before = cpuSeconds(pids)
    const { perSecond, pinned, failed, firstFailure } = await load(url, [
      '--clients',
      String(clients),
      '--seconds',
      String(seconds),
      '--tag',
      `${name}-${clients}`
    ])
    if (failed > 0) console.log(`${name}, ${clients} clients: ${failed} failed (${firstFailure})`)
    figures.perSecond.push(perSecond)
    if (clients === 64) figures.cpuMs = ((cpuSeconds(pids) - before) * 1_000) / pinned
  }
  console.log(`${name}: ${figures.perSecond.join(' / ')} commits/s; ${pins} pins for the memory figure …`)
  await load(url, ['--clients', '64', '--count', String(pins), '--tag', `${name}-fill`])
  figures.memory.push(...pids.map(memoryMiB))
  return figures
}

const all: Figures[] = []
const kubo = await ensureKubo({ say: line => console.log(line) })
process.env.KUBO_BIN = kubo

{
  await using cluster = await LocalCluster.start()
  const leader = await cluster.leader()
  all.push(
    await measure(
      'flotilla',
      cluster.peer(leader).rest,
      cluster.peers.map(({ pid }) => pid)
    )
  )
}

const service = join(anchors, 'ipfs-cluster-service')
if (existsSync(service) && scripts !== '') {
  const dir = mkdtempSync(join(tmpdir(), 'bench-go-'))
  const variables = { ...process.env, IPFS: kubo, S: service, ANCHORS: anchors }
  const started: number[] = []
  const pidsIn = (folder: string) =>
    readdirSync(folder).flatMap(name =>
      existsSync(join(folder, name, 'pid')) ? [Number(readFileSync(join(folder, name, 'pid'), 'utf8'))] : []
    )
  try {
    execFileSync(join(scripts, 'kubos'), [join(dir, 'kubos'), '3'], { env: variables, stdio: 'ignore' })
    started.push(...pidsIn(join(dir, 'kubos')))
    execFileSync(join(scripts, 'gocluster'), [join(dir, 'go'), '3'], { env: variables, stdio: 'ignore' })
    const peers = pidsIn(join(dir, 'go'))
    started.push(...peers)
    all.push(await measure('Go ipfs-cluster', 'http://127.0.0.1:9204', peers))
  } finally {
    for (const pid of started) process.kill(pid, 'SIGKILL')
    rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
} else console.log('Go ipfs-cluster: left out, its binary (ANCHORS) or the scripts that start it (SCRIPTS) are not there')

const etcdload = join(anchors, 'etcdload')
if (existsSync(etcdload) && scripts !== '') {
  const dir = mkdtempSync(join(tmpdir(), 'bench-etcd-'))
  try {
    spawn(join(scripts, 'etcds'), [dir], { stdio: 'ignore' })
    await new Promise(done => setTimeout(done, 4_000))
    const figures: Figures = { name: 'etcd', perSecond: [], cpuMs: null, memory: [] }
    for (const clients of columns) {
      const { stdout } = await run(etcdload, ['--ep', '127.0.0.1:12379', '--clients', String(clients), '--seconds', String(seconds)])
      figures.perSecond.push(Math.round(Number(/: (\d+)\/s/.exec(stdout)?.[1] ?? Number.NaN)))
    }
    all.push(figures)
  } finally {
    for (const file of readdirSync(dir).filter(name => name.endsWith('.pid')))
      process.kill(Number(readFileSync(join(dir, file), 'utf8')), 'SIGKILL')
    rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
} else console.log('etcd: left out, etcdload (ANCHORS) or the scripts (SCRIPTS) are not there')

const own = all[0]
const table = new Table({
  head: ['', ...columns.map(clients => `${clients} clients /s`), 'CPU ms/commit', 'MiB a peer'],
  style: { head: [], border: [] }
})
for (const { name, perSecond, cpuMs, memory } of all)
  table.push([name, ...perSecond, cpuMs === null ? '-' : cpuMs.toFixed(2), memory.join(' ') || '-'])
for (const other of all.slice(1)) {
  const ratio = (a: number | null | undefined, b: number | null | undefined) => (a == null || b == null ? '-' : (a / b).toFixed(2))
  table.push([
    `flotilla ÷ ${other.name}`,
    ...columns.map((_, index) => ratio(own?.perSecond[index], other.perSecond[index])),
    ratio(own?.cpuMs, other.cpuMs),
    ratio(own && Math.max(...own.memory), other.memory.length > 0 ? Math.max(...other.memory) : null)
  ])
}
console.log(table.toString())
