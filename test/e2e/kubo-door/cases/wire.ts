/** Methods, versions, framing, heads, and the paths beside the API. */
import { chunked, multipart, multipartType, request } from '../../../support/wire.ts'
import type { Case, Content } from '../case.ts'

const version = 'POST /api/v0/version'

export function wireCases({ small, blocks, large }: Content): readonly Case[] {
  const manyWords = Array.from({ length: 250 }, () => `arg=${small}`).join('&')
  return [
    { title: 'version', covers: ['single value', 'command rest'], steps: [request(version)] },
    {
      title: 'version with a query that nobody knows',
      covers: ['unknown options'],
      steps: [request(`${version}?metadata=1&preload=false`)]
    },
    { title: 'HTTP/1.0', covers: ['HTTP/1.0'], steps: [request(version, { version: '1.0' })] },
    {
      title: 'HTTP/1.0 with keep-alive',
      covers: ['HTTP/1.0'],
      steps: [request(version, { version: '1.0', headers: ['Connection: keep-alive'] })]
    },
    ...(
      [
        ['close, keep-alive', 2],
        ['keep-alive x', 2],
        ['x\r\nConnection: keep-alive', 1]
      ] as const
    ).map(
      ([words, answers]): Case => ({
        title: `HTTP/1.0 with ${JSON.stringify(words)}, and a request behind it`,
        covers: ['HTTP/1.0'],
        answers,
        steps: [
          request('GET /api/v0/nope', { version: '1.0', headers: [`Connection: ${words}`] }),
          request(version, { headers: ['Connection: close'] })
        ]
      })
    ),
    {
      title: 'HTTP/1.0 of bytes',
      covers: ['HTTP/1.0'],
      steps: [request(`POST /api/v0/cat?arg=${small}`, { version: '1.0' })]
    },
    {
      title: 'HTTP/1.0 to a call that pins',
      covers: ['HTTP/1.0', 'command pin/add'],
      steps: [request(`POST /api/v0/pin/add?arg=${blocks[0]}`, { version: '1.0' })]
    },
    {
      title: 'HTTP/1.0 to a stream that pins',
      covers: ['HTTP/1.0', 'command add'],
      steps: [request('POST /api/v0/pin/ls?type=direct&stream=true', { version: '1.0' })]
    },
    {
      title: 'Upgrade to h2c is ignored',
      covers: ['upgrade'],
      steps: [request(version, { headers: ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'] })]
    },
    {
      title: 'Upgrade to websocket is ignored',
      covers: ['upgrade'],
      steps: [
        request(version, {
          headers: ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==']
        })
      ]
    },
    { title: 'nothing is compressed', covers: ['no compression'], steps: [request(version, { headers: ['Accept-Encoding: gzip, br'] })] },
    { title: 'Connection: close', covers: ['close'], steps: [request(version, { headers: ['Connection: close'] })] },
    {
      title: 'a second and a third request on one connection',
      covers: ['keep-alive'],
      answers: 3,
      steps: [request(version), { until: 'answer' }, request(`POST /api/v0/pin/ls?arg=${small}`), request(version)]
    },
    {
      title: 'pipelined requests',
      covers: ['pipelined'],
      answers: 4,
      steps: [Buffer.concat([request(version), request('GET /api/v0/version'), request(`POST /api/v0/cat?arg=${small}`), request(version)])]
    },
    {
      title: 'a pipelined pin between passed calls',
      covers: ['pipelined', 'command pin/add'],
      answers: 3,
      steps: [Buffer.concat([request(version), request(`POST /api/v0/pin/add?arg=${blocks[1]}`), request(`POST /api/v0/cat?arg=${small}`)])]
    },
    {
      title: 'pipelined pins',
      covers: ['pipelined', 'command pin/rm'],
      answers: 3,
      steps: [
        Buffer.concat([
          request(`POST /api/v0/pin/add?arg=${blocks[2]}`),
          request(`POST /api/v0/pin/rm?arg=${blocks[2]}`),
          request(`POST /api/v0/pin/ls?arg=${blocks[2]}`)
        ])
      ]
    },
    { title: 'no Content-Length at all', covers: ['empty post'], steps: [`${version} HTTP/1.1\r\nHost: kubo\r\n\r\n`] },
    {
      title: 'a pin without Content-Length',
      covers: ['empty post'],
      steps: [`POST /api/v0/pin/ls?arg=${small} HTTP/1.1\r\nHost: kubo\r\n\r\n`]
    },
    {
      title: 'an empty chunked body',
      covers: ['empty post'],
      steps: [request(version, { headers: ['Transfer-Encoding: chunked'], body: chunked() })],
      varies: ['connection']
    },
    { title: 'a head in single bytes', covers: ['split heads'], steps: [...request(version)].map(byte => Buffer.from([byte])) },
    {
      title: 'a head cut inside its line ends',
      covers: ['split heads'],
      steps: [`${version} HTTP/1.1\r`, '\nHost: kubo\r\nContent-Length: 0\r\n\r', '\n']
    },
    { title: 'bare line feeds', covers: ['odd heads'], steps: [`${version} HTTP/1.1\nHost: kubo\nContent-Length: 0\n\n`] },
    { title: 'an empty line before the request', covers: ['odd heads'], steps: [`\r\n${version} HTTP/1.1\r\nHost: kubo\r\n\r\n`] },
    { title: 'no Host', covers: ['odd heads'], steps: [`${version} HTTP/1.1\r\n\r\n`] },
    { title: 'two Hosts', covers: ['odd heads'], steps: [`${version} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`] },
    { title: 'no Host with HTTP/1.0', covers: ['odd heads'], steps: [`${version} HTTP/1.0\r\n\r\n`] },
    { title: 'HTTP/2.0 in the request line', covers: ['odd heads'], steps: [`${version} HTTP/2.0\r\nHost: kubo\r\n\r\n`] },
    { title: 'HTTP/1.2 in the request line', covers: ['odd heads'], steps: [`${version} HTTP/1.2\r\nHost: kubo\r\n\r\n`] },
    { title: 'no version in the request line', covers: ['odd heads'], steps: [`${version}\r\nHost: kubo\r\n\r\n`] },
    { title: 'not HTTP at all', covers: ['odd heads'], steps: ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n'] },
    { title: 'a header without a colon', covers: ['odd heads'], steps: [`${version} HTTP/1.1\r\nHost: kubo\r\nnonsense\r\n\r\n`] },
    {
      title: 'a space before the colon',
      covers: ['odd heads', 'smuggling'],
      steps: [`${version} HTTP/1.1\r\nHost: kubo\r\nContent-Length : 0\r\n\r\n`]
    },
    {
      title: 'a folded header',
      covers: ['odd heads', 'smuggling'],
      steps: [`${version} HTTP/1.1\r\nHost: kubo\r\nX-Folded: a\r\n b\r\n\r\n`]
    },
    {
      title: 'two different lengths',
      covers: ['smuggling'],
      steps: [`${version} HTTP/1.1\r\nHost: kubo\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`]
    },
    {
      title: 'two equal lengths',
      covers: ['smuggling'],
      steps: [`${version} HTTP/1.1\r\nHost: kubo\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n`]
    },
    { title: 'a length with a sign', covers: ['smuggling'], steps: [`${version} HTTP/1.1\r\nHost: kubo\r\nContent-Length: +1\r\n\r\na`] },
    {
      title: 'a length that is no number',
      covers: ['smuggling'],
      steps: [`${version} HTTP/1.1\r\nHost: kubo\r\nContent-Length: many\r\n\r\n`]
    },
    {
      title: 'length and chunked together',
      covers: ['smuggling'],
      steps: [request(version, { headers: ['Content-Length: 4', 'Transfer-Encoding: chunked'], body: chunked('a') })],
      varies: ['connection']
    },
    {
      title: 'length and chunked together, a body that is read, and a request behind it',
      covers: ['smuggling'],
      answers: 2,
      steps: [
        request('POST /api/v0/add?only-hash=true', {
          headers: ['Content-Length: 4', 'Transfer-Encoding: chunked', multipartType],
          body: chunked(multipart({ filename: 'a', content: 'a' }))
        }),
        request(version)
      ]
    },
    {
      title: 'an unknown transfer coding',
      covers: ['smuggling'],
      steps: [request(version, { headers: ['Transfer-Encoding: gzip'], body: '' })]
    },
    {
      title: 'chunked twice',
      covers: ['smuggling'],
      steps: [request(version, { headers: ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], body: chunked('a') })]
    },
    {
      title: 'chunked in a list',
      covers: ['smuggling'],
      steps: [request(version, { headers: ['Transfer-Encoding: identity, chunked'], body: chunked('a') })]
    },
    {
      title: 'Chunked in capitals',
      covers: ['smuggling'],
      steps: [request(version, { headers: ['Transfer-Encoding: CHUNKED'], body: chunked() })],
      varies: ['connection']
    },
    {
      title: 'a broken chunk size',
      covers: ['smuggling'],
      steps: [request(version, { headers: ['Transfer-Encoding: chunked'], body: 'zz\r\nabc\r\n0\r\n\r\n' })],
      varies: ['connection']
    },
    {
      title: 'a length on an intercepted call with another request behind it',
      covers: ['smuggling', 'command pin/ls'],
      answers: 2,
      steps: [Buffer.concat([request(`POST /api/v0/pin/ls?arg=${small}`), request(version)])]
    },
    {
      title: '60 kB of arguments',
      covers: ['long heads'],
      steps: [request(`POST /api/v0/refs?${Array.from({ length: 1_200 }, () => `arg=${small}`).join('&')}`)]
    },
    { title: '250 CIDs to pin ls', covers: ['long heads', 'command pin/ls'], steps: [request(`POST /api/v0/pin/ls?${manyWords}`)] },
    {
      title: '900 kB of head',
      covers: ['long heads'],
      steps: [request(version, { headers: Array.from({ length: 9 }, (_, number) => `X-Long-${number}: ${'x'.repeat(100_000)}`) })]
    },
    {
      title: '1.2 MB of head',
      covers: ['long heads'],
      steps: [request(version, { headers: Array.from({ length: 12 }, (_, number) => `X-Long-${number}: ${'x'.repeat(100_000)}`) })]
    },
    {
      title: '5,000 headers',
      covers: ['long heads'],
      steps: [request(version, { headers: Array.from({ length: 5_000 }, (_, number) => `X-${number}: a`) })]
    },
    {
      title: 'raw UTF-8 in the request line',
      covers: ['raw UTF-8'],
      steps: [`${version}?name=größe HTTP/1.1\r\nHost: kubo\r\n\r\n`]
    },
    {
      title: 'raw UTF-8 in a pin name',
      covers: ['raw UTF-8', 'command pin/add'],
      steps: [`POST /api/v0/pin/add?arg=${blocks[3]}&name=größe HTTP/1.1\r\nHost: kubo\r\n\r\n`]
    },
    {
      title: 'an absolute URL in the request line',
      covers: ['odd heads'],
      steps: [`POST http://somewhere/api/v0/version HTTP/1.1\r\nHost: kubo\r\n\r\n`]
    },
    {
      title: 'an absolute URL of a call that pins',
      covers: ['odd heads', 'decoded before routing'],
      steps: [`POST http://somewhere/api/v0/pin/add?arg=${blocks[4]} HTTP/1.1\r\nHost: kubo\r\n\r\n`]
    },
    {
      title: 'half-closed after the request',
      covers: ['half-closed'],
      steps: [request(version), { finish: true }],
      varies: ['connection']
    },
    ...['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'BREW', 'get'].map(
      (method): Case => ({
        title: `${method} of a command`,
        covers: ['methods'],
        isHead: method === 'HEAD',
        steps: [request(`${method} /api/v0/version`)]
      })
    ),
    ...['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'].map(
      (method): Case => ({
        title: `${method} of a call that pins`,
        covers: ['same gate', 'methods', 'command pin/rm'],
        isHead: method === 'HEAD',
        steps: [request(`${method} /api/v0/pin/rm?arg=${small}`)]
      })
    ),
    { title: 'OPTIONS', covers: ['methods'], steps: [request('OPTIONS /api/v0/version')] },
    { title: 'OPTIONS *', covers: ['methods'], steps: [request('OPTIONS *')] },
    { title: 'CONNECT', covers: ['CONNECT'], isHead: true, steps: [request('CONNECT example.org:443')] },
    {
      title: 'a PUT with a body to a call that pins',
      covers: ['methods', 'same gate'],
      steps: [request(`PUT /api/v0/pin/add?arg=${small}`, { body: 'body' })],
      varies: ['connection']
    },
    ...[
      '/',
      '/webui',
      '/webui/',
      '/version',
      '/nope',
      '/api',
      '/api/',
      '/api/v1/version',
      '/favicon.ico',
      '/debug/vars',
      '/debug/metrics/prometheus',
      '/debug/stack',
      '/debug/pprof/',
      '/debug/pprof/cmdline',
      `/ipfs/${small}`
    ].map(
      (path): Case => ({
        title: `GET ${path}`,
        covers: ['beside the API'],
        steps: [request(`GET ${path}`)],
        ...(/debug/.test(path) ? { varies: ['body', 'chunks', 'header Content-Length'] } : {})
      })
    ),
    { title: 'HEAD /webui', covers: ['beside the API'], isHead: true, steps: [request('HEAD /webui')] },
    { title: 'GET of a POST-only page', covers: ['beside the API'], steps: [request('GET /debug/pprof-mutex/')] },
    { title: 'POST of a POST-only page', covers: ['beside the API'], steps: [request('POST /debug/pprof-mutex/?fraction=0')] },
    {
      title: 'an endless stream',
      covers: ['endless'],
      steps: [request('POST /api/v0/stats/bw?poll=true&interval=1h')],
      leaveAfter: 'body',
      varies: ['body']
    },
    { title: 'cat of 600 KiB', covers: ['bytes'], steps: [request(`POST /api/v0/cat?arg=${large}`)] }
  ]
}
