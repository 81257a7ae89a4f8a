/** The cases of the door's bench, each with what every door needed for it, and with the bars that are held to. */
import { TestKubo } from '../test/support/kubo.ts'
import { calls, download, idleStreams, upload } from './door-load.ts'
import { type BenchedDoor, growthMiB, lineServer, openDoors } from './doors.ts'
import { cpuMs, memoryKiB, settled } from './processes.ts'

export const caseNames = ['calls', 'latency', 'memory', 'download', 'upload', 'lists', 'lines', 'idle'] as const
export type CaseName = (typeof caseNames)[number]

/** Times the work of one turn. */
const warmings = 4

export interface Figure {
  readonly what: string
  /** By name of the door, round by round. */
  readonly values: Readonly<Record<string, readonly number[]>>
  readonly digits: number
  readonly bars: readonly Bar[]
}

/** Flotilla's figure in relation to that `of` another door, or the figure itself where that is `null`. Without a limit it is only told. */
export interface Bar {
  readonly of: string | null
  readonly most?: number
  readonly least?: number
}

export interface CasesWish {
  readonly isWanted: (name: CaseName) => boolean
  readonly rounds: number
  /** Of the amounts of work. */
  readonly scale: number
  readonly goFolder: string
}

/** What one turn of a door comes to; `null` where it has no part in the case. */
type Measure = (door: BenchedDoor) => Promise<number | null>

export async function doorFigures({ isWanted, rounds, scale, goFolder }: CasesWish): Promise<readonly Figure[]> {
  const amounts = {
    calls: Math.ceil(10_000 * scale),
    latencies: Math.ceil(1_000 * scale),
    bytes: Math.ceil(256 * scale) << 20,
    lines: Math.ceil(100_000 * scale),
    streams: Math.ceil(5_000 * scale)
  }
  const gib = (1 << 30) / amounts.bytes
  await using kubo = await TestKubo.start()
  const form = new FormData()
  form.append('file', new Blob([Buffer.alloc(amounts.bytes, 'some content of some length')]))
  const cat = `cat?arg=${JSON.parse((await kubo.call('add?quieter=true', form)).text).Hash}`
  await using opened = await openDoors({ kubo, pinned: isWanted('lists') ? amounts.lines : 0, goFolder })
  const { doors } = opened
  const turns = new Turns(doors, rounds)
  const figures: Figure[] = []

  const version = (port: number) => calls(port, 'version', { clients: 32, count: amounts.calls })
  // The engine of a daemon compiles what is hot while it works; it then runs for weeks.
  for (let warm = 0; warm < warmings; warm++) for (const { port } of doors) await version(port)
  await settled(
    doors.flatMap(({ pid }) => pid ?? []),
    10_000
  )
  if (isWanted('calls')) {
    const bars = [
      { of: 'nginx', most: 1.5 },
      { of: 'Go', most: 0.5 }
    ]
    figures.push(await turns.take('version, 32 clients: µs of CPU a call', cost(version, 1_000 / amounts.calls), { bars }))
  }
  if (isWanted('latency')) {
    const p50: Measure = async ({ port }) => at(await calls(port, 'version', { clients: 1, count: amounts.latencies }), 0.5) * 1_000
    const figure = await turns.take('version, 1 client: p50 in µs', p50, { bars: [] })
    figures.push(figure, added(figure))
  }
  if (isWanted('memory')) {
    // Go's proxy answers `add` itself, and not with these options.
    const growth: Measure = async ({ name, port, pid }) => {
      if (pid === null || name === 'Go') return null
      return growthMiB(pid, async () => {
        for (let done = 0; done < gib; done++) await download(port, cat)
        await upload(port, { bytes: 1 << 30, framing: 'length' })
      })
    }
    figures.push(await turns.take('1 GiB down and up: MiB more at the peak', growth, { turns: 1, bars: [{ of: null, most: 32 }] }))
  }
  const large = { bars: [{ of: 'nginx', most: 1.2 }] }
  if (isWanted('download'))
    figures.push(
      await turns.take(
        'download: ms of CPU a GiB',
        cost(port => download(port, cat), gib),
        large
      )
    )
  if (isWanted('upload')) {
    for (const framing of ['length', 'chunked'] as const) {
      const act = cost(port => upload(port, { bytes: amounts.bytes, framing }), gib, ['Go'])
      figures.push(await turns.take(`upload (${framing}): ms of CPU a GiB`, act, large))
    }
  }
  const lines = { bars: [{ of: 'Go', most: 0.2 }] }
  if (isWanted('lists')) {
    // Flotilla and Go answer of what their clusters agreed; nginx and Kubo know nothing of these pins.
    const list = cost(port => download(port, 'pin/ls?stream=true&type=recursive'), 1, ['nginx'])
    const figure = await turns.take(`pin/ls of ${amounts.lines} pins, answered by the door: ms of CPU`, list, lines)
    figures.push(figure, firstOf(figure))
  }
  if (isWanted('lines')) {
    await using server = await lineServer()
    await using others = await openDoors({ kubo: server, pinned: 0, goFolder })
    const passed = cost(port => download(port, `log/tail?lines=${amounts.lines}`), 1)
    const what = `${amounts.lines} lines as of pin/ls, passed on (a stand-in sends them): ms of CPU`
    figures.push(await new Turns(others.doors, rounds).take(what, passed, { bars: [...lines.bars, { of: 'nginx' }] }))
  }
  if (isWanted('idle')) {
    const p99s: Record<string, number[]> = {}
    const held: Measure = async ({ name, port, pid }) => {
      const before = pid === null ? 0 : memoryKiB(pid)
      using _streams = await idleStreams(port, amounts.streams)
      await settled([kubo.pid, ...(pid === null ? [] : [pid])], 10_000)
      const after = pid === null ? 0 : memoryKiB(pid)
      p99s[name] = [at(await calls(port, 'version', { clients: 1, count: amounts.latencies }), 0.99)]
      return pid === null ? null : (after - before) / amounts.streams
    }
    const bars = [{ of: null, most: 12 }]
    // Those that have worked already hold memory that they can use again.
    await using fresh = await openDoors({ kubo, pinned: 0, goFolder })
    for (const { port } of fresh.doors) await version(port)
    figures.push(
      await new Turns(fresh.doors, rounds).take(`${amounts.streams} idle streams: KiB each`, held, { turns: 1, digits: 1, bars })
    )
    figures.push({ what: 'version meanwhile: p99 in ms', values: p99s, digits: 1, bars: [{ of: null, most: 10 }] })
  }
  return figures
}

class Turns {
  readonly #doors: readonly BenchedDoor[]
  readonly #rounds: number

  constructor(doors: readonly BenchedDoor[], rounds: number) {
    this.#doors = doors
    this.#rounds = rounds
  }

  /** Everybody's turn, round after round; who comes first changes with the round. */
  async take(
    what: string,
    act: Measure,
    { turns = this.#rounds, digits = 0, bars }: { turns?: number; digits?: number; bars: readonly Bar[] }
  ): Promise<Figure> {
    const values: Record<string, number[]> = {}
    for (let round = 0; round < turns; round++) {
      const first = round % this.#doors.length
      for (const door of [...this.#doors.slice(first), ...this.#doors.slice(0, first)]) {
        const value = await act(door)
        if (value !== null) (values[door.name] ??= []).push(value)
      }
    }
    const said = Object.entries(values).map(([name, all]) => `${name} ${all.map(value => value.toFixed(digits)).join(' ')}`)
    console.log(`${what}: ${said.join(', ')}`)
    return { what, values, digits, bars }
  }
}

/** Processor time of the door for `act`, in milliseconds, times `factor`. */
function cost(act: (port: number) => Promise<unknown>, factor: number, without: readonly BenchedDoor['name'][] = []): Measure {
  return async ({ name, port, pid }) => {
    if (pid === null || without.includes(name)) return null
    const before = cpuMs([pid])
    await act(port)
    return (cpuMs([pid]) - before) * factor
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN
}

/** A door may remember what it listed before: this is what the first time cost. */
function firstOf({ what, values }: Figure): Figure {
  const first = Object.entries(values).map(([name, all]) => [name, all.slice(0, 1)] as const)
  return { what: `${what}, the first time`, values: Object.fromEntries(first), digits: 0, bars: [{ of: 'Go' }] }
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
