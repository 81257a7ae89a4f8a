/** `npm test`: types, lint, house rules, units, simulation, and end to end on real Kubo. Stops at the first step that fails. */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { resolve } from 'node:path'
import { ensureKubo } from '../cli/kubo-binary.ts'

const root = resolve(import.meta.dirname, '..')
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `The tests need Node 22.19 or newer, and this is ${process.versions.node}: run them by "npm test" after "npm ci", which brings Node 24.`
  )
  process.exit(1)
}

function step(name: string, command: string, words: readonly string[], variables: Record<string, string> = {}): void {
  const started = performance.now()
  console.log(`\n== ${name}`)
  const { status, error } = spawnSync(command, words, { cwd: root, stdio: 'inherit', env: { ...process.env, ...variables } })
  if (error) console.error(error.message)
  console.log(`== ${name}: ${status === 0 ? 'passed' : 'FAILED'} in ${((performance.now() - started) / 1_000).toFixed(1)} s`)
  if (status !== 0) process.exit(1)
}

const bin = (name: string) => resolve(root, 'node_modules', '.bin', name)
const tests = (...patterns: string[]) => patterns.flatMap(pattern => globSync(pattern, { cwd: root })).sort()
const runner = ['--test', '--test-timeout=180000', '--test-reporter=spec']

step('types', bin('tsc'), ['--noEmit'])
step('lint', bin('biome'), ['check', '.'])
const ends = tests('test/e2e/**/*.test.ts')
step('units and simulation', process.execPath, [...runner, ...tests('test/**/*.test.ts').filter(file => !ends.includes(file))])
console.log('\n== Kubo')
const kubo = await ensureKubo({ say: line => console.log(line) })
console.log(`Kubo: ${kubo}`)
// One after the other: each file has a cluster of its own on the same two or four cores.
step('end to end', process.execPath, [...runner, '--test-concurrency=1', ...ends], { KUBO_BIN: kubo })
