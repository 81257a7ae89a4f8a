import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Holding, Holdings } from '../../../cluster/ipfs/holdings.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import type { Store } from '../../../cluster/state/store.ts'
import { inline } from '../../support/cids.ts'
import { collect } from '../../support/stream.ts'

const [a, b, c] = [inline('a'), inline('b'), inline('c')]
const row: Holding = { isOurs: true, isPinned: true, mode: 'recursive', version: 7, generation: 2, timestamp: 1_700_000_000_000, error: '' }

async function openRows(): Promise<AsyncDisposable & { readonly store: Store; readonly rows: Holdings }> {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-holdings-'))
  const store = await openStore(folder, { engine: 'leveldb' })
  return {
    store,
    rows: new Holdings(store),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    }
  }
}

test('a row comes back as it was written, errors cut to what a row may cost', async () => {
  await using opened = await openRows()
  const { rows } = opened
  const odd: Holding = { ...row, isOurs: false, isPinned: false, mode: 'direct', version: 2 ** 50, error: 'x'.repeat(1_000) }
  await rows.write([
    { cid: a, before: undefined, after: row },
    { cid: b, before: undefined, after: odd }
  ])
  assert.deepEqual(await rows.get(a), row)
  assert.deepEqual(await rows.get(b), { ...odd, error: 'x'.repeat(300) })
  assert.equal(await rows.get(c), undefined)
})

test('a read sees what is still being written', async () => {
  await using opened = await openRows()
  const { rows } = opened
  const write = rows.write([{ cid: a, before: undefined, after: row }])
  assert.deepEqual(await rows.get(a), row)
  const change = rows.write([{ cid: a, before: row, after: null }])
  assert.equal(await rows.get(a), undefined)
  await Promise.all([write, change])
  assert.equal(await rows.get(a), undefined)
})

test('an update leaves rows that somebody wrote while it read', async () => {
  await using opened = await openRows()
  const { rows } = opened
  await rows.write([a, b].map(cid => ({ cid, before: undefined, after: row })))
  const update = rows.update([a, b, c], (_cid, now) => ({ ...row, version: (now?.version ?? 0) + 1 }))
  const newer = { ...row, version: 100 }
  await Promise.all([update, rows.write([{ cid: a, before: row, after: newer }])])
  assert.deepEqual(await Promise.all([a, b, c].map(async cid => (await rows.get(cid))?.version)), [100, 8, 1])
})

test('the sum of what is held is exact, whatever is written while it is counted', async () => {
  await using opened = await openRows()
  const { store, rows } = opened
  const cids = Array.from({ length: 3_000 }, (_, index) => inline(`row ${index}`))
  await rows.write(cids.slice(0, 2_000).map((cid, index) => ({ cid, before: undefined, after: { ...row, isOurs: index % 2 === 0 } })))
  assert.equal(rows.held, 1_000)
  const again = new Holdings(store)
  assert.equal(again.held, 0, 'not known yet')
  let step = 2_000
  const writes: Promise<void>[] = [again.write([{ cid: cids[2_999] ?? a, before: undefined, after: row }])]
  for await (const _row of again.all()) {
    const cid = cids[step++]
    if (cid && step < 2_900) writes.push(again.write([{ cid, before: undefined, after: row }]))
  }
  await Promise.all(writes)
  const held = (await collect(again.all())).filter(([, { isOurs, isPinned }]) => isOurs && isPinned).length
  assert.equal(again.held, held)
  assert.ok(held > 1_800)
})

test('a row that is stored and not yet acknowledged is counted once', async () => {
  await using opened = await openRows()
  const { store } = opened
  const stored = Promise.withResolvers<void>()
  const acknowledge = Promise.withResolvers<void>()
  const late: Pick<Store, 'get' | 'rows' | 'write'> = {
    get: key => store.get(key),
    rows: (range, options) => store.rows(range, options),
    async write(ops, options) {
      await store.write(ops, options)
      stored.resolve()
      await acknowledge.promise
    }
  }
  const rows = new Holdings(late as Store)
  const write = rows.write([{ cid: a, before: undefined, after: row }])
  await stored.promise
  assert.equal((await collect(rows.all())).length, 1)
  assert.equal(rows.held, 1)
  acknowledge.resolve()
  await write
  await collect(rows.all())
  assert.equal(rows.held, 1)
})

test('a sweep has a number that no row carries yet, also after a restart with the clock set back', async () => {
  await using opened = await openRows()
  const { store, rows } = opened
  await rows.start()
  const first = await rows.nextSweep()
  assert.equal(rows.generation, first + 1)
  assert.equal(await rows.nextSweep(), first + 2)
  const again = new Holdings(store)
  await again.start()
  assert.equal(await again.nextSweep(), first + 4)
})
