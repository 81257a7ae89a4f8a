/**
 * `npm run chaos`: real daemons, each in a network of its own, are killed, cut off, frozen and starved under load, and everything that their clients
 * saw is checked. One line of JSON a round and one at the end; progress on stderr; exit code 1 on a violation, or where something took longer than
 * promised.
 */
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { mutations } from '../sim/mutations.ts'
import { whyNot } from './ability.ts'
import { type Nemesis, nemeses } from './nemeses.ts'
import { type RoundEnd, type RoundResult, runRound } from './round.ts'
import { Wires } from './wires.ts'

const usage = `npm run chaos -- [--nemesis NAME[,NAME...]] [--seconds N] [--seed S] [--mutation NAME] [--patience X] [--keep FOLDER]

  --nemesis   default: one after the other, a round each
${Object.entries(nemeses)
  .map(([name, { about }]) => `                ${name.padEnd(14)} ${about}`)
  .join('\n')}
  --seconds   how long a round does harm, 15 if not given; its end takes longer
  --seed      what is done to whom, and when, and what clients ask for; drawn if not given
  --mutation  builds the daemons with a bug on purpose (npm run sim -- --list-mutations): this must fail
  --patience  limits of time are so many times as long, for a machine that does other things; 1 if not given
  --keep      where the logs and the history of a failed round are put; a new folder for temporary files if not given

Needs Linux, root, and the programs ip, nsenter, unshare, mount; else it says so and ends.`

class Mistake extends Error {}

const options = {
  nemesis: { type: 'string' },
  seconds: { type: 'string', default: '15' },
  seed: { type: 'string' },
  mutation: { type: 'string' },
  patience: { type: 'string', default: '1' },
  keep: { type: 'string' },
  help: { type: 'boolean', default: false },
  inside: { type: 'boolean', default: false }
} as const

async function main(): Promise<number> {
  const { values } = parseArgs({ options })
  if (values.help) return print(usage)
  const names = values.nemesis?.split(',') ?? Object.keys(nemeses).filter(name => name !== 'none')
  for (const name of names) nemesisOf(name)
  const { mutation } = values
  if (mutation !== undefined && !mutations.some(({ name }) => name === mutation)) throw new Mistake(`there is no mutation ${mutation}`)
  const numbers = {
    seconds: positive('--seconds', values.seconds),
    patience: positive('--patience', values.patience),
    seed: values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : positive('--seed', values.seed)
  }
  const reason = whyNot()
  if (reason !== undefined) {
    say(`SKIPPED: ${reason}`)
    return print(JSON.stringify({ skipped: reason }))
  }
  return values.inside ? rounds(names, { ...numbers, mutation, keep: values.keep }) : enclosed(numbers.seed)
}

/** Again, in a network, with mounts and with processes of its own: whatever happens to this process, nothing of it is left. */
function enclosed(seed: number): Promise<number> {
  const words = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  const again = [process.execPath, import.meta.filename, ...process.argv.slice(2), '--seed', String(seed), '--inside']
  const child = spawn('unshare', [...words, ...again], { stdio: 'inherit' })
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill('SIGKILL'))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', code => resolve(code ?? 1))
  })
}

interface Settings {
  readonly seconds: number
  readonly patience: number
  readonly seed: number
  readonly mutation: string | undefined
  readonly keep: string | undefined
}

async function rounds(names: readonly string[], { seconds, patience, seed, mutation, keep }: Settings): Promise<number> {
  const wires = await Wires.open(Math.max(...names.map(nemesisOf).map(({ founders, spare = 0 }) => founders + spare)))
  const results: RoundResult[] = []
  for (const [at, name] of names.entries()) {
    const dir = await mkdtemp(join(tmpdir(), 'flotilla-chaos-'))
    const settings = { nemesis: name, seed: seed + at, seconds, dir, build: { mutation }, patience, say }
    try {
      const end = await runRound(wires, nemesisOf(name), settings)
      const { result } = end
      results.push(result)
      const again = `npm run chaos -- --nemesis ${name} --seconds ${seconds} --seed ${settings.seed}${mutation ? ` --mutation ${mutation}` : ''}`
      const more = isFailed(result) ? { again, kept: await keepTraces(dir, { ...end, keep, name: `${name}-${settings.seed}` }) } : {}
      print(JSON.stringify({ ...result, ...more }))
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }
  const failed = results.filter(isFailed)
  const sum = (of: (result: RoundResult) => number) => results.reduce((total, result) => total + of(result), 0)
  print(
    JSON.stringify({
      rounds: results.length,
      failed: failed.length,
      violations: sum(({ violations }) => violations.length),
      late: sum(({ late }) => late.length),
      undecided: sum(({ undecided }) => undecided),
      strikes: sum(({ strikes }) => strikes),
      acknowledged: sum(({ acknowledged }) => acknowledged),
      seed
    })
  )
  return failed.length === 0 ? 0 : 1
}

function nemesisOf(name: string): Nemesis {
  const nemesis = nemeses[name]
  if (nemesis === undefined) throw new Mistake(`there is no nemesis ${name}`)
  return nemesis
}

function isFailed({ violations, late, undecided }: RoundResult): boolean {
  return violations.length + late.length + undecided > 0
}

/** @returns the folder with the logs of all peers and what the clients saw, a line each */
async function keepTraces(
  dir: string,
  { keep, name, history, unexplained }: Omit<RoundEnd, 'result'> & { readonly keep: string | undefined; readonly name: string }
): Promise<string> {
  const kept = keep === undefined ? await mkdtemp(join(tmpdir(), `flotilla-chaos-${name}-`)) : join(keep, name)
  await mkdir(kept, { recursive: true })
  // What is endless has no number in JSON: an operation without an end is one that nobody knows the outcome of.
  await writeFile(join(kept, 'history.jsonl'), history.map(seen => `${JSON.stringify(seen)}\n`).join(''))
  await writeFile(join(kept, 'unexplained.txt'), unexplained.map(line => `${line}\n`).join(''))
  for (const folder of await readdir(dir)) await cp(join(dir, folder, 'log'), join(kept, `${folder}.log`)).catch(() => {}) // never started
  return kept
}

function positive(name: string, text: string): number {
  const number = Number(text)
  if (text === '' || !Number.isSafeInteger(number) || number < 1) throw new Mistake(`${name}: ${text} is not a whole number from 1 on`)
  return number
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

function print(line: string): 0 {
  process.stdout.write(`${line}\n`)
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof Mistake) && !(error instanceof TypeError && 'code' in error)) throw error
  say(`${error.message}\n\n${usage}`)
  process.exitCode = 2
}
