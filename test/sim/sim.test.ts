/** The whole of consensus in a seeded world. FLOTILLA_SIM_SEEDS says how many seeds, FLOTILLA_SIM_FIRST where to begin. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { mutated } from './mutated.ts'
import { mutations } from './mutations.ts'
import { troubles } from './plan.ts'
import { digestOf, runSeeds } from './runs.ts'
import { type Outcome, simulate } from './world.ts'

const root = resolve(import.meta.dirname, '../..')
const seeds = Number(process.env.FLOTILLA_SIM_SEEDS ?? 1_000)
const first = Number(process.env.FLOTILLA_SIM_FIRST ?? 1)
const order = { profile: 'all', ticks: undefined, mutation: undefined, isOneEnough: false }

test(`nothing goes wrong in ${seeds} seeds from ${first} on, and everything heals`, async t => {
  const outcomes: Outcome[] = []
  for await (const outcome of runSeeds({ ...order, first, last: first + seeds - 1 })) outcomes.push(outcome)
  const seen = new Map<string, number>()
  for (const outcome of outcomes) for (const [event, times] of outcome.seen) seen.set(event, (seen.get(event) ?? 0) + times)
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + of(outcome), 0)
  t.diagnostic(
    `${sum(({ events }) => events)} events, ${sum(({ committed }) => committed)} entries committed, ` +
      `${sum(({ acknowledged }) => acknowledged)} writes acknowledged, ${sum(({ leaders }) => leaders)} leaders, digest ${digestOf(outcomes)}`
  )
  t.diagnostic([...seen].map(([event, times]) => `${event} ${times}`).join(', '))
  const failed = outcomes.filter(({ failure }) => failure !== null)
  assert.deepEqual(
    failed.map(({ seed, failure }) => `npm run sim -- --seed ${seed}: ${failure?.message}`),
    []
  )
  if (seeds < 200) return
  const effects = [
    'overloaded',
    'change_pending',
    'no_commit_in_term',
    'no_voters',
    'log replaced',
    'change committed',
    'renewed',
    'state installed',
    'log cut'
  ]
  const wanted = [...troubles, ...effects].filter(event => event !== 'overloaded')
  assert.deepEqual(
    wanted.filter(event => !seen.get(event)),
    [],
    'what the world is said to do, it does'
  )
})

test('the same seed is the same run, line by line, and another seed is another', async () => {
  for (const seed of [1, 2, 3]) {
    const runs: { lines: string[]; digest: number }[] = []
    for (let time = 0; time < 2; time++) {
      const lines: string[] = []
      const { digest } = await simulate(seed, { trace: line => lines.push(line) })
      runs.push({ lines, digest })
    }
    assert.ok((runs[0]?.lines.length ?? 0) > 300)
    assert.deepEqual(runs[0], runs[1])
  }
  assert.notEqual((await simulate(1)).digest, (await simulate(2)).digest)
})

test('every bug on purpose has its line in the code', () => {
  assert.ok(mutations.length >= 24)
  assert.equal(new Set(mutations.map(({ name }) => name)).size, mutations.length)
  for (const mutation of mutations) mutated(readFileSync(resolve(root, 'cluster', `${mutation.file}.ts`), 'utf8'), mutation)
})

/** One of each kind, quick to find; `npm run sim -- --table` tries them all. */
const samples = [
  'forgets-its-vote-at-a-restart',
  'acknowledges-entries-before-they-are-on-disk',
  'commits-an-old-term-by-counting',
  'counts-learners',
  'sessions-are-not-stored',
  'takes-a-state-before-it-is-whole',
  'two-configurations-at-once',
  'reads-without-asking',
  'never-asks-for-its-vote'
]
for (const mutation of samples) {
  test(`the simulation finds a cluster that ${mutation.replaceAll('-', ' ')}`, async t => {
    let found: Outcome | undefined
    for await (const outcome of runSeeds({ ...order, first: 1, last: 500, mutation, isOneEnough: true }))
      if (outcome.failure) found = outcome
    assert.ok(found?.failure, 'not found in 500 seeds')
    t.diagnostic(`seed ${found.seed}: ${found.failure.invariant}`)
  })
}

test('the command prints a line for each seed that fails and one for all, the same every time, and says so by its exit code', () => {
  const run = (...words: string[]) => {
    const { status, stdout } = spawnSync(process.execPath, [resolve(import.meta.dirname, 'main.ts'), ...words], { encoding: 'utf8' })
    return { status, lines: stdout.trim().split('\n') }
  }
  const fine = run('--seeds', '1..3')
  assert.equal(fine.status, 0)
  const { seeds, failed, digest } = JSON.parse(fine.lines[0] ?? '')
  assert.deepEqual({ seeds, failed, lines: fine.lines.length }, { seeds: 3, failed: 0, lines: 1 })
  assert.match(digest, /^[0-9a-f]{8}$/)
  assert.deepEqual(run('--seeds', '1..3'), fine)

  const wrong = run('--seeds', '1..2', '--mutation', 'reads-without-asking')
  assert.equal(wrong.status, 1)
  const [failure, summary] = [JSON.parse(wrong.lines[0] ?? ''), JSON.parse(wrong.lines.at(-1) ?? '')]
  assert.equal(failure.invariant, 'I20 read safety')
  assert.equal(summary.failed, wrong.lines.length - 1)

  assert.equal(run('--list-mutations').lines.length, mutations.length)
  assert.equal(run('--seeds', '2..1').status, 2)
})
