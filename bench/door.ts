/**
 * What the Kubo door costs: processor time (from /proc, the door alone on a core) of small calls, downloads, uploads and lists, added latency, memory;
 * beside nginx, the Go ipfs-cluster proxy and Kubo without a door, in front of one real Kubo in one run. Everybody does the same work in turns, round
 * after round; a ratio is the median of the rounds' ratios. Then `pin/add` through the door of three peers, beside one Kubo alone.
 *
 * Environment: KUBO_BIN; ANCHORS, a folder with ipfs-cluster-service; CASES, some of those below with commas between (default all); ROUNDS (default
 * 5); SCALE, by which the amounts of work are multiplied (default 1); SECONDS a turn of pins (default 5); NODE_FLAGS for flotilla, to profile it.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import Table from 'cli-table3'
import { ensureKubo } from '../cli/kubo-binary.ts'
import { inline } from '../test/support/cids.ts'
import { calls, download, idleStreams, upload } from './door-load.ts'
import { pinShares } from './door-pins.ts'
import { type BenchedDoor, type Doors, growthMiB, openDoors } from './doors.ts'
import { cpuMs, median, memoryKiB, settled } from './processes.ts'

const names = ['calls', 'latency', 'memory', 'download', 'upload', 'lines', 'idle', 'pins'] as const
type Name = (typeof names)[number]

const wanted = (process.env.CASES?.split(',') ?? names) as readonly Name[]
const rounds = Number(process.env.ROUNDS ?? 5)
const scale = Number(process.env.SCALE ?? 1)
const amounts = {
  calls: Math.ceil(10_000 * scale),
  latencies: Math.ceil(1_000 * scale),
  bytes: Math.ceil(256 * scale) << 20,
  lines: Math.ceil(100_000 * scale),
  streams: Math.ceil(5_000 * scale)
}

interface Figure {
  readonly what: string
  /** By name of the door. */
  readonly values: Readonly<Record<string, readonly number[]>>
  readonly digits: number
  readonly bars: readonly Bar[]
}

/** `of` another door: the ratio is at most `most`; of nobody: the figure itself is, or is at least `least`. */
interface Bar {
  readonly of: string | null
  readonly most?: number
  readonly least?: number
}

type Measure = (door: BenchedDoor) => Promise<number | null>

const figures: Figure[] = []
process.env.KUBO_BIN = await ensureKubo({ say: line => console.log(line) })
const isWanted = (name: Name) => wanted.includes(name)
if (wanted.some(name => name !== 'pins')) await doorFigures()
if (isWanted('pins')) {
  for (const { what, own, kubo, least } of await pinShares({ rounds: Math.min(rounds, 3), seconds: Number(process.env.SECONDS ?? 5) }))
    figures.push({ what, values: { flotilla: own, direct: kubo }, digits: 0, bars: [{ of: 'direct', ...(least && { least }) }] })
}
print()

async function doorFigures(): Promise<void> {
  const goFolder = process.env.ANCHORS ?? join(homedir(), '.cache/flotilla-anchors')
  await using opened = await openDoors({ pinned: isWanted('lines') ? amounts.lines : 0, goFolder })
  const { doors, kubo } = opened
  const form = new FormData()
  form.append('file', new Blob([Buffer.alloc(amounts.bytes, 'some content of some length')]))
  const { Hash } = JSON.parse((await kubo.call('add?quieter=true', form)).text)

  async function measure(
    what: string,
    act: Measure,
    { turns = rounds, digits = 0, bars }: { turns?: number; digits?: number; bars: Bar[] }
  ): Promise<void> {
    const values: Record<string, number[]> = {}
    for (let round = 0; round < turns; round++) {
      // Who comes first changes with the round.
      for (const door of [...doors.slice(round % doors.length), ...doors.slice(0, round % doors.length)]) {
        const value = await act(door)
        if (value !== null) (values[door.name] ??= []).push(value)
      }
    }
    figures.push({ what, values, digits, bars })
    console.log(
      `${what}: ${Object.entries(values)
        .map(([name, all]) => `${name} ${all.map(value => value.toFixed(digits)).join(' ')}`)
        .join(', ')}`
    )
  }
  /** Processor time of the door for `act`, in milliseconds, times `factor`. */
  const cost =
    (act: (port: number) => Promise<unknown>, factor: number, without: readonly string[] = []): Measure =>
    async ({ name, port, pid }) => {
      if (pid === null || without.includes(name)) return null
      const before = cpuMs([pid])
      await act(port)
      return (cpuMs([pid]) - before) * factor
    }
  const gib = (1 << 30) / amounts.bytes
  const cat = `cat?arg=${Hash}`

  for (const { port } of doors) await calls(port, 'version', { clients: 32, count: amounts.calls })
  await settled(
    doors.flatMap(({ pid }) => pid ?? []),
    10_000
  )
  if (isWanted('calls')) {
    const act = (port: number) => calls(port, 'version', { clients: 32, count: amounts.calls })
    await measure('version, 32 clients: µs of CPU a call', cost(act, 1_000 / amounts.calls), {
      bars: [
        { of: 'nginx', most: 1.5 },
        { of: 'Go', most: 0.5 }
      ]
    })
  }
  if (isWanted('latency')) {
    const p50: Measure = async ({ port }) => at(await calls(port, 'version', { clients: 1, count: amounts.latencies }), 0.5) * 1_000
    await measure('version, 1 client: p50 in µs', p50, { bars: [] })
    figures.push(added(figures.at(-1) as Figure))
  }
  if (isWanted('memory')) {
    const growth: Measure = async ({ name, port, pid }) => {
      if (pid === null || name === 'Go') return null
      return growthMiB(pid, async () => {
        for (let done = 0; done < gib; done++) await download(port, cat)
        await upload(port, { bytes: 1 << 30, framing: 'length' })
      })
    }
    await measure('1 GiB down and up: MiB more at the peak', growth, { turns: 1, bars: [{ of: null, most: 32 }] })
  }
  if (isWanted('download')) {
    await measure(
      'download: ms of CPU a GiB',
      cost(port => download(port, cat), gib),
      { bars: [{ of: 'nginx', most: 1.2 }] }
    )
  }
  if (isWanted('upload')) {
    for (const framing of ['length', 'chunked'] as const) {
      // Go's proxy answers `add` itself.
      const act = cost(port => upload(port, { bytes: amounts.bytes, framing }), gib, ['Go'])
      await measure(`upload (${framing}): ms of CPU a GiB`, act, { bars: [{ of: 'nginx', most: 1.2 }] })
    }
  }
  if (isWanted('lines')) {
    // Both doors answer `pin/ls` themselves, of what their clusters agreed; nginx and Kubo know nothing of these pins.
    const list = cost(port => download(port, 'pin/ls?stream=true&type=recursive'), 1, ['nginx'])
    await measure(`pin/ls, ${amounts.lines} lines: ms of CPU`, list, { bars: [{ of: 'Go', most: 0.2 }] })
    const root = await folderOf(kubo, amounts.lines)
    const refs = cost(port => download(port, `refs?arg=${root}&recursive=true`), 1)
    await measure(`refs, ${amounts.lines} lines of Kubo's: ms of CPU`, refs, { bars: [{ of: 'Go', most: 0.2 }, { of: 'nginx' }] })
  }
  if (isWanted('idle')) {
    const p99s: Record<string, number[]> = {}
    const held: Measure = async ({ name, port, pid }) => {
      const before = pid === null ? 0 : memoryKiB(pid)
      using _streams = await idleStreams(port, amounts.streams)
      const after = pid === null ? 0 : memoryKiB(pid)
      p99s[name] = [at(await calls(port, 'version', { clients: 1, count: amounts.latencies }), 0.99)]
      return pid === null ? null : (after - before) / amounts.streams
    }
    await measure(`${amounts.streams} idle streams: KiB each`, held, { turns: 1, digits: 1, bars: [{ of: null, most: 12 }] })
    figures.push({ what: 'version meanwhile: p99 in ms', values: p99s, digits: 1, bars: [{ of: null, most: 10 }] })
  }
}

/** A tree of so many leaves, which are in their CIDs. */
async function folderOf(kubo: Doors['kubo'], leaves: number): Promise<string> {
  const put = async (links: readonly string[]): Promise<string> => {
    const form = new FormData()
    form.append('file', new Blob([JSON.stringify(links.map(link => ({ '/': link })))]))
    return JSON.parse((await kubo.call('dag/put', form)).text).Cid['/']
  }
  const all = Array.from({ length: leaves }, (_, index) => inline(`leaf-${index}`))
  const branches: string[] = []
  for (let from = 0; from < leaves; from += 10_000) branches.push(await put(all.slice(from, from + 10_000)))
  return put(branches)
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN
}

/** What a door adds to Kubo's own latency, round by round. */
function added({ values }: Figure): Figure {
  const direct = values.direct ?? []
  const more = Object.entries(values).filter(([name]) => name !== 'direct')
  return {
    what: 'version, 1 client: µs added to the p50',
    values: Object.fromEntries(more.map(([name, all]) => [name, all.map((value, round) => value - (direct[round] ?? 0))])),
    digits: 0,
    bars: [{ of: 'nginx', most: 1.2 }]
  }
}

function print(): void {
  const doors = ['flotilla', 'nginx', 'Go', 'direct']
  const table = new Table({ head: ['', ...doors, 'ratio', 'bar', ''], style: { head: [], border: [] } })
  for (const { what, values, digits, bars } of figures) {
    const own = values.flotilla ?? []
    const cells = doors.map(name => (values[name] ? median(values[name]).toFixed(digits) : '-'))
    const verdicts = bars.map(({ of, most, least }) => {
      const theirs = of === null ? null : values[of]
      if (theirs === undefined) return { ratio: '-', bar: '-', holds: '-' }
      const value = median(theirs === null ? own : own.map((one, round) => one / (theirs[round] ?? Number.NaN)))
      const limit = most === undefined ? (least === undefined ? '' : `≥ ${least}`) : `≤ ${most}`
      const holds = (most === undefined || value <= most) && (least === undefined || value >= least)
      return {
        ratio: theirs === null ? '' : value.toFixed(2),
        bar: limit === '' ? '' : `${limit}${of === null ? '' : ` × ${of}`}`,
        holds: limit === '' ? '' : holds ? 'holds' : 'FAILS'
      }
    })
    const column = (of: 'ratio' | 'bar' | 'holds') => verdicts.map(verdict => verdict[of]).join('\n')
    table.push([what, ...cells, column('ratio'), column('bar'), column('holds')])
  }
  console.log(table.toString())
}
