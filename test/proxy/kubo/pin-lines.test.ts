import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bases } from 'multiformats/basics'
import { CID } from 'multiformats/cid'
import { PinLines } from '../../../proxy/kubo/pin-lines.ts'
import { pagesOf } from '../../../src/pin-page.ts'
import type { Pin } from '../../../src/types.ts'
import { listedPins } from '../../support/listed-pins.ts'
import { collect, streamOf } from '../../support/stream.ts'

const wishes = fc.record({
  format: fc.constantFrom('json' as const, 'text' as const),
  isQuiet: fc.boolean(),
  showsNames: fc.boolean(),
  cidBase: fc.constantFrom(null, null, 'base32', 'base58btc', 'base64pad', 'base16'),
  part: fc.constantFrom('', '', 'a', 'ü', '\u{1f600}')
})
type Wish = Parameters<Parameters<typeof wishes.map>[0]>[0]

/** The plain way. */
function line({ cid, mode, name }: Pin, { format, isQuiet, showsNames, cidBase }: Wish): string {
  const encoder = Object.values(bases).find(({ name }) => name === cidBase)?.encoder
  const text = encoder === undefined ? CID.parse(cid).toString() : CID.parse(cid).toV1().toString(encoder)
  const shown = showsNames ? name : ''
  if (format === 'text') return isQuiet ? `${text}\n` : `${[text, mode, ...(shown === '' ? [] : [shown])].join(' ')}\n`
  const json = JSON.stringify({ Cid: text, ...(shown !== '' && { Name: shown }), Type: mode })
  return `${json.replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}\n`
}

test('the lines of a page are those of its pins, each written in the plain way', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(listedPins, { maxLength: 400, size: 'max' }), wishes, async (pins, wish) => {
      const pages = await collect(pagesOf(streamOf(pins)))
      for (const mode of ['recursive', 'direct'] as const) {
        const lines = new PinLines(mode, wish)
        const read = Buffer.concat(pages.map(page => lines.of(page, wish.part))).toString('utf8')
        const fitting = pins.filter(pin => pin.type === 'pin' && pin.mode === mode && pin.name.includes(wish.part))
        assert.equal(read, fitting.map(pin => line(pin, wish)).join(''))
        assert.equal(
          lines.hasSeenOthers,
          pins.some(pin => pin.type === 'pin' && pin.mode !== mode)
        )
      }
    }),
    { numRuns: 60 }
  )
})
