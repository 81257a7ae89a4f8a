import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { type Outcome, Sessions, type Stamp, stamp, unstamp } from '../../../cluster/consensus/sessions.ts'
import { prefixRange } from '../../../cluster/state/keys.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import type { Store } from '../../../cluster/state/store.ts'

const folder = await mkdtemp(join(tmpdir(), 'flotilla-sessions-'))
after(() => rm(folder, { recursive: true, force: true }))
let opened = 0
const open = () => openStore(join(folder, String(opened++)), { engine: 'leveldb' })

const origin = (number: number) => number.toString(16).padStart(16, '0')
const answer = (index: number): Outcome => ({ index, result: Buffer.from([index & 0xff]) })

/** Applies a log cut into batches of these sizes: all are admitted, then all are recorded, then stored. Returns the indexes applied. */
async function run(log: readonly Stamp[], batch: (left: number) => number, sessions: Sessions, store: Store): Promise<number[]> {
  const applied: number[] = []
  for (let at = 0; at < log.length; ) {
    const end = Math.min(log.length, at + batch(log.length - at))
    const fresh: number[] = []
    for (let index = at; index < end; index++) if (sessions.admit(log[index]!, index) === 'new') fresh.push(index)
    for (const index of fresh) sessions.record(log[index]!, answer(index))
    await store.write(sessions.writes(), { sync: false })
    applied.push(...fresh)
    at = end
  }
  return applied
}

async function table(store: Store): Promise<string[]> {
  const rows: string[] = []
  for await (const [name, value] of store.rows(prefixRange('c/'))) {
    rows.push(`${Buffer.from(name).toString('hex')} ${Buffer.from(value).toString('hex')}`)
  }
  return rows
}

test('an operation that arrives twice is applied once and answers the same', () => {
  const sessions = new Sessions()
  const one = { origin: origin(1), sequence: 5, answeredBelow: 3 }
  assert.equal(sessions.admit(one, 10), 'new')
  assert.equal(sessions.admit(one, 11), 'running')
  sessions.record(one, answer(10))
  assert.deepEqual(sessions.admit(one, 12), answer(10))
  assert.equal(sessions.admit({ ...one, sequence: 6, answeredBelow: 6 }, 13), 'new')
  assert.equal(sessions.admit(one, 14), null, 'answered and forgotten, and still not applied again')
})

test('an operation that its proposer gave up is not applied when it turns up late', () => {
  const sessions = new Sessions()
  assert.equal(sessions.admit({ origin: origin(1), sequence: 9, answeredBelow: 8 }, 10), 'new')
  assert.equal(sessions.admit({ origin: origin(1), sequence: 5, answeredBelow: 5 }, 11), null)
})

test('however the log is cut into batches, and whenever a peer restarts, the same is applied and the same is remembered', async () => {
  const stamps = fc.array(fc.record({ from: fc.nat(4), sequence: fc.integer({ min: 1, max: 600 }), back: fc.nat(12) }), {
    minLength: 1,
    maxLength: 60
  })
  await fc.assert(
    fc.asyncProperty(stamps, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), fc.nat(60), async (drawn, sizes, restart) => {
      const log = drawn.map(
        ({ from, sequence, back }): Stamp => ({ origin: origin(from), sequence, answeredBelow: Math.max(1, sequence - back) })
      )
      await using one = await open()
      await using other = await open()
      const expected = await run(log, () => 1, new Sessions({ max: 3 }), one)
      let turn = 0
      const sizeOf = () => sizes[turn++ % sizes.length]!
      const cut = Math.min(restart, log.length)
      const before = await run(log.slice(0, cut), sizeOf, new Sessions({ max: 3 }), other)
      const restarted = new Sessions({ max: 3 })
      await restarted.load(other)
      const behind: number[] = []
      // Indexes go on behind the restart.
      for (let at = cut; at < log.length; ) {
        const end = Math.min(log.length, at + sizeOf())
        const fresh: number[] = []
        for (let index = at; index < end; index++) if (restarted.admit(log[index]!, index) === 'new') fresh.push(index)
        for (const index of fresh) restarted.record(log[index]!, answer(index))
        await other.write(restarted.writes(), { sync: false })
        behind.push(...fresh)
        at = end
      }
      assert.deepEqual([...before, ...behind], expected)
      assert.deepEqual(await table(other), await table(one))
    }),
    { numRuns: 60 }
  )
})

test('the start of a peer that was used least lately in the log is forgotten first, with all its rows', async () => {
  await using store = await open()
  const sessions = new Sessions({ max: 2 })
  const of = (from: number, sequence = 1) => ({ origin: origin(from), sequence, answeredBelow: 1 })
  await run([of(1), of(2), of(1, 2), of(3)], () => 1, sessions, store)
  assert.equal(sessions.admit(of(2), 10), 'new', 'number 2 was forgotten')
  assert.notEqual(sessions.admit(of(3), 11), 'new')
  const loaded = new Sessions({ max: 2 })
  await loaded.load(store)
  assert.deepEqual(loaded.admit(of(1, 2), 10), answer(2))
})

test('the table holds no more than what may still be asked for', async () => {
  await using store = await open()
  const log = Array.from(
    { length: 2_000 },
    (_, index): Stamp => ({ origin: origin(1), sequence: index + 1, answeredBelow: Math.max(1, index - 8) })
  )
  await run(log, () => 50, new Sessions(), store)
  const rows = await table(store)
  assert.ok(rows.length <= 3, `${rows.length} rows`)
})

test('a stamp is read back as it was written, and what has none is refused', () => {
  const one = { origin: '0011223344556677', sequence: 5, answeredBelow: 3 }
  assert.deepEqual(unstamp(stamp(one, new Uint8Array([9]))), { stamp: one, operation: Buffer.from([9]) })
  assert.throws(() => unstamp(new Uint8Array(23)), /no stamp/)
  assert.throws(() => unstamp(stamp({ ...one, answeredBelow: 6 }, new Uint8Array())), /no sense/)
})
