/**
 * Commits through REST, with so many clients as columns, processor time per commit over three peers, and memory: flotilla beside Go ipfs-cluster and etcd, on
 * one machine in one run. All are up at the same time and take turns, round after round; a figure is the median of the rounds, a ratio the median of
 * the rounds' ratios. Before each turn everybody has finished what the last one left, as Kubo pins more slowly than a cluster agrees.
 *
 * Environment: KUBO_BIN; ANCHORS, a folder with ipfs-cluster-service and etcdload; SCRIPTS, one with kubos, gocluster and etcds; CLIENTS (default
 * 1,16,64); SECONDS a turn (default 5); ROUNDS (default 3); PINS for the memory figure (default 100000, 0 for none); KUBOS, what the Kubos do during
 * the turns: `pinning`, or `stopped` to measure the path of a commit alone, while pins wait. What is not found is left out, and said.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import Table from 'cli-table3'
import { ensureKubo } from '../cli/kubo-binary.ts'
import { cpuMs, median, memoryMiB, settled } from './processes.ts'
import { etcd, flotilla, goCluster, type System } from './systems.ts'

const seconds = Number(process.env.SECONDS ?? 5)
const rounds = Number(process.env.ROUNDS ?? 3)
const pins = Number(process.env.PINS ?? 100_000)
const columns = (process.env.CLIENTS ?? '1,16,64').split(',').map(Number)
const areStopped = process.env.KUBOS === 'stopped'
const settleMs = 60_000

interface Turn {
  readonly perSecond: number
  /** Processor time of a commit, all members together. */
  readonly cpuMs: number
}

/** By clients, round by round. */
type Turns = ReadonlyMap<number, Turn[]>

async function turn(system: System, clients: number, everybody: readonly number[]): Promise<Turn> {
  if (!(await settled(everybody, settleMs)))
    console.log(`before ${system.name} with ${clients} clients: still busy after ${settleMs / 1_000} s`)
  const before = cpuMs(system.pids)
  const { perSecond, done } = await system.load({ clients, seconds })
  return { perSecond, cpuMs: (cpuMs(system.pids) - before) / done }
}

const kubo = await ensureKubo({ say: line => console.log(line) })
process.env.KUBO_BIN = kubo
const anchors = { binaries: process.env.ANCHORS ?? join(homedir(), '.cache/flotilla-anchors'), scripts: process.env.SCRIPTS ?? '', kubo }
await using opened = new AsyncDisposableStack()
const own = opened.use(await flotilla())
const go = opened.use(goCluster(anchors))
const others = [go, opened.use(await etcd(anchors))].filter(system => system !== undefined)
if (others.length < 2)
  console.log('Go ipfs-cluster or etcd is left out: its binary (ANCHORS) or the scripts that start it (SCRIPTS) are not there')
const systems = [own, ...others]
const everybody = systems.flatMap(({ kubos, pids }) => [...kubos, ...pids])
const kubos = systems.flatMap(({ kubos }) => kubos)

// As long as it takes until the engine of a daemon has compiled what is hot: it then runs for weeks.
console.log('warming up …')
for (const clients of columns) for (const system of systems) await system.load({ clients, seconds: 8 })
if (areStopped) for (const pid of kubos) process.kill(pid, 'SIGSTOP')
const results = new Map<System, Turns>(systems.map(system => [system, new Map(columns.map(clients => [clients, []]))]))
for (let round = 1; round <= rounds; round++) {
  for (const clients of columns) {
    for (const system of systems)
      results
        .get(system)
        ?.get(clients)
        ?.push(await turn(system, clients, everybody))
    const said = systems.map(system => `${system.name} ${results.get(system)?.get(clients)?.at(-1)?.perSecond}`)
    console.log(`round ${round}, ${clients} clients: ${said.join(', ')} commits/s`)
  }
}

if (areStopped) for (const pid of kubos) process.kill(pid, 'SIGCONT')

if (pins > 0) console.log(`${pins} pins more for the memory figure …`)
const memory = new Map<System, number[]>()
for (const system of [own, go]) {
  if (system === undefined || pins === 0) continue
  await system.load({ clients: 64, count: pins })
  await settled([...system.kubos, ...system.pids], settleMs)
  memory.set(
    system,
    system.pids.map(pid => memoryMiB(pid))
  )
}

const turnsOf = (system: System, clients: number) => results.get(system)?.get(clients) ?? []
const table = new Table({
  head: ['', ...columns.map(clients => `${clients} clients /s`), ...columns.map(clients => `CPU ms, ${clients}`), 'MiB a peer'],
  style: { head: [], border: [] }
})
for (const system of systems) {
  table.push([
    system.name,
    ...columns.map(clients => median(turnsOf(system, clients).map(({ perSecond }) => perSecond))),
    ...columns.map(clients => median(turnsOf(system, clients).map(({ cpuMs }) => cpuMs)).toFixed(2)),
    memory.get(system)?.join(' ') ?? '-'
  ])
}
for (const other of others) {
  const ratio = (clients: number, of: (turn: Turn) => number) => {
    const theirs = turnsOf(other, clients)
    return median(turnsOf(own, clients).map((turn, round) => of(turn) / of(theirs[round] as Turn))).toFixed(2)
  }
  const theirs = memory.get(other)
  table.push([
    `flotilla ÷ ${other.name}`,
    ...columns.map(clients => ratio(clients, ({ perSecond }) => perSecond)),
    ...columns.map(clients => ratio(clients, ({ cpuMs }) => cpuMs)),
    theirs ? (Math.max(...(memory.get(own) ?? [])) / Math.max(...theirs)).toFixed(2) : '-'
  ])
}
console.log(table.toString())
