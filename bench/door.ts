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
import { type Bar, type CaseName, caseNames, doorFigures, type Figure } from './door-cases.ts'
import { pinFigures } from './door-pins.ts'
import { median } from './processes.ts'

const wanted = (process.env.CASES?.split(',') ?? [...caseNames, 'pins']) as readonly (CaseName | 'pins')[]
const rounds = Number(process.env.ROUNDS ?? 5)
const goFolder = process.env.ANCHORS ?? join(homedir(), '.cache/flotilla-anchors')

process.env.KUBO_BIN = await ensureKubo({ say: line => console.log(line) })
const figures: Figure[] = []
if (wanted.some(name => name !== 'pins')) {
  const isWanted = (name: CaseName) => wanted.includes(name)
  figures.push(...(await doorFigures({ isWanted, rounds, scale: Number(process.env.SCALE ?? 1), goFolder })))
}
if (wanted.includes('pins')) figures.push(...(await pinFigures({ rounds: Math.min(rounds, 3), seconds: Number(process.env.SECONDS ?? 5) })))

const doors = ['flotilla', 'nginx', 'Go', 'direct']
const table = new Table({ head: ['', ...doors, 'ratio', 'bar', ''], style: { head: [], border: [] } })
for (const { what, values, digits, bars } of figures) {
  const cells = doors.map(name => (values[name] ? median(values[name]).toFixed(digits) : '-'))
  const verdicts = bars.map(bar => verdictOf(bar, values))
  const column = (of: 'ratio' | 'bar' | 'holds') => verdicts.map(verdict => verdict[of]).join('\n')
  table.push([what, ...cells, column('ratio'), column('bar'), column('holds')])
}
console.log(table.toString())

function verdictOf({ of, most, least }: Bar, values: Figure['values']): { ratio: string; bar: string; holds: string } {
  const own = values.flotilla ?? []
  const theirs = of === null ? own.map(() => 1) : values[of]
  if (theirs === undefined) return { ratio: '', bar: `${of} is not there`, holds: '' }
  const value = median(own.map((one, round) => one / (theirs[round] ?? Number.NaN)))
  const limits = [most === undefined ? '' : `≤ ${most}`, least === undefined ? '' : `≥ ${least}`].join('')
  const holds = (most === undefined || value <= most) && (least === undefined || value >= least)
  return {
    ratio: of === null ? '' : value.toFixed(2),
    bar: `${limits}${of === null ? '' : ` × ${of}`}`,
    holds: limits === '' ? '' : holds ? 'holds' : 'FAILS'
  }
}
