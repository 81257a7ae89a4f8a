import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cidBytes } from '../../src/codec.ts'
import { outlineOf, PageWriter, PinCursor, type PinPage, pageBytes, pagesOf } from '../../src/pin-page.ts'
import type { Pin } from '../../src/types.ts'
import { listedPins } from '../support/listed-pins.ts'
import { collect, streamOf } from '../support/stream.ts'

/** What a page says, for comparing. */
function read(page: PinPage): object[] {
  const found: object[] = []
  for (const cursor = new PinCursor(page); cursor.next(); ) {
    const { cid, isDirect, isPlain, name } = cursor
    found.push({ cid, isDirect, isPlain, name })
  }
  return found
}

function shown({ cid, mode, type, name }: Pin): object {
  return { cid, isDirect: mode === 'direct', isPlain: type === 'pin', name }
}

test('pages have every pin as it is, in order, and are no longer than they should be', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(listedPins, { maxLength: 1_000, size: 'max' }), async pins => {
      const pages = await collect(pagesOf(streamOf(pins)))
      assert.deepEqual(pages.flatMap(read), pins.map(shown))
      for (const page of pages.slice(0, -1)) assert.ok(page.length >= pageBytes && page.length < pageBytes + 2_000, `${page.length} bytes`)
    }),
    { numRuns: 20 }
  )
})

test('pins are told apart by the order of their bytes', () => {
  fc.assert(
    fc.property(listedPins, listedPins, (pin, other) => {
      const writer = new PageWriter()
      writer.add(cidBytes(pin.cid), 0, outlineOf(pin))
      const cursor = new PinCursor(writer.take())
      cursor.next()
      assert.equal(Math.sign(cursor.compare(cidBytes(other.cid))), Buffer.compare(cidBytes(pin.cid), cidBytes(other.cid)))
      assert.equal(cursor.compare(cidBytes(pin.cid)), 0)
    })
  )
})
