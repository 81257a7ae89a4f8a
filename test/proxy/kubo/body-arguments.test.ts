import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { argumentsOfBody, formOf } from '../../../proxy/kubo/body-arguments.ts'
import type { BodyTaker, Exchange } from '../../../proxy/kubo/connection.ts'
import type { RequestHead } from '../../../proxy/kubo/head.ts'
import { isFault } from '../../../src/errors.ts'

/** A request whose body comes in these pieces. */
function request(pieces: readonly (string | Buffer)[], { isWhole = true, expectsContinue = false } = {}) {
  const wanted: string[] = []
  const exchange = {
    head: { expectsContinue } as RequestHead,
    reply: { wantBody: () => wanted.push('100') },
    takeBody({ content, end }: BodyTaker) {
      for (const piece of pieces) content?.(Buffer.from(piece as string))
      end(isWhole)
    }
  }
  return { exchange: exchange as unknown as Exchange, wanted }
}

const form = (content: string) => `--B\r\nContent-Disposition: form-data; name="file"\r\n\r\n${content}\r\n--B--\r\n`

test('what a request says of its body', () => {
  assert.equal(formOf([]), 'none')
  assert.equal(formOf(['Content-Type', 'application/x-www-form-urlencoded']), 'none')
  assert.equal(formOf(['Content-Type', 'multipart/form-data']), 'broken')
  assert.deepEqual(formOf(['content-type', 'Multipart/Form-Data; charset=x; boundary="a b"']), { boundary: 'a b' })
  assert.deepEqual(formOf(['Content-Type', 'multipart/form-data; boundary=B; x=y']), { boundary: 'B' })
})

test('one argument a line, whatever ends the lines, also an empty one', async () => {
  const read = (content: string) => argumentsOfBody(request([form(content)]).exchange, 'B')
  assert.deepEqual(await read('a\nb\r\n\nc'), ['a', 'b', '', 'c'])
  assert.deepEqual(await read('a\n'), ['a'])
  assert.deepEqual(await read(''), [])
  assert.deepEqual(await argumentsOfBody(request(['no form at all']).exchange, 'B'), [])
  // Only the first part counts, as for Kubo.
  assert.deepEqual(await read('a\r\n--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nb'), ['a'])
})

test('in whatever pieces the body comes', async () => {
  const words = fc.array(fc.stringMatching(/^[a-zA-Z0-9/]{1,20}$/), { minLength: 1, maxLength: 10 })
  await fc.assert(
    fc.asyncProperty(words, fc.integer({ min: 1, max: 40 }), async (words, size) => {
      const body = Buffer.from(form(words.join('\n')))
      const pieces = Array.from({ length: Math.ceil(body.length / size) }, (_, at) => body.subarray(at * size, (at + 1) * size))
      assert.deepEqual(await argumentsOfBody(request(pieces).exchange, 'B'), words)
    })
  )
})

test('a body that breaks off, or does not end, runs nothing', async () => {
  await assert.rejects(argumentsOfBody(request([form('a')], { isWhole: false }).exchange, 'B'), error => isFault(error, 'invalid'))
  const mebibyte = Buffer.alloc(1 << 20, 'x')
  const endless = request(Array.from({ length: 17 }, () => mebibyte))
  await assert.rejects(argumentsOfBody(endless.exchange, 'B'), /too many arguments/)
})

test('a client that waits for permission gets it', async () => {
  const { exchange, wanted } = request([form('a')], { expectsContinue: true })
  await argumentsOfBody(exchange, 'B')
  assert.deepEqual(wanted, ['100'])
})
