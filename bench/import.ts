/**
 * Pins a second by `flotilla state import`, beside pins one by one through REST with 64 clients: three peers on this machine, in one run and by turns.
 * A figure is the median of the rounds, the ratio the median of the rounds' ratios. The Kubos are stopped: pins are agreed, and wait.
 *
 * Environment: KUBO_BIN; PINS of an import (default 100000); ROUNDS (default 3); SECONDS of the other load (default 5).
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { ensureKubo } from '../cli/kubo-binary.ts'
import { inline } from '../test/support/cids.ts'
import { LocalCluster } from '../test/support/local-cluster.ts'
import { writeExport } from './export.ts'
import { cpuMs, median, memoryMiB, settled } from './processes.ts'
import { pidIn } from './systems.ts'

const run = promisify(execFile)
const pins = Number(process.env.PINS ?? 100_000)
const rounds = Number(process.env.ROUNDS ?? 3)
const seconds = Number(process.env.SECONDS ?? 5)
const program = resolve(import.meta.dirname, '../cli/bin.js')

process.env.KUBO_BIN = await ensureKubo({ say: line => console.log(line) })
const folder = await mkdtemp(join(tmpdir(), 'bench-import-'))
await using cluster = await LocalCluster.start()
const leader = cluster.peer(await cluster.leader())
const pids = cluster.peers.map(({ pid }) => pid)
for (const { kuboDir } of cluster.peers) process.kill(pidIn(join(kuboDir, 'pid')), 'SIGKILL')

/** Everywhere, as the pins of the other load. */
async function exportOf(round: number): Promise<string> {
  const file = join(folder, `${round}.ndjson`)
  await writeExport(file, { from: 0, to: pins, cid: index => inline(`import-${round}-${index}`) })
  return file
}

async function oneByOne(round: number): Promise<number> {
  const words = ['--url', leader.rest, '--clients', '64', '--seconds', String(seconds), '--tag', `single-${round}`]
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'load.ts'), ...words])
  return JSON.parse(stdout).perSecond
}

async function imported(file: string): Promise<{ perSecond: number; cpuUs: number }> {
  const [started, before] = [performance.now(), cpuMs(pids)]
  await run(process.execPath, [program, 'state', 'import', '--host', leader.rest, '--file', file])
  const perSecond = Math.round((pins * 1_000) / (performance.now() - started))
  return { perSecond, cpuUs: Math.round(((cpuMs(pids) - before) * 1_000) / pins) }
}

const results: { single: number; bulk: number; ratio: number }[] = []
try {
  for (let round = 1; round <= rounds; round++) {
    const file = await exportOf(round)
    await settled(pids, 60_000)
    const single = await oneByOne(round)
    await settled(pids, 60_000)
    const { perSecond: bulk, cpuUs } = await imported(file)
    results.push({ single, bulk, ratio: bulk / single })
    const memory = pids.map(pid => memoryMiB(pid)).join(' ')
    console.log(
      `round ${round}: one by one ${single}/s, import ${bulk}/s; ${cpuUs} µs of processor a pin, three peers together; ${memory} MiB`
    )
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
const [single, bulk, ratio] = (['single', 'bulk', 'ratio'] as const).map(key => median(results.map(result => result[key])))
console.log(`import ${bulk}/s, one by one with 64 clients ${single}/s: ratio ${ratio?.toFixed(1)}`)
