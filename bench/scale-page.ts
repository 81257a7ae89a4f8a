/** The figures of the bench of sizes as a table, as charts, and as the page in `docs`. */
import type { Series } from './plot.ts'

/** Of one size. Memory in MiB, as the kernel counts it (RSS). */
export interface Figures {
  readonly size: number
  readonly importPerSecond: number
  readonly commitsPerSecond: number
  /** The most of the three peers. */
  readonly memory: number
  readonly memoryAfterList: number
  readonly listMs: number
  readonly restartFirstMs: number
  readonly restartMs: number
  readonly killedMs: number
  readonly killedFailed: number
  readonly stoppedMs: number
  readonly stoppedFailed: number
  readonly joinMs: number
  readonly joinShare: number
  readonly joinMemory: number
  readonly delayMs: number
  readonly longestMs: number
  readonly quietJoinMs: number
  readonly quietShare: number
}

/** Name and value of each line, as they are shown. */
export function rowsOf(figures: Figures): readonly (readonly [name: string, value: string])[] {
  return lines.map(([name, value]) => [name, value(figures)])
}

const whole = (value: number) => Math.round(value).toLocaleString('en')
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`
const milliseconds = (ms: number) => `${Math.round(ms)} ms`
const share = (value: number) => `${Math.round(100 * value)} %`
const withFailures = (ms: number, failed: number) => `${milliseconds(ms)}, ${failed} errors`

const lines: readonly (readonly [name: string, value: (figures: Figures) => string])[] = [
  ['`state import`, pins a second', f => whole(f.importPerSecond)],
  ['commits a second, 64 clients', f => whole(f.commitsPerSecond)],
  ['memory of a peer', f => `${f.memory} MiB`],
  ['memory of a peer after a full list', f => `${f.memoryAfterList} MiB`],
  ['full list of a peer that runs', f => seconds(f.listMs)],
  ['start after kill -9, first byte of the full list', f => seconds(f.restartFirstMs)],
  ['start after kill -9, last byte of the full list', f => seconds(f.restartMs)],
  ['leader killed, longest wait for a commit', f => withFailures(f.killedMs, f.killedFailed)],
  ['leader told to stop, longest wait for a commit', f => withFailures(f.stoppedMs, f.stoppedFailed)],
  ['a fourth peer joins beside 64 writers, until its full list', f => seconds(f.joinMs)],
  ['rate of those writers meanwhile', f => share(f.joinShare)],
  ['memory of the fourth peer', f => `${f.joinMemory} MiB`],
  ['a fourth peer joins beside one writer, until its full list', f => seconds(f.quietJoinMs)],
  ['rate of that writer meanwhile', f => share(f.quietShare)],
  ['longest wait of that writer meanwhile', f => milliseconds(f.longestMs)],
  ['of that, more than the longest without a join', f => milliseconds(f.delayMs)]
]

export function chartsOf(figures: readonly Figures[]): readonly Series[] {
  const of = (value: (figures: Figures) => number) => figures.map(value)
  return [
    { title: 'Commits, 64 clients', axis: 'commits a second', values: of(f => f.commitsPerSecond) },
    { title: 'Memory of a peer', axis: 'MiB (RSS)', values: of(f => f.memory), bar: 286 },
    { title: 'Start after kill -9 until the full list is served', axis: 'seconds', values: of(f => f.restartMs / 1_000), bar: 3 },
    { title: 'A fourth peer joins under load', axis: 'seconds', values: of(f => f.joinMs / 1_000), bar: 60 }
  ]
}

/** @param machine what it was measured on */
export function pageOf(figures: readonly Figures[], machine: string): string {
  const cells = figures.map(rowsOf)
  const table = (cells[0] ?? []).map(([name], place) => `| ${[name, ...cells.map(rows => rows[place]?.[1])].join(' | ')} |`)
  return `# How the cost grows

Written by \`OUT=docs npm run bench:scale\`. Three peers, the load and a fourth peer share one machine: ${machine}. Their Kubos
are stopped, so pins are agreed and wait. Pins have names and real hashes. Where a peer is started or a leader ends, the figure is the worst of all that
were tried; memory is that of the largest peer.

![Commits, memory, restart and join over the number of pins](scale.svg)

| | ${figures.map(({ size }) => `${whole(size)} pins`).join(' | ')} |
|---|${figures.map(() => '---|').join('')}
${table.join('\n')}
`
}
