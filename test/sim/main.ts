/**
 * `npm run sim`: runs seeds of the simulated world. One line of JSON for each seed that fails, and one at the end; the exit code is 1 where one
 * failed. The same arguments give the same lines on every machine.
 */
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { loadWorld } from './mutated.ts'
import { mutations } from './mutations.ts'
import { profiles } from './plan.ts'
import { digestOf, runSeeds } from './runs.ts'
import type { Outcome } from './world.ts'

const usage = `npm run sim -- --seed N | --seeds FIRST..LAST [--profile NAME] [--ticks T] [--mutation M] [--trace FILE]
npm run sim -- --list-mutations     the bugs on purpose, a name a line
npm run sim -- --table [--profile NAME]   how many seeds it takes to find each of them

  --profile   ${Object.keys(profiles).join(', ')} (default: all)
  --ticks     length of the safety phase; drawn by the seed where it is not given
  --trace     writes every event of the one seed to a file; its lines of JSON are trace events as etcd/raft has them`

class Mistake extends Error {}

/** Within so many seeds every bug on purpose must be found. */
const budget = 500

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      profile: { type: 'string', default: 'all' },
      ticks: { type: 'string' },
      mutation: { type: 'string' },
      trace: { type: 'string' },
      'list-mutations': { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  const { profile, mutation } = values
  if (values.help) return say(usage)
  if (values['list-mutations']) return say(mutations.map(({ name }) => name).join('\n'))
  if (!Object.hasOwn(profiles, profile)) throw new Mistake(`there is no profile ${profile}`)
  if (mutation !== undefined && !mutations.some(({ name }) => name === mutation)) throw new Mistake(`there is no mutation ${mutation}`)
  if (values.table) return table(profile)
  const ticks = values.ticks === undefined ? undefined : wholeNumber('--ticks', values.ticks)
  const [first, last] = range(values)
  if (values.trace !== undefined) {
    if (first !== last) throw new Mistake('--trace follows one seed: give --seed')
    return summarize([await traced(first, { profile, ticks, mutation, file: values.trace })], { profile, mutation })
  }
  const outcomes: Outcome[] = []
  for await (const outcome of runSeeds({ first, last, profile, ticks, mutation, isOneEnough: false })) outcomes.push(outcome)
  return summarize(outcomes, { profile, mutation })
}

/** @returns the exit code */
function summarize(outcomes: readonly Outcome[], { profile, mutation }: { profile: string; mutation: string | undefined }): number {
  const failed = outcomes.filter(({ failure }) => failure !== null)
  for (const { seed, failure, digest } of failed) {
    const again = `npm run sim -- --seed ${seed} --profile ${profile}${mutation === undefined ? '' : ` --mutation ${mutation}`}`
    say(JSON.stringify({ seed, ...failure, digest: digest.toString(16), again }))
  }
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + of(outcome), 0)
  say(
    JSON.stringify({
      seeds: outcomes.length,
      failed: failed.length,
      digest: digestOf(outcomes),
      profile,
      events: sum(({ events }) => events),
      messages: sum(({ messages }) => messages),
      committed: sum(({ committed }) => committed),
      acknowledged: sum(({ acknowledged }) => acknowledged)
    })
  )
  return failed.length === 0 ? 0 : 1
}

async function traced(
  seed: number,
  { profile, ticks, mutation, file }: { profile: string; ticks: number | undefined; mutation: string | undefined; file: string }
): Promise<Outcome> {
  const lines = createWriteStream(file)
  const { simulate } = await loadWorld(mutation)
  const outcome = await simulate(seed, { profile, ticks, trace: line => lines.write(`${line}\n`) })
  lines.end()
  await finished(lines)
  return outcome
}

/** As Markdown: for the docs. */
async function table(profile: string): Promise<number> {
  say('| bug on purpose | found in seed | by |\n|---|---|---|')
  let missed = 0
  for (const { name } of mutations) {
    let found: Outcome | undefined
    for await (const outcome of runSeeds({ first: 1, last: budget, profile, ticks: undefined, mutation: name, isOneEnough: true })) {
      if (outcome.failure) found = outcome
    }
    if (found === undefined) missed++
    say(`| ${name} | ${found?.seed ?? `not in ${budget}`} | ${found?.failure?.invariant ?? ''} |`)
  }
  return missed === 0 ? 0 : 1
}

function range({ seed, seeds }: { seed?: string | undefined; seeds?: string | undefined }): readonly [number, number] {
  if ((seed === undefined) === (seeds === undefined)) throw new Mistake('give either --seed or --seeds')
  if (seed !== undefined) {
    const one = wholeNumber('--seed', seed)
    return [one, one]
  }
  const [first, last, ...rest] = (seeds ?? '').split('..').map(text => wholeNumber('--seeds', text))
  if (first === undefined || last === undefined || rest.length > 0 || last < first) throw new Mistake('--seeds is FIRST..LAST')
  return [first, last]
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text)
  if (text === '' || !Number.isSafeInteger(number) || number < 0) throw new Mistake(`${name}: ${text} is not a whole number`)
  return number
}

function say(text: string): 0 {
  console.log(text)
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof Mistake) && !(error instanceof TypeError && 'code' in error)) throw error
  console.error(`${error.message}\n\n${usage}`)
  process.exitCode = 2
}
