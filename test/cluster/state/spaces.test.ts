/** One of two spaces holds the state. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { key, prefixRange } from '../../../cluster/state/keys.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import { Spaces } from '../../../cluster/state/spaces.ts'
import type { Rows, Store, WriteOp } from '../../../cluster/state/store.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const put = (name: string, value: string): WriteOp => ({ type: 'put', key: key(name), value: bytes(value) })

async function listed(state: Pick<Rows, 'rows'>, prefix: string): Promise<string> {
  const found: string[] = []
  for await (const [row, value] of state.rows(prefixRange(prefix))) found.push(`${Buffer.from(row)}=${Buffer.from(value)}`)
  return found.join(' ')
}

test('a state comes into the other space unseen, takes the place of the first by one row, and stays there after a restart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-spaces-'))
  try {
    {
      await using store = await openStore(folder, { engine: 'leveldb' })
      const state = await Spaces.open(store)
      await store.write([...state.current.writes([put('s/a', 'old')]), ...state.spare.writes([put('s/b', 'new')])], { sync: false })
      assert.deepEqual([await listed(state, 's/'), await state.get(key('s/b'))], ['s/a=old', undefined])
      await store.write([state.choice()], { sync: true })
      assert.equal(await listed(state, 's/'), 's/a=old', 'reads go on as they began')
      state.exchange()
      assert.equal(await listed(state, 's/'), 's/b=new')
      await state.spare.clear()
    }
    await using store = await openStore(folder, { engine: 'leveldb' })
    const state = await Spaces.open(store)
    assert.deepEqual([await listed(state, 's/'), await listed(state.spare, 's/')], ['s/b=new', ''])
    await store.write([state.choice()], { sync: true })
    assert.equal(await listed(await Spaces.open(store), 's/'), '', 'and back')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a read that is overtaken by the exchange answers from the new state, not from what is being cleared', async () => {
  const gate = Promise.withResolvers<void>()
  const asked: string[] = []
  const store = {
    async get(row: Uint8Array) {
      const name = Buffer.from(row).toString()
      if (name === 'm/space') return undefined
      asked.push(name)
      if (asked.length > 1) return bytes('new')
      await gate.promise
      return undefined
    }
  } as Pick<Store, 'get'> as Store
  const state = await Spaces.open(store)
  const value = state.get(key('s/a'))
  state.exchange()
  gate.resolve()
  assert.deepEqual([String(Buffer.from((await value) ?? [])), asked], ['new', ['0/s/a', '1/s/a']])
})
