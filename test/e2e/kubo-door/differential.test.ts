/** The same requests, as bytes, to Kubo and through the door in front of its twin. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Case } from './case.ts'
import { commands, facts } from './coverage.ts'
import { type Allowed, allowed, isAllowed, pending } from './differences.ts'
import { type Asked, allCases, ask } from './differential.ts'
import { startTwins } from './twins.ts'

describe('nobody can tell the door from Kubo', () => {
  let kubo: Asked
  let door: Asked
  let cases: readonly Case[]
  const owned = new AsyncDisposableStack()
  before(async () => {
    const { plain, behind, daemon, content } = owned.use(await startTwins())
    kubo = { where: plain.rpc, kubo: plain }
    door = { where: daemon.port, kubo: behind }
    cases = allCases(content)
  })
  after(() => owned.disposeAsync())

  test('the requests cover every fact and every command', () => {
    assert.ok(cases.length >= 120)
    const covered = new Set(cases.flatMap(({ covers }) => covers))
    const wanted = [...Object.keys(facts), ...commands.map(command => `command ${command}`)]
    assert.deepEqual(
      wanted.filter(fact => !covered.has(fact)),
      []
    )
  })

  test('status, headers, trailers, body and connection are the same', { timeout: 240_000 }, async t => {
    const used = new Set<Allowed>()
    const open: string[] = []
    for (const one of cases) {
      await t.test(one.title, async () => {
        const found = await ask(one, kubo, door)
        const wrong = found.filter(difference => {
          const entry = isAllowed(one.title, difference, allowed) ?? isAllowed(one.title, difference, pending)
          if (entry) used.add(entry)
          if (entry && pending.includes(entry)) open.push(`${one.title}: ${difference.field}`)
          return entry === undefined
        })
        assert.deepEqual(wrong, [])
      })
    }
    if (open.length > 0) console.log(`${open.length} differences are still pending`)
    assert.deepEqual(
      [...allowed, ...pending].filter(entry => !used.has(entry)).map(({ cases, field, reason }) => `${cases} ${field}: ${reason}`),
      [],
      'differences that are in the table and do not occur'
    )
  })
})
