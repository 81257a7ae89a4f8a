import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LineCutter, linesOf } from '../../../proxy/kubo/lines.ts'
import { collect } from '../../support/stream.ts'

test('lines are the same in whatever pieces they come, the last one without an end too', async () => {
  const pieces = fc.array(fc.constantFrom('a', 'bc', '\n', '\n\n', 'é', ''), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(pieces, async pieces => {
      async function* stream() {
        for (const piece of pieces) yield Buffer.from(piece)
      }
      const expected = pieces.join('').split('\n')
      if (expected.at(-1) === '') expected.pop()
      assert.deepEqual(
        (await collect(linesOf(stream()))).map(line => line.toString()),
        expected
      )
    })
  )
})

test('a line without an end is not kept', () => {
  const cutter = new LineCutter()
  const mebibyte = Buffer.alloc(1 << 20, 'x')
  assert.throws(() => {
    for (let count = 0; count < 20; count++) for (const _ of cutter.cut(mebibyte));
  }, /line without end/)
})
