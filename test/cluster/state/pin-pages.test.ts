/** Lists of names: read from the store, or kept and changed with the pins. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PinPages, type PinPagesSettings } from '../../../cluster/state/pin-pages.ts'
import { PinCursor, type PinPage } from '../../../src/pin-page.ts'
import type { Pin } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { listedPins } from '../../support/listed-pins.ts'
import { examplePin } from '../../support/pins.ts'
import { PinsetWorld } from '../../support/pinset-world.ts'
import { collect } from '../../support/stream.ts'

/** Some pages of pins. */
const many = Array.from({ length: 1_500 }, (_, at): Pin => ({ ...examplePin, cid: inline(`pages-${at}`), name: at % 3 ? '' : `pin ${at}` }))

class World implements AsyncDisposable {
  readonly pinset: PinsetWorld
  readonly pages: PinPages
  /** Lists that asked the store. */
  asked = 0

  private constructor(pinset: PinsetWorld, settings: Partial<PinPagesSettings>) {
    this.pinset = pinset
    const { state } = pinset
    const counted = (...range: Parameters<typeof state.uncut>) => {
      this.asked++
      return state.uncut(...range)
    }
    this.pages = new PinPages({ state: { uncut: counted } }, settings)
    pinset.pinset.onChange(changes => this.pages.follow(changes))
  }

  static async open(settings: Partial<PinPagesSettings> = {}): Promise<World> {
    const world = new World(await PinsetWorld.open(), settings)
    await world.pinset.merge(...many)
    return world
  }

  async agreed(): Promise<object[]> {
    return (await collect(this.pinset.pinset.list())).map(({ cid, mode, type, name }) => ({ cid, mode, isPlain: type === 'pin', name }))
  }

  async listed(): Promise<object[]> {
    return (await collect(this.pages.read())).flatMap(shown)
  }

  async unpin(...pins: readonly Pin[]): Promise<void> {
    for (const { cid } of pins) {
      const { version } = (await this.pinset.pinset.get(cid)) ?? { version: 0 }
      await this.pinset.apply({ type: 'unpin', cid, basedOn: version })
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.pinset[Symbol.asyncDispose]()
  }
}

function shown(page: PinPage): object[] {
  const found: object[] = []
  for (const cursor = new PinCursor(page); cursor.next(); ) {
    found.push({ cid: cursor.cid, mode: cursor.isDirect ? 'direct' : 'recursive', isPlain: cursor.isPlain, name: cursor.name })
  }
  return found
}

test('a list is what is agreed, whatever changed since the one it is kept from', async () => {
  await using world = await World.open()
  assert.deepEqual(await world.listed(), await world.agreed())
  const changes = fc.oneof(
    fc.array(listedPins, { minLength: 1, maxLength: 30 }).map(pins => () => world.pinset.merge(...distinct(pins))),
    fc.array(fc.constantFrom(...many), { minLength: 1, maxLength: 30 }).map(pins => () => world.unpin(...pins)),
    fc.array(fc.constantFrom(...many), { minLength: 1, maxLength: 30 }).map(pins => () => {
      return world.pinset.merge(...distinct(pins).map(pin => ({ ...pin, name: `${pin.name} again` })))
    })
  )
  await fc.assert(
    fc.asyncProperty(changes, async change => {
      await change()
      assert.deepEqual(await world.listed(), await world.agreed())
    }),
    { numRuns: 100, endOnFailure: true }
  )
  assert.equal(world.asked, 1)
  await world.unpin(...(await collect(world.pinset.pinset.list())))
  assert.deepEqual(await world.listed(), [])
  await world.pinset.merge(...many)
  assert.deepEqual(await world.listed(), await world.agreed())
  assert.equal(world.asked, 1)
})

test('a list is of one moment, and what changes meanwhile is in the next', async () => {
  for (const isKept of [false, true]) {
    await using world = await World.open()
    if (isKept) await world.listed()
    const before = await world.agreed()
    const list = world.pages.read()
    const first = await list.next()
    const [one, other, ...rest] = many
    assert.ok(one && other && !first.done)
    await world.pinset.merge({ ...one, name: 'renamed' }, { ...other, cid: inline('another') })
    await world.unpin(other, ...rest.slice(-3))
    assert.deepEqual([...shown(first.value), ...(await collect(list)).flatMap(shown)], before)
    assert.deepEqual(await world.listed(), await world.agreed())
    assert.equal(world.asked, 1)
  }
})

test('what is kept has a bound, and is given up where pins change and nobody lists them', async () => {
  const changed = async (settings: Partial<PinPagesSettings>) => {
    await using world = await World.open(settings)
    await world.listed()
    for (const pin of many.slice(0, 20)) await world.pinset.merge({ ...pin, name: 'x'.repeat(40) })
    const before = world.asked
    assert.deepEqual(await world.listed(), await world.agreed())
    return world.asked > before
  }
  const bytes = (await keptBytes()) + 100
  assert.equal(await changed({}), false)
  assert.equal(await changed({ keptBytesMax: bytes - 200 }), true, 'they do not fit')
  assert.equal(await changed({ keptBytesMax: bytes }), true, 'they do not fit any more')
  assert.equal(await changed({ keptBytesMax: bytes + 2_000 }), false)
  assert.equal(await changed({ unreadChangesMax: 19 }), true)
  assert.equal(await changed({ unreadChangesMax: 20 }), false)
})

async function keptBytes(): Promise<number> {
  await using world = await World.open()
  return (await collect(world.pages.read())).reduce((sum, { length }) => sum + length, 0)
}

test('a list that sees too many changes go by is not kept', async () => {
  for (const [meanwhileMax, isKept] of [
    [10, true],
    [9, false]
  ] as const) {
    await using world = await World.open({ meanwhileMax })
    const list = world.pages.read()
    await list.next()
    for (const pin of many.slice(0, 10)) await world.pinset.merge({ ...pin, name: 'new' })
    await collect(list)
    assert.deepEqual(await world.listed(), await world.agreed())
    assert.equal(world.asked, isKept ? 1 : 2)
  }
})

test('a reader that stops, or leaves, keeps no later list from being kept', async () => {
  await using world = await World.open()
  const stopped = world.pages.read()
  await stopped.next()
  const left = world.pages.read()
  await left.next()
  await left.return()
  await world.listed()
  assert.equal(world.asked, 3)
  await world.listed()
  assert.equal(world.asked, 3, 'kept')
  await stopped.return()
})

test('readers that stop hold no more than some lists in memory', async () => {
  await using world = await World.open({ readersMax: 2 })
  await world.listed()
  const stopped = [world.pages.read(), world.pages.read()]
  for (const list of stopped) await list.next()
  assert.deepEqual(await world.listed(), await world.agreed())
  assert.equal(world.asked, 2, 'from the store')
  for (const list of stopped) await list.return()
  await world.listed()
  assert.equal(world.asked, 2)
})

/** The last of each CID. */
function distinct(pins: readonly Pin[]): Pin[] {
  return [...new Map(pins.map(pin => [pin.cid, pin])).values()]
}
