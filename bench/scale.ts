/**
 * How the cost grows with the number of pins: three peers on this machine, the Kubos stopped, so that pins are agreed and wait. For each size in turn:
 * import, commits, memory, full list, restart after kill -9, the gap where a leader is killed or told to stop, and a fourth peer that joins under load.
 *
 * Environment: KUBO_BIN; SIZES (default 10000,100000,1000000); OUT, a folder that gets `scale.md` and `scale.svg`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ensureKubo } from '../cli/kubo-binary.ts'
import { plot } from './plot.ts'
import { ScaleCluster, type Served } from './scale-cluster.ts'
import { chartsOf, type Figures, pageOf, rowsOf } from './scale-page.ts'

const sizes = (process.env.SIZES ?? '10000,100000,1000000').split(',').map(Number)
const out = process.env.OUT
const clients = 64
const alone = 5_000
/** What a client goes on for behind an end of its leader. */
const gapMs = 3_000

process.env.KUBO_BIN = await ensureKubo({ say: line => console.log(line) })

async function measured(cluster: ScaleCluster, from: number, size: number): Promise<Figures> {
  const importPerSecond = await cluster.import(from, size)
  await cluster.rest()
  const { written } = await cluster.write(await cluster.leader(), clients, () => sleep(alone))
  await cluster.rest()
  const memory = cluster.memory()
  const list = await cluster.serves((await cluster.follower()).door, size)
  await cluster.serves((await cluster.leader()).door, size)
  const memoryAfterList = cluster.memory()

  const restarts: Served[] = []
  const restart = async (signal: 'SIGKILL' | 'SIGTERM', peer = cluster.leader()) => {
    const ended = await peer
    const { written } = await cluster.write(await cluster.follower(), 1, async () => {
      await sleep(1_000)
      cluster.end(ended, signal)
      await sleep(gapMs)
    })
    cluster.begin(ended)
    const served = await cluster.serves(ended.door, size)
    if (signal === 'SIGKILL') restarts.push(served)
    await cluster.rest()
    return written
  }
  const killed = await restart('SIGKILL')
  const stopped = await restart('SIGTERM')
  // A follower too: it finds a leader that is there.
  const follower = await cluster.follower()
  cluster.end(follower, 'SIGKILL')
  await sleep(500)
  cluster.begin(follower)
  restarts.push(await cluster.serves(follower.door, size))
  await cluster.rest()

  const one = await cluster.write(await cluster.leader(), 1, () => sleep(alone))
  const quiet = await cluster.join(size, 1)
  await cluster.rest()
  const many = await cluster.write(await cluster.leader(), clients, () => sleep(alone))
  const busy = await cluster.join(size, clients)
  return {
    size,
    importPerSecond,
    commitsPerSecond: written.perSecond,
    memory,
    memoryAfterList,
    listMs: list.wholeMs,
    restartFirstMs: Math.max(...restarts.map(({ firstMs }) => firstMs)),
    restartMs: Math.max(...restarts.map(({ wholeMs }) => wholeMs)),
    killedMs: killed.longest,
    killedFailed: killed.failed,
    stoppedMs: stopped.longest,
    stoppedFailed: stopped.failed,
    joinMs: busy.wholeMs,
    joinShare: busy.written.perSecond / many.written.perSecond,
    joinMemory: Math.max(busy.memory, quiet.memory),
    delayMs: quiet.written.longest - one.written.longest,
    longestMs: quiet.written.longest,
    quietJoinMs: quiet.wholeMs,
    quietShare: quiet.written.perSecond / one.written.perSecond
  }
}

const folder = await mkdtemp(join(tmpdir(), 'bench-scale-'))
try {
  await using cluster = await ScaleCluster.start(folder)
  const figures: Figures[] = []
  for (const [place, size] of sizes.entries()) {
    const began = performance.now()
    const figure = await measured(cluster, sizes[place - 1] ?? 0, size)
    figures.push(figure)
    console.log(`${size} pins, ${Math.round((performance.now() - began) / 1_000)} s`)
    for (const [name, value] of rowsOf(figure)) console.log(`  ${name}: ${value}`)
  }
  if (out !== undefined) {
    await writeFile(join(out, 'scale.svg'), plot(sizes, chartsOf(figures)))
    await writeFile(join(out, 'scale.md'), pageOf(figures, `${cpus().length} cores of ${cpus()[0]?.model.trim()}, Node ${process.version}`))
  }
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}
