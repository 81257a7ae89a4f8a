import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { endOfHead, isRefusal, type RequestHead, readHead } from '../../../proxy/kubo/head.ts'

const start = 'POST /api/v0/version HTTP/1.1\r\nHost: x\r\n'

function accepted(text: string): RequestHead {
  const head = readHead(text)
  assert.ok(!isRefusal(head), JSON.stringify(head))
  return head
}

function refused(text: string): string {
  const head = readHead(text)
  assert.ok(isRefusal(head), JSON.stringify(text))
  return head.status
}

describe('what Go refuses is refused, in its words', () => {
  const bad = '400 Bad Request'
  const name = `${bad}: invalid header name`
  const cases: readonly (readonly [title: string, head: string, status: string])[] = [
    ['no Host', 'POST / HTTP/1.1\r\n\r\n', `${bad}: missing required Host header`],
    ['two Hosts', `${start}Host: x\r\n\r\n`, bad],
    ['a Host that is none', 'POST / HTTP/1.1\r\nHost: a/b\r\n\r\n', `${bad}: malformed Host header`],
    ['a name with a space', `${start}A B: c\r\n\r\n`, name],
    ['a space before the colon', `${start}Content-Length : 1\r\n\r\n`, name],
    ['no name', `${start}: c\r\n\r\n`, bad],
    ['no colon', `${start}abc\r\n\r\n`, bad],
    ['a control character', `${start}A: \u0001\r\n\r\n`, bad],
    ['a lone carriage return', `${start}A: b\rc\r\n\r\n`, bad],
    ['a continued first line', 'POST / HTTP/1.1\r\n Host: x\r\n\r\n', bad],
    ['an empty first line', `\r\n${start}\r\n`, bad],
    ['a method that is none', 'PO(T / HTTP/1.1\r\nHost: x\r\n\r\n', bad],
    ['two spaces', 'POST  / HTTP/1.1\r\nHost: x\r\n\r\n', bad],
    ['HTTP in small letters', 'POST / http/1.1\r\nHost: x\r\n\r\n', bad],
    ['HTTP/2', 'POST / HTTP/2.0\r\nHost: x\r\n\r\n', '505 HTTP Version Not Supported: unsupported protocol version'],
    ['a path without a slash', 'POST api HTTP/1.1\r\nHost: x\r\n\r\n', bad],
    ['a broken escape', 'POST /%zz HTTP/1.1\r\nHost: x\r\n\r\n', bad],
    ['two lengths', `${start}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, bad],
    ['a signed length', `${start}Content-Length: +1\r\n\r\n`, bad],
    ['an empty length', `${start}Content-Length:\r\n\r\n`, bad],
    ['a length in two values', `${start}Content-Length: 1, 1\r\n\r\n`, bad],
    ['a hexadecimal length', `${start}Content-Length: 0x1\r\n\r\n`, bad],
    ['another coding', `${start}Transfer-Encoding: gzip\r\n\r\n`, '501 Not Implemented'],
    ['chunked twice', `${start}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, '501 Not Implemented'],
    ['chunked with something', `${start}Transfer-Encoding: chunked, identity\r\n\r\n`, '501 Not Implemented']
  ]
  for (const [title, head, status] of cases) test(title, () => assert.equal(refused(head), status))
})

describe('framing', () => {
  test('no body, a length, chunks', () => {
    assert.deepEqual(accepted(`${start}\r\n`).framing, { kind: 'length', bytes: 0 })
    assert.deepEqual(accepted(`${start}Content-Length: 12\r\ncontent-length: 12\r\n\r\n`).framing, { kind: 'length', bytes: 12 })
    assert.deepEqual(accepted(`${start}transfer-ENCODING: Chunked\r\n\r\n`).framing, { kind: 'chunked' })
  })

  test('a continued line is joined before it is read', () => {
    assert.deepEqual(accepted(`${start}Transfer-Encoding:\r\n chunked\r\n\r\n`).framing, { kind: 'chunked' })
    assert.equal(refused(`${start}Content-Length: 1\r\n 2\r\n\r\n`), '400 Bad Request')
  })

  test('of two ways of framing at once, chunks count, and the connection goes on', () => {
    const head = accepted(`${start}Content-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n`)
    assert.deepEqual(head.framing, { kind: 'chunked' })
    assert.ok(!head.isLast)
    const unreadable = readHead(`${start}Content-Length: +3\r\nTransfer-Encoding: chunked\r\n\r\n`)
    assert.ok(isRefusal(unreadable))
  })

  test('HTTP/1.0 knows no chunks, and closes unless asked not to', () => {
    const old = 'POST / HTTP/1.0\r\n'
    assert.ok(accepted(`${old}\r\n`).isLast)
    assert.ok(!accepted(`${old}Connection: Keep-Alive\r\n\r\n`).isLast)
    const chunked = accepted(`${old}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n`)
    assert.deepEqual(chunked.framing, { kind: 'length', bytes: 0 })
    assert.ok(!chunked.isLast)
    for (const [words, isLast] of [
      ['keep-alive Transfer-Encoding:', false],
      ['close, keep-alive', false],
      ['xkeep-alive', true],
      ['x\r\nConnection: keep-alive', true]
    ] as const) {
      assert.equal(accepted(`${old}Connection: ${words}\r\n\r\n`).isLast, isLast, words)
    }
  })

  test('the connection ends where the client says so, among other things', () => {
    assert.ok(accepted(`${start}Connection: upgrade,\tCLOSE\r\n\r\n`).isLast)
    assert.ok(!accepted(`${start}Connection: closed\r\n\r\n`).isLast)
  })

  test('an expectation that nobody can meet is told apart', () => {
    assert.ok(accepted(`${start}Expect: 100-Continue\r\n\r\n`).expectsContinue)
    assert.ok(accepted(`${start}Expect: 200-ok\r\n\r\n`).hasOddExpectation)
  })
})

/** Pieces that heads are made of, right and wrong. */
const piece = fc.constantFrom(
  'POST',
  ' ',
  '/',
  '/api/v0/pin/add',
  ' HTTP/1.1',
  ' HTTP/1.0',
  '\r\n',
  '\n',
  '\r',
  ':',
  ' ',
  '\t',
  'Host',
  'Host: x',
  'Content-Length: 3',
  'Transfer-Encoding: chunked',
  'a',
  '0',
  '\u00e9',
  '\u0000',
  ',',
  'close',
  '%2f',
  '%',
  '?'
)
const heads = fc.array(piece, { maxLength: 24 }).map(pieces => `${pieces.join('')}\r\n\r\n`)

describe('whatever comes', () => {
  test('a head is read or refused, never anything else', () => {
    fc.assert(
      fc.property(heads, text => {
        const end = endOfHead(Buffer.from(text, 'latin1'), 0)
        const head = readHead(text.slice(0, end))
        if (isRefusal(head)) return
        assert.ok(head.framing.kind === 'chunked' || Number.isSafeInteger(head.framing.bytes))
        assert.equal(head.headers.length % 2, 0)
        assert.equal(head.text, text.slice(0, end))
      }),
      { numRuns: 5_000 }
    )
  })

  test('a head ends behind its first empty line, in whatever pieces it comes', () => {
    fc.assert(
      fc.property(heads, fc.nat(40), (text, from) => {
        const bytes = Buffer.from(text, 'latin1')
        const [found = ''] = /^.*?\n\r?\n/s.exec(text) ?? []
        assert.equal(endOfHead(bytes, 0), found.length)
        // Searching on from where the bytes ended before, less what the empty line may have begun with.
        if (from < found.length) assert.equal(endOfHead(bytes, 0, Math.max(0, from - 2)), found.length)
      }),
      { numRuns: 2_000 }
    )
  })
})
