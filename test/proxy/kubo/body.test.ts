import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Answers } from '../../../proxy/kubo/answers.ts'
import { Body } from '../../../proxy/kubo/body.ts'

/** Feeds `bytes` in pieces of the given sizes, over and over. */
function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer, void, void> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    yield bytes.subarray(at, at + size)
    at += size
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 })
const contents = fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { maxLength: 6 })
const extension = fc.constantFrom('', ' ', ';a=b', ' ; "x"')

function chunked(chunks: readonly Uint8Array[], extra: string, trailer: string): Buffer {
  const parts = chunks.flatMap(chunk => [Buffer.from(`${chunk.length.toString(16)}${extra}\r\n`), chunk, Buffer.from('\r\n')])
  return Buffer.concat([...parts, Buffer.from(`0\r\n${trailer}\r\n`)])
}

test('chunks end where they end, whatever pieces they come in, and give back their content', () => {
  fc.assert(
    fc.property(contents, extension, fc.constantFrom('', 'A: b\r\n', 'A: b\r\nC: d\r\n'), sizes, (chunks, extra, trailer, pieces) => {
      const body = new Body({ kind: 'chunked' })
      const bytes = chunked(chunks, extra, trailer)
      const content: Buffer[] = []
      let read = 0
      for (const piece of cut(Buffer.concat([bytes, Buffer.from('POST /next')]), pieces)) {
        read += body.read(piece, 0, part => content.push(Buffer.from(part)))
        if (body.isDone) break
      }
      assert.ok(body.isDone)
      assert.equal(read, bytes.length)
      assert.equal(body.trailers, trailer)
      assert.deepEqual(Buffer.concat(content), Buffer.concat(chunks))
    })
  )
})

test('what two readers could read in two ways is broken, and nothing behind it is read', () => {
  const broken = [
    '3\nabc\r\n',
    '3\r\nabcd\r\n',
    'x\r\n',
    '\r\n',
    '-1\r\n',
    '0x3\r\n',
    '3\r\nabc\n',
    '0\r\nA: b\n\r\n',
    '0\n\n',
    '+3\r\n',
    '3 3\r\n',
    '10000000000000\r\n',
    `${'0'.repeat(5_000)}\r\n`
  ]
  for (const text of broken) {
    const body = new Body({ kind: 'chunked' })
    const bytes = Buffer.from(`${text}0\r\n\r\nPOST /smuggled HTTP/1.1\r\n`)
    const end = body.read(bytes, 0)
    assert.ok(body.isBroken, JSON.stringify(text))
    assert.ok(end < bytes.length)
    assert.ok(!body.isDone)
  }
})

test('a body is the same to the short way and to the careful one, right or wrong', () => {
  const piece = fc.constantFrom(
    '0',
    '3',
    'a',
    'F',
    '00',
    '0000000',
    '10000000',
    'x',
    ';e',
    ' ',
    '\r',
    '\n',
    '\r\n',
    '\r\n',
    'abc',
    '3\r\nabc\r\n'
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), pieces => {
      const bytes = Buffer.from(`${pieces.join('')}\r\n`)
      const short = new Body({ kind: 'chunked' })
      const end = short.read(bytes, 0)
      // Bytes that come one by one are no whole line.
      const careful = new Body({ kind: 'chunked' })
      let at = 0
      while (at < bytes.length && !careful.isDone && !careful.isBroken) at += careful.read(bytes.subarray(at, at + 1), 0)
      assert.deepEqual([end, short.isDone, short.isBroken, short.trailers], [at, careful.isDone, careful.isBroken, careful.trailers])
    }),
    { numRuns: 5_000 }
  )
})

test('a length is a length', () => {
  const body = new Body({ kind: 'length', bytes: 5 })
  assert.equal(body.read(Buffer.from('abc'), 0), 3)
  assert.ok(!body.isDone)
  assert.equal(body.read(Buffer.from('xdefgh'), 1), 3)
  assert.ok(body.isDone)
  assert.ok(new Body({ kind: 'length', bytes: 0 }).isDone)
})

const answers: readonly (readonly [method: string, text: string])[] = [
  ['POST', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'],
  ['POST', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n'],
  ['HEAD', 'HTTP/1.1 405 No\r\nContent-Length: 25\r\n\r\n'],
  ['OPTIONS', 'HTTP/1.1 204 No Content\r\nAllow: POST\r\n\r\n'],
  ['GET', 'HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n']
]

test('answers are forwarded byte for byte, and the connection is at rest exactly behind the last one', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...answers), { minLength: 1, maxLength: 5 }), sizes, (sent, pieces) => {
      const forwarded: Buffer[] = []
      const ended: number[] = []
      const reader = new Answers({ forward: bytes => forwarded.push(bytes), end: () => ended.push(1) })
      for (const [method] of sent) reader.ask({ method })
      const bytes = Buffer.from(sent.map(([, text]) => text).join(''))
      let read = 0
      for (const piece of cut(bytes, pieces)) {
        assert.ok(!reader.isAtRest)
        reader.read(piece)
        read += piece.length
        assert.equal(Buffer.concat(forwarded).length, read)
      }
      assert.ok(reader.isAtRest)
      assert.equal(ended.length, sent.length)
      assert.deepEqual(Buffer.concat(forwarded), bytes)
    })
  )
})

test('an answer leaves before it is understood, and one whose head is rewritten behind its head', () => {
  for (const rewrite of [undefined, (head: string) => head]) {
    const seen: string[] = []
    const reader = new Answers({ forward: () => seen.push('left'), head: () => seen.push('head'), end: () => seen.push('end') })
    reader.ask({ method: 'POST', rewrite })
    reader.read(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'))
    assert.deepEqual(seen, rewrite ? ['left', 'head', 'end', 'left'] : ['left', 'head', 'end'])
  }
})

test('a head that is rewritten is rewritten in whatever pieces it comes, and nothing else is', () => {
  fc.assert(
    fc.property(sizes, pieces => {
      const forwarded: Buffer[] = []
      const reader = new Answers({ forward: bytes => forwarded.push(bytes) })
      const plain = 'HTTP/1.1 200 OK\r\nAllow: one\r\nContent-Length: 3\r\n\r\none'
      reader.ask({ method: 'POST' })
      reader.ask({ method: 'POST', rewrite: head => head.replace('one', 'three') })
      reader.ask({ method: 'POST' })
      for (const piece of cut(Buffer.from(plain.repeat(3)), pieces)) reader.read(piece)
      assert.equal(Buffer.concat(forwarded).toString(), plain + plain.replace('one', 'three') + plain)
      assert.ok(reader.isAtRest)
    })
  )
})

test('what is no answer, or one nobody asked for, is forwarded and never taken for rest', () => {
  for (const text of ['SSH-2.0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n']) {
    const forwarded: Buffer[] = []
    const reader = new Answers({ forward: bytes => forwarded.push(bytes) })
    reader.ask({ method: 'POST' })
    reader.read(Buffer.from(text))
    assert.equal(Buffer.concat(forwarded).toString(), text)
    assert.ok(!reader.isAtRest)
    assert.ok(reader.isClosing)
  }
})
