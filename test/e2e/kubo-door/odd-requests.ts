/**
 * Streams of requests at random, valid ones and broken ones, for showing that two readers find the same requests in them. Most are one call that the
 * cluster answers, as it is the one that must not get past the door.
 */
import fc from 'fast-check'

/** The call in whose answer Kubo and the cluster differ. */
const listing = '/api/v0/pin/ls?type=direct'
const methods = ['POST', 'POST', 'POST', 'GET', 'OPTIONS', 'PUT', 'PRI', 'post', 'P,ST', '']
const targets = [
  listing,
  listing,
  '/api/v0/pin%2Fls?type=direct',
  '/api/v0/version',
  '/api/v0/nope',
  '/version',
  `http://x${listing}`,
  '*',
  'x',
  '/api/v0/%zz',
  '/a b'
]
const versions = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1', 'HTTP/1.1 ', '']
const lineEnds = ['\r\n', '\r\n', '\r\n', '\n', '\r']
const lengths = ['0', '5', '3', '05', '+5', '-1', '0x5', '5, 5', '5,6', '', ' 5 ', '5 5', '99999999999999999999', 'five']
const codings = [
  'chunked',
  'Chunked',
  'chunked, chunked',
  'gzip, chunked',
  'chunked, gzip',
  'identity',
  'x',
  '',
  ' chunked',
  'chunked\t',
  '"chunked"',
  'chunked;q=1',
  '\x0bchunked'
]
const lengthNames = ['Content-Length', 'content-length', 'Content-Length ', 'Content_Length', ' Content-Length', 'Content-\tLength']
const codingNames = [
  'Transfer-Encoding',
  'transfer-encoding',
  'Transfer-Encoding ',
  'Transfer_Encoding',
  '\tTransfer-Encoding',
  'Transfer-Encoding\x00'
]
const otherHeaders = [
  'Host: kubo',
  'Host: other',
  'Host:',
  'Host : kubo',
  'Host: a b',
  'X-A: b',
  'X-A:b\r\n c',
  'X-A: b\rHost: x',
  'X-A: \x00',
  'X-A: \x7f',
  'X-A: \xe4',
  'X-\xe4: a',
  ': empty',
  'no colon',
  '"quoted": a',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: x close',
  'Connection: Content-Length',
  'Connection: Transfer-Encoding',
  'Expect: 100-continue',
  'Expect: else',
  'Expect: else 100-continue',
  'Upgrade: h2c',
  'Trailer: Content-Length',
  'Content-Type: text/plain',
  'Origin: http://evil.example'
]
const hidden = `POST ${listing} HTTP/1.1\r\nHost: hidden\r\nContent-Length: 0\r\n\r\n`
const bodies = [
  '',
  'hello',
  hidden,
  '5\r\nhello\r\n0\r\n\r\n',
  '0\r\n\r\n',
  '5;name=value\r\nhello\r\n0\r\nX-Trailer: a\r\n\r\n',
  '05\r\nhello\r\n000\r\n\r\n',
  '5\nhello\n0\n\n',
  '0x5\r\nhello\r\n0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  '+5\r\nhello\r\n0\r\n\r\n',
  '-1\r\nhello\r\n0\r\n\r\n',
  '6\r\nhello\r\n0\r\n\r\n',
  '4\r\nhello\r\n0\r\n\r\n',
  'ffffffffffffffffff\r\nhello\r\n0\r\n\r\n',
  '10000000000000005\r\nhello\r\n0\r\n\r\n',
  '5\r\nhelloX\r\n0\r\n\r\n',
  '5\rhello\r\n0\r\n\r\n',
  '5;a\nhello\r\n0\r\n\r\n',
  '0\r\nContent-Length: 5\r\n\r\nhello',
  '0\r\nno colon\r\n\r\n',
  '0\r\n\n',
  `0\r\n\r\n${hidden}`,
  `0\n\n${hidden}`,
  `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`
]

const pick = <T>(from: readonly T[]) => fc.constantFrom(...from)

const header = fc.oneof(
  { weight: 3, arbitrary: pick(otherHeaders) },
  { weight: 2, arbitrary: fc.tuple(pick(lengthNames), pick(lengths)).map(([name, value]) => `${name}: ${value}`) },
  { weight: 2, arbitrary: fc.tuple(pick(codingNames), pick(codings)).map(([name, value]) => `${name}: ${value}`) }
)

const plainRequest = fc
  .record({
    target: pick(targets.slice(0, 4)),
    headers: fc.array(pick(['X-A: b', 'Content-Type: text/plain', 'Accept: */*']), { maxLength: 2 }),
    body: pick(['none', 'length', 'chunked'] as const)
  })
  .map(({ target, headers, body }) => {
    const framing = { none: '', length: 'Content-Length: 5\r\n', chunked: 'Transfer-Encoding: chunked\r\n' }[body]
    const content = { none: '', length: 'hello', chunked: '5\r\nhello\r\n0\r\n\r\n' }[body]
    return `POST ${target} HTTP/1.1\r\nHost: kubo\r\n${headers.map(line => `${line}\r\n`).join('')}${framing}\r\n${content}`
  })

const oddRequest = fc
  .record({
    method: pick(methods),
    target: pick(targets),
    version: pick(versions),
    headers: fc.array(header, { maxLength: 4 }),
    lineEnd: pick(lineEnds),
    body: pick(bodies),
    hasHost: fc.boolean()
  })
  .map(({ method, target, version, headers, lineEnd, body, hasHost }) =>
    [`${method} ${target} ${version}`, ...(hasHost ? ['Host: kubo'] : []), ...headers, '', body].join(lineEnd)
  )

/** One byte more, or one less. */
function bent(text: fc.Arbitrary<string>, inserts: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(text, fc.nat(), pick(inserts))
    .map(([text, at, insert]) => text.slice(0, at % text.length) + insert + text.slice((at % text.length) + (insert === '' ? 1 : 0)))
}

/** Some requests, one behind the other, and where the bytes are cut in pieces. */
export const streams = fc.record({
  text: fc
    .array(
      fc.oneof(
        { weight: 2, arbitrary: plainRequest },
        { weight: 3, arbitrary: oddRequest },
        { weight: 2, arbitrary: bent(plainRequest, ['\r', '\n', ' ', '\t', '\0', ':', '', '0', '\xff']) }
      ),
      { minLength: 1, maxLength: 3 }
    )
    .map(requests => requests.join('')),
  cuts: fc.array(fc.nat(2_000), { maxLength: 3 })
})

/** Each sign as it is, or percent-encoded. */
const encoded = (text: string) =>
  fc
    .array(fc.integer({ min: 0, max: 9 }), { minLength: text.length, maxLength: text.length })
    .map(dice => [...text].map((sign, at) => (dice[at] === 0 ? `%${sign.charCodeAt(0).toString(16)}` : sign)).join(''))
const options = pick([
  'type=direct',
  't=direct',
  'type=d%69rect',
  'typ%65=direct',
  'type=direct;a',
  'type=direct&names',
  'type=direct&stream=true',
  'type=direct&s',
  'type=direct&encoding=text',
  'type=direct&enc=xml',
  'type=direct&timeout=5s',
  'type=direct&timeout=x',
  'type=direct&cid-base=base32',
  'type=direct&type=direct',
  'type=direct&quiet=maybe',
  'type=direct&arg',
  'type=direct&x=%zz',
  '+type=direct',
  'type=direct#&x',
  'type=all',
  ''
])
const path = fc
  .tuple(
    pick(['', '', 'http://x', 'http:', 'HTTP://[::1]:80', '//x', 'x:', '.']),
    encoded('/api/v0/pin/ls'),
    pick(['', '', '/', '/x', '//', '/.', '?', '%3F', '#'])
  )
  .map(parts => parts.join(''))

/** Ways to write the one call: what is one to Kubo must be one to the door. */
export const listings = fc
  .tuple(
    fc.oneof(
      { weight: 2, arbitrary: path },
      { weight: 1, arbitrary: bent(path, ['/', '.', '%', '%2f', '%00', '\t', '\xe4', '', '+', ';', '\\']) }
    ),
    options
  )
  .map(([path, query]) => `POST ${path}?${query} HTTP/1.1\r\nHost: kubo\r\nContent-Length: 0\r\n\r\n`)
