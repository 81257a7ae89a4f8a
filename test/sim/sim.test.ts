/** Many seeds of the simulated world. A failure prints its seed; FLOTILLA_SIM_FIRST and FLOTILLA_SIM_SEEDS choose others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mutations, World } from './world.ts'

const first = Number(process.env.FLOTILLA_SIM_FIRST ?? 1)
const count = Number(process.env.FLOTILLA_SIM_SEEDS ?? 1_000)
const ticks = 600

test(`${count} seeds of partitions, crashes and losses break no invariant, and every world heals`, () => {
  const failures: string[] = []
  let committed = 0
  for (let seed = first; seed < first + count && failures.length < 5; seed++) {
    try {
      committed += new World(seed).run(ticks).committed
    } catch (error) {
      failures.push(`seed ${seed}: ${(error as Error).message}`)
    }
  }
  assert.deepEqual(failures, [])
  assert.ok(committed > count * 20, `only ${committed} entries were committed: the worlds are too rough to prove anything`)
})

test('the same seed is the same run', () => {
  for (const seed of [3, 77, 1234]) assert.deepEqual(new World(seed).run(ticks), new World(seed).run(ticks))
})

for (const mutation of mutations) {
  test(`the simulation catches a driver with the fault ${mutation}`, () => {
    let found: string | undefined
    for (let seed = 1; seed <= 500 && found === undefined; seed++) {
      try {
        new World(seed, mutation).run(ticks)
      } catch (error) {
        found = `seed ${seed}: ${(error as Error).message}`
      }
    }
    assert.ok(found !== undefined, `${mutation} went unnoticed for 500 seeds`)
  })
}
