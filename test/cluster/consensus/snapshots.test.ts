/** A state goes from one peer to another, over a real store. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeChunk, encodeChunk, encodeQuestion, method, packRows, unpackRows } from '../../../cluster/consensus/snapshot-chunk.ts'
import type { SnapshotLimits } from '../../../cluster/consensus/snapshots.ts'
import { isFault } from '../../../src/errors.ts'
import { PinCursor } from '../../../src/pin-page.ts'
import { type TestPeer, TestPeers } from '../../support/consensus.ts'
import { cid, logRows, pinAll } from '../../support/consensus-pins.ts'
import { collect } from '../../support/stream.ts'
import { until } from '../../support/until.ts'

const shortLog: Partial<SnapshotLimits> = { log: { entriesMax: 20, bytesMax: 1e9, ageMsMax: 1e9 } }

/** As a list of names shows them, which is kept in memory. */
async function names({ pinset }: TestPeer): Promise<string[]> {
  const found: string[] = []
  for await (const page of pinset.pages()) for (const cursor = new PinCursor(page); cursor.next(); ) found.push(String(cursor.start))
  return found
}

async function three(peers: TestPeers): Promise<TestPeer> {
  await Promise.all([1, 2, 3].map(number => peers.start(number, peers.found(1, 2, 3), { snapshots: shortLog })))
  return peers.get(await until('a leader', () => peers.leader()))
}

test('a newcomer gets the state that no log has any more, while writes go on, and answers nothing before', async () => {
  await using peers = await TestPeers.open()
  const leader = await three(peers)
  await pinAll(leader, 0, 300)
  await until('the rows of the log are gone', async () => (await logRows(leader)) <= 22)
  const newcomer = await peers.start(4, peers.join(1), { snapshots: shortLog })
  assert.equal(newcomer.consensus.status().isReady, false)
  await assert.rejects(newcomer.consensus.propose(new Uint8Array()), error => isFault(error, 'not_ready'))
  for (let from = 300; !newcomer.consensus.status().isReady; from += 10) await pinAll(leader, from, from + 10)
  await until('it has a vote', () => newcomer.consensus.status().members.every(({ isVoter }) => isVoter))
  await newcomer.consensus.readBarrier()
  assert.equal(newcomer.pinset.count, leader.pinset.count)
  assert.equal(newcomer.pinset.hash, leader.pinset.hash, 'and the hash that peers compare')
  assert.equal((await collect(newcomer.pinset.find({ name: 'pin 7' }))).length, 1, 'and the keys for lists by name')
  for (const name of ['pin 0', 'pin 299', 'pin 309']) assert.equal((await newcomer.pinset.get(cid(name)))?.name, name)
  assert.deepEqual(peers.fatal, [])
})

test('a follower that was away for long gets the state, and what it remembered of the old one is forgotten', async () => {
  await using peers = await TestPeers.open()
  const leader = await three(peers)
  await pinAll(leader, 0, 10)
  const away = [1, 2, 3].find(number => peers.get(number) !== leader) ?? 0
  await until('it has them', () => peers.get(away).pinset.count === 10)
  await peers.get(away).kill()
  await pinAll(leader, 10, 200)
  await until('the log is cut', async () => (await logRows(leader)) <= 22)
  const back = await peers.start(away, peers.found(1, 2, 3), { snapshots: shortLog })
  assert.equal(await back.pinset.get(cid('pin 150')), undefined, 'it serves the old state until it has the new one')
  let replaced = 0
  using _ = back.pinset.onReplaced(() => replaced++)
  while (back.pinset.count < 200) {
    // What is read while the state takes its place is of the old one or of the new one.
    const [known, byCid, byTime, paged] = await Promise.all([
      back.pinset.get(cid('pin 5')),
      collect(back.pinset.list()),
      collect(back.pinset.find({ order: 'oldest' })),
      names(back)
    ])
    assert.equal(known?.name, 'pin 5')
    for (const { length } of [byCid, byTime, paged]) assert.ok(length === 10 || length >= 150, `${length} pins`)
    assert.equal(back.pinset.hashAt(back.consensus.status().applied), back.pinset.hash)
  }
  assert.equal(replaced, 1)
  assert.equal((await names(back)).length, 200, 'the list that was kept is of the old state')
  assert.equal((await back.pinset.get(cid('pin 150')))?.name, 'pin 150')
  await back.kill()
  const again = await peers.start(away, peers.found(1, 2, 3), { snapshots: shortLog })
  assert.equal(again.pinset.count, 200, 'also after a restart')
  await pinAll(again, 200, 210)
  assert.deepEqual(peers.fatal, [])
})

test('a transfer is one at a time, in order, and a chunk whose answer was lost is given again', async () => {
  await using peers = await TestPeers.open()
  const leader = await three(peers)
  await pinAll(leader, 0, 100)
  const [one, other] = [1, 2, 3].filter(number => peers.get(number) !== leader).map(number => peers.get(number).id)
  const handler = peers.network.peer(one ?? leader.id, leader.id)?.methods.get(method)?.handler
  assert.ok(handler && one && other)
  const ask = async (from: typeof one, transfer: string, number: number) =>
    decodeChunk(await handler(from, encodeQuestion({ transfer, number }), { signal: new AbortController().signal }))
  const first = await ask(one, '', 0)
  assert.ok(first.rows.length > 0 && !first.isLast)
  await assert.rejects(ask(other, '', 0), error => isFault(error, 'overloaded'))
  await assert.rejects(ask(other, first.transfer, 1), error => isFault(error, 'refused'))
  await assert.rejects(ask(one, first.transfer, 2), error => isFault(error, 'refused'))
  const second = await ask(one, first.transfer, 1)
  assert.deepEqual(await ask(one, first.transfer, 1), second)
  await assert.rejects(ask(one, first.transfer, 0), error => isFault(error, 'refused'))
  // Nobody goes on with it: it ends by itself, and another peer gets its turn.
  await until('the transfer is over', () => ask(other, '', 0).catch(() => undefined))
})

test('chunks that are damaged or missing are never taken for the state: it is fetched anew', async () => {
  await using peers = await TestPeers.open()
  const leader = await three(peers)
  await pinAll(leader, 0, 300)
  await until('the log is cut', async () => (await logRows(leader)) <= 22)
  let damaged = 0
  for (const number of [1, 2, 3]) {
    const methods = peers.network.peer(leader.id, peers.get(number).id)?.methods
    const served = methods?.get(method)
    assert.ok(methods && served)
    methods.set(method, {
      ...served,
      handler: async (from, payload, options) => {
        const chunk = decodeChunk(await served.handler(from, payload, options))
        if (chunk.number !== 3 || damaged === 3) return encodeChunk(chunk)
        damaged++
        const whole = unpackRows(chunk.rows)
        const rows = packRows(damaged === 1 ? whole.slice(1) : whole.map(([key, value]) => [key.map(byte => byte ^ 1), value] as const))
        return encodeChunk(damaged === 3 ? { ...chunk, number: 4 } : { ...chunk, rows })
      }
    })
  }
  const newcomer = await peers.start(4, peers.join(1), { snapshots: shortLog })
  await until('it has everything', () => newcomer.pinset.count === 300)
  assert.equal(damaged, 3)
  assert.deepEqual(peers.fatal, [])
})
