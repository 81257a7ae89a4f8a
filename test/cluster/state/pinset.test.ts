/** What the pinset says of all pins, and its lists in other orders, on a real store. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { encode } from 'cborg'
import { foundingState, readMarker } from '../../../cluster/consensus/marker.ts'
import { formatVersion, LogStorage } from '../../../cluster/consensus/storage.ts'
import { openFolder } from '../../../cluster/opened.ts'
import { key, numberKey, prefixRange } from '../../../cluster/state/keys.ts'
import { writesFor } from '../../../cluster/state/pin-rows.ts'
import { Pinset } from '../../../cluster/state/pinset.ts'
import { encodePin } from '../../../cluster/state/record.ts'
import type { WriteOp } from '../../../cluster/state/store.ts'
import { cidBytes } from '../../../src/codec.ts'
import { isFault } from '../../../src/errors.ts'
import type { PeerId, Pin, PinFilter } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { peerId } from '../../support/newcomer.ts'
import { examplePin } from '../../support/pins.ts'
import { PinsetWorld } from '../../support/pinset-world.ts'
import { collect } from '../../support/stream.ts'

const self = peerId(1) as PeerId
const identity = { clusterId: 'c', nodeId: self }

/** What says which format the folder has. */
function made(format: number): WriteOp {
  return { type: 'put', key: key('m/id'), value: sealed({ format, ...identity }) }
}

/** Makes of the folder what an older version, or a start that was cut off, would have left. */
async function makeOlder(
  { store, state }: PinsetWorld,
  { format, isPartlyMoved = false }: { readonly format: number; readonly isPartlyMoved?: boolean }
): Promise<void> {
  const all = (await collect(state.current.everything())).flat()
  const rows = all.filter((_, position) => !isPartlyMoved || position % 2 === 0)
  const puts = rows.map(([key, value]): WriteOp => ({ type: 'put', key, value }))
  const writes: WriteOp[] = [...state.current.writes(puts.map(({ key }) => ({ type: 'delete', key }))), ...puts]
  for (const name of ['p/applied', 'p/configuration']) writes.push({ type: 'delete', key: key(name) })
  if (format === 1) writes.push({ type: 'delete', key: key('p/hash') })
  const places: readonly (readonly [Uint8Array, unknown])[] = [
    [key('m/applied'), 1],
    [numberKey('t/', 1), 7],
    [numberKey('t/', 2), 8]
  ]
  for (const [key, value] of places) writes.push({ type: 'put', key, value: sealed(value) })
  await store.write([...writes, made(format)], { sync: true })
  if (format === 1) for (const prefix of ['n/', 'd/']) await store.clear(prefixRange(prefix))
}

let next = 0
function named(name: string, timestamp: number, changes: Partial<Pin> = {}): Pin {
  return { ...examplePin, cid: inline(`pinset-${++next}`), name, timestamp, ...changes }
}

test('lists by name and by time come in their order, with their bounds', async () => {
  await using world = await PinsetWorld.open()
  const long = 'x'.repeat(300)
  await world.merge(
    named('b', 40),
    named('a', 30),
    named('ab', 20),
    named('a', 10),
    named('', 25),
    named('a\0b', 15),
    named('ü', 5),
    named(long, 1),
    named(`${long}y`, 2),
    named('a', -7)
  )
  assert.deepEqual(
    (await collect(world.pinset.find({ name: 'a' }))).map(({ timestamp }) => timestamp),
    [-7, 10, 30]
  )
  assert.deepEqual(
    (await collect(world.pinset.find({ name: 'a', order: 'newest', limit: 1 }))).map(({ timestamp }) => timestamp),
    [30]
  )
  assert.deepEqual(
    (await collect(world.pinset.find({ name: 'a', after: 10, before: 10 }))).map(({ timestamp }) => timestamp),
    [10]
  )
  assert.deepEqual(await world.names({ name: 'a\0b' }), ['a\0b'])
  assert.deepEqual(await world.names({ name: long }), [long])
  assert.deepEqual(await world.names({ namePrefix: 'a' }), ['a', 'a', 'a', 'a\0b', 'ab'])
  assert.deepEqual(await world.names({ namePrefix: `${long}y` }), [`${long}y`])
  assert.deepEqual(await world.names({ after: 15, before: 30 }), ['a\0b', 'ab', '', 'a'])
  assert.deepEqual(await world.names({ order: 'newest', limit: 3 }), ['b', 'a', ''])
  assert.deepEqual(await world.names({ order: 'oldest', types: ['shard-pin'] }), [])
  assert.equal((await world.names({})).length, 10)
  for (const filter of [{ name: 'a', namePrefix: 'a' }, { namePrefix: 'a', order: 'newest' }, { name: '' }] as const) {
    await assert.rejects(world.names(filter), error => isFault(error, 'invalid'))
  }
})

test('what is not asked for is not read', async () => {
  await using world = await PinsetWorld.open()
  await world.merge(...Array.from({ length: 3_000 }, (_, at) => named(`pin ${at}`, at)))
  const cost = async (filter: PinFilter) => {
    world.read = 0
    await world.names(filter)
    return world.read
  }
  assert.equal(await cost({ name: 'pin 2999' }), 1)
  assert.equal(await cost({ namePrefix: 'pin 299' }), 11)
  assert.equal(await cost({ after: 2_990 }), 10)
  assert.ok((await cost({ order: 'newest', limit: 5 })) <= 100)
})

test('no row of a pin is without a value: LevelDB by classic-level 3.0.0 loses memory with each of those', () => {
  const pin = { ...examplePin, name: 'named', expireAt: 1 }
  const change = { cid: pin.cid, cidBytes: cidBytes(pin.cid), index: 1, before: undefined, after: pin, record: encodePin(pin) }
  const values = writesFor(change).map(op => (op.type === 'put' ? op.value.length : null))
  assert.equal(values.length, 4)
  assert.ok(
    values.every(length => length !== null && length > 0),
    `lengths of values: ${values}`
  )
})

test('a pin that changes moves in all lists, and one that goes leaves them', async () => {
  await using world = await PinsetWorld.open()
  const pin = named('before', 10, { expireAt: 1_000 })
  await world.merge(pin)
  await world.merge({ ...pin, name: 'after', timestamp: 20, expireAt: 2_000 })
  assert.deepEqual(await world.names({ name: 'before' }), [])
  assert.deepEqual(await world.names({ name: 'after' }), ['after'])
  assert.deepEqual(await world.names({ before: 10 }), [])
  assert.deepEqual(await collect(world.pinset.expired(1_500)), [])
  assert.deepEqual(await collect(world.pinset.expired(2_000)), [pin.cid])
  await world.apply({ type: 'unpin', cid: pin.cid, basedOn: 2 })
  for (const prefix of ['s/', 'n/', 'd/', 'x/']) assert.deepEqual(await collect(world.store.rows(prefixRange(prefix))), [], prefix)
  assert.deepEqual([world.pinset.count, world.pinset.hash], [0, `1:${'0'.repeat(32)}`])
})

test('the hash is that of the pins, whatever order they came in; it is known of earlier indexes, and after a start', async () => {
  await using one = await PinsetWorld.open()
  await using other = await PinsetWorld.open()
  const [a, b, c] = [named('a', 1), named('b', 2), named('c', 3)]
  await one.merge(a, b)
  await one.merge(c)
  await other.merge(b, a)
  assert.equal(other.pinset.hash, one.pinset.hashAt(1))
  assert.notEqual(one.pinset.hash, other.pinset.hash)
  assert.equal(one.pinset.hashAt(7), one.pinset.hash, 'nothing has changed since')
  assert.equal(one.pinset.hashAt(0), `1:${'0'.repeat(32)}`)
  await other.merge({ ...c, name: 'another' })
  assert.notEqual(one.pinset.hash, other.pinset.hash, 'one field of one pin')
  const again = new Pinset({ state: one.state })
  await again.start()
  assert.deepEqual([again.count, again.hash, again.hashAt(2), again.hashAt(1)], [3, one.pinset.hash, one.pinset.hash, undefined])
})

test('an export is of one moment, and says of which', async () => {
  await using world = await PinsetWorld.open()
  await world.merge(named('a', 1), named('b', 2))
  const { index, pins } = await world.pinset.cut()
  await world.merge(named('c', 3))
  assert.deepEqual([index, (await collect(pins)).length], [1, 2])
  assert.equal((await world.pinset.cut()).index, 2)
})

test('a folder of an older format is brought up to date at the next start, also where that was cut off; a newer one is refused', async () => {
  await using world = await PinsetWorld.open()
  const configuration = { members: [] }
  const beginning = { isReady: true, present: configuration, state: foundingState(world.state, configuration) }
  await new LogStorage(world.store).found(identity, configuration, beginning)
  await world.merge(named('b', 2), named('a', 1, { expireAt: 9 }))
  const { hash } = world.pinset
  const reopen = async () => {
    await world.store[Symbol.asyncDispose]()
    await world.start(await openFolder(join(world.folder, 'data'), { self, engine: 'leveldb' }))
  }
  const older = [{ format: 1 }, { format: 2 }, { format: 2, isPartlyMoved: true }]
  for (const folder of older) {
    await makeOlder(world, folder)
    await reopen()
    assert.deepEqual([world.pinset.count, world.pinset.hash], [2, hash])
    assert.deepEqual(await world.names({ order: 'oldest' }), ['a', 'b'])
    assert.deepEqual(await world.names({ name: 'a' }), ['a'])
    assert.deepEqual(await readMarker(world.state), { index: 1, term: 7, configuration: { index: 0, configuration } })
    assert.equal((await new LogStorage(world.store).identity())?.format, formatVersion)
    for (const prefix of ['s/', 'n/', 'd/', 'x/', 'p/', 'm/applied'])
      assert.deepEqual(await collect(world.store.rows(prefixRange(prefix))), [], prefix)
  }
  await world.store.write([made(formatVersion + 1)], { sync: true })
  await assert.rejects(reopen(), /format 4, this version of flotilla knows format 3/)
})

function sealed(value: unknown): Uint8Array {
  const data = encode(value)
  const row = Buffer.alloc(4 + data.length)
  row.writeUInt32BE(crc32(data), 0)
  row.set(data, 4)
  return row
}
