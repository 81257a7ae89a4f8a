/** Folders in which something is not as it was written: a peer does not start on them, and says why. Nothing is repaired, for a hole may be a pin. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { key, numberKey, prefixRange } from '../../../cluster/state/keys.ts'
import { openStore } from '../../../cluster/state/open-store.ts'
import type { Store, WriteOp } from '../../../cluster/state/store.ts'
import { isFault } from '../../../src/errors.ts'
import { TestPeers } from '../../support/consensus.ts'
import { pin } from '../../support/consensus-pins.ts'
import { collect } from '../../support/stream.ts'
import { until } from '../../support/until.ts'

/** What is done to the rows of a peer that does not run, and what it then says. */
const damages: readonly (readonly [what: string, harm: (store: Store) => Promise<readonly WriteOp[]>, said: RegExp])[] = [
  ['a bit of an entry has flipped', async store => flipped(store, numberKey('l/', 3)), /an entry has a wrong checksum/],
  ['an entry in the middle is missing', async () => [{ type: 'delete', key: numberKey('l/', 3) }], /entry 3 is missing/],
  [
    'an entry stands in the place of another',
    async store => [{ type: 'put', key: numberKey('l/', 3), value: await rowOf(store, numberKey('l/', 2)) }],
    /entry 3 is not what it should be/
  ],
  ['a bit of its vote has flipped', async store => flipped(store, key('m/hard-state')), /a row has a wrong checksum/],
  ['a bit of the applied index has flipped', async store => flipped(store, key('0/p/applied')), /a row has a wrong checksum/],
  [
    'the end of the log is missing',
    async store => (await collect(store.rows(prefixRange('l/')))).slice(3).map(([row]) => ({ type: 'delete', key: row })),
    /but the log ends at 3/
  ]
]

async function rowOf(store: Store, row: Uint8Array): Promise<Uint8Array> {
  const value = await store.get(row)
  assert.ok(value)
  return value
}

async function flipped(store: Store, row: Uint8Array): Promise<readonly WriteOp[]> {
  const value = Uint8Array.from(await rowOf(store, row))
  value[value.length >> 1] = (value[value.length >> 1] ?? 0) ^ 1
  return [{ type: 'put', key: row, value }]
}

for (const [what, harm, said] of damages) {
  test(`${what}: the peer does not start, says so, and changes nothing`, async () => {
    await using peers = await TestPeers.open()
    const peer = await peers.start(1, peers.found(1))
    for (let number = 0; number < 5; number++) await pin(peer, `pin ${number}`)
    await until('all of it is in the state', () => peer.consensus.status().applied === peer.consensus.status().commit)
    await peer.kill()
    const rows = async (store: Store) => collect(store.rows({ gte: new Uint8Array([0]), lt: new Uint8Array([255]) }))
    await using store = await openStore(peers.folderOf(1), { engine: 'leveldb' })
    await store.write(await harm(store), { sync: true })
    const before = await rows(store)
    await assert.rejects(
      peers.start(1, peers.found(1), { store }),
      error =>
        isFault(error, 'cannot_start') && said.test(error.message) && /let this peer join again with a new identity/.test(error.message)
    )
    assert.deepEqual(await rows(store), before)
  })
}
