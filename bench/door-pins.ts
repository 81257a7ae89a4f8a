/** `pin/add` through the door of a peer among three, beside `pin/add` of one Kubo that nobody else uses, in turns. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TestKubo } from '../test/support/kubo.ts'
import { LocalCluster } from '../test/support/local-cluster.ts'
import { installPackage } from '../test/support/package.ts'
import type { Figure } from './door-cases.ts'
import { settled } from './processes.ts'
import { pidIn, pins } from './systems.ts'

const clientCounts = [1, 16, 64]
const path = '/api/v0/pin/add?arg={cid}'
/** As long as it takes until the engine of a daemon has compiled what is hot, some 12,000 pins: it then runs for weeks. */
const warmSeconds = 40

/** Waiting level `min`, the default. */
export async function pinFigures({ rounds, seconds }: { rounds: number; seconds: number }): Promise<readonly Figure[]> {
  await using opened = new AsyncDisposableStack()
  const { program } = opened.use(await installPackage())
  const kubo = opened.use(await TestKubo.start())
  const figures: Figure[] = []
  for (const replication of [1, -1]) {
    await using cluster = await clusterOf(program, replication)
    const { door } = cluster.peer(await cluster.leader())
    const port = /\/tcp\/(\d+)/.exec(door)?.[1]
    const everybody = [kubo.pid, ...cluster.peers.flatMap(({ pid, kuboDir }) => [pid, pidIn(join(kuboDir, 'pid'))])]
    const turn = async (name: string, url: string, clients: number) => {
      await settled(everybody, 20_000)
      return (await pins(name, url, { clients, path, seconds })).perSecond
    }
    const systems = { own: `http://127.0.0.1:${port}`, kubo: kubo.url }
    for (const [name, url] of Object.entries(systems)) await pins(name, url, { clients: 64, path, seconds: warmSeconds })
    for (const clients of clientCounts) {
      const own: number[] = []
      const alone: number[] = []
      for (let round = 0; round < rounds; round++) {
        own.push(await turn('flotilla', systems.own, clients))
        alone.push(await turn('Kubo', systems.kubo, clients))
      }
      const what = `pin/add a second, ${clients} ${clients === 1 ? 'client' : 'clients'}, replication ${replication}`
      console.log(`${what}: flotilla ${own.join(' ')}, Kubo ${alone.join(' ')}`)
      const bar = clients === 64 && replication === 1 ? { of: 'direct', least: 0.6 } : { of: 'direct' }
      figures.push({ what, values: { flotilla: own, direct: alone }, digits: 0, bars: [bar] })
    }
  }
  return figures
}

/** The replication of pins that do not say any is a setting, so the peers are started once to get their folders. */
async function clusterOf(program: string, replication: number): Promise<LocalCluster> {
  const first = await LocalCluster.start({ program })
  if (replication === -1) return first
  await first.stop()
  for (const { dir } of first.peers) {
    const file = join(dir, 'service.json')
    const settings = JSON.parse(await readFile(file, 'utf8'))
    Object.assign(settings.cluster, { replication_factor_min: replication, replication_factor_max: replication })
    await writeFile(file, JSON.stringify(settings, null, 2))
  }
  return LocalCluster.start({ program, dir: first.dir, basePort: first.basePort })
}
