/** Bodies that are refused, cut, waited for or half sent. */
import { multipart, multipartType, request } from '../../../support/wire.ts'
import type { Case, Content } from '../case.ts'

export function uploadCases({ small, broken, large }: Content): readonly Case[] {
  const body = multipart({ filename: 'body', content: Buffer.alloc(40 << 10, 'body') })
  const long = Buffer.alloc(1 << 20, 'long')
  const refused = [
    ['POST /api/v0/nope', '404', []],
    ['GET /api/v0/add', '405', []],
    ['POST /api/v0/add?pin=maybe', '400', []],
    ['POST /api/v0/add', '403', ['Origin: http://evil.example']],
    ['POST /api/v0/pin/add', '403 of a pin', ['Origin: http://evil.example']],
    ['POST /api/v0/add', '400 by agent', ['User-Agent: /kubo/0.1/']],
    ['POST /api/v0', 'redirect', []]
  ] as const
  return [
    ...refused.flatMap(([line, name, headers]): Case[] => [
      {
        title: `${name} with a small body`,
        covers: ['refused upload'],
        steps: [request(line, { headers: [...headers, multipartType], body })],
        varies: ['connection']
      },
      {
        title: `${name} while a long body is still sent`,
        covers: ['answer before the upload ends', 'refused upload'],
        // 300 KiB are enough for Kubo to answer, and the rest never comes.
        steps: [
          request(line, { headers: [...headers, multipartType, `Content-Length: ${long.length}`], body: long.subarray(0, 300 << 10) })
        ],
        varies: ['connection']
      },
      {
        title: `${name} with Expect`,
        covers: ['expect'],
        steps: [request(line, { headers: [...headers, multipartType, `Content-Length: ${body.length}`, 'Expect: 100-continue'] }), body],
        varies: ['connection']
      }
    ]),
    {
      title: 'add with Expect: the 100 comes before the body',
      covers: ['expect', 'command add'],
      steps: [
        request('POST /api/v0/add?pin=false', { headers: [multipartType, `Content-Length: ${body.length}`, 'Expect: 100-continue'] }),
        { until: 'interim' },
        body
      ],
      varies: ['connection']
    },
    {
      title: 'a pinned add with Expect: the 100 comes before the body',
      covers: ['expect', 'command add'],
      steps: [
        request('POST /api/v0/add', { headers: [multipartType, `Content-Length: ${body.length}`, 'Expect: 100-continue'] }),
        { until: 'interim' },
        body
      ],
      varies: ['connection']
    },
    {
      title: 'arguments in a body with Expect',
      covers: ['expect', 'command pin/add'],
      steps: argumentsWithExpect(small),
      varies: ['connection']
    },
    {
      title: 'Expect without a body',
      covers: ['expect'],
      steps: [request('POST /api/v0/version', { headers: ['Expect: 100-continue'] })],
      varies: ['connection']
    },
    {
      title: 'a failure in the middle of an upload',
      covers: ['error in a trailer', 'answer before the upload ends', 'failed upload'],
      steps: failing('POST /api/v0/add?pin=false'),
      varies: ['connection', 'chunks']
    },
    {
      title: 'a failure in the middle of a pinned upload',
      covers: ['error in a trailer', 'answer before the upload ends', 'failed upload', 'command add'],
      steps: failing('POST /api/v0/add'),
      varies: ['connection', 'chunks']
    },
    {
      title: 'a failure in the middle of dag put',
      covers: ['error in a trailer', 'answer before the upload ends', 'command dag/put'],
      steps: [
        request('POST /api/v0/dag/put?pin=true', {
          headers: [multipartType],
          body: multipart({ content: '{"upload":1}' }, { content: 'no JSON' }, { content: '{"upload":2}' })
        })
      ],
      varies: ['connection', 'chunks']
    },
    { title: 'a trailer after bytes', covers: ['error in a trailer'], steps: [request(`POST /api/v0/cat?arg=${broken}&offline=true`)] },
    {
      title: 'a trailer after bytes to HTTP/1.0',
      covers: ['error in a trailer', 'HTTP/1.0'],
      steps: [request(`POST /api/v0/cat?arg=${broken}&offline=true`, { version: '1.0' })]
    },
    {
      title: 'a trailer after lines',
      covers: ['error in a trailer'],
      steps: [request(`POST /api/v0/refs?arg=${broken}&recursive=true&offline=true&max-depth=2`)]
    },
    {
      title: 'a trailer after an export',
      covers: ['error in a trailer', 'command dag/export'],
      steps: [request(`POST /api/v0/dag/export?arg=${broken}&offline=true&progress=false`)]
    },
    {
      title: 'a trailer after a tar',
      covers: ['error in a trailer'],
      steps: [request(`POST /api/v0/get?arg=${broken}&offline=true&archive=true`)],
      varies: ['body']
    },
    {
      title: 'a body that nobody reads',
      covers: ['unread body'],
      steps: [request(`POST /api/v0/cat?arg=${large}&length=10`, { headers: ['Content-Type: text/plain'], body: 'unread' })],
      varies: ['connection']
    },
    {
      title: 'a long body that nobody reads',
      covers: ['unread body'],
      steps: [
        request('POST /api/v0/version', {
          headers: ['Content-Type: text/plain', `Content-Length: ${long.length}`],
          body: long.subarray(0, 1_000)
        }),
        { until: 'answer' }
      ],
      varies: ['connection']
    },
    {
      title: 'a long body that nobody reads of a call that pins',
      covers: ['unread body', 'command pin/add'],
      steps: [
        request(`POST /api/v0/pin/ls?arg=${small}`, {
          headers: ['Content-Type: text/plain', `Content-Length: ${long.length}`],
          body: long.subarray(0, 1_000)
        }),
        { until: 'answer' }
      ],
      varies: ['connection']
    },
    {
      title: 'half-closed before the body was all sent',
      covers: ['half-closed'],
      steps: [
        request('POST /api/v0/add?pin=false', { headers: [multipartType, `Content-Length: ${body.length + 100}`], body }),
        { finish: true }
      ],
      varies: ['connection', 'chunks']
    }
  ]
}

function argumentsWithExpect(cid: string): Case['steps'] {
  const body = multipart({ content: `${cid}\n` })
  const head = request('POST /api/v0/pin/add', { headers: [multipartType, `Content-Length: ${body.length}`, 'Expect: 100-continue'] })
  return [head, { until: 'interim' }, body]
}

/** One good file, its line, then bytes that are no part, and as many again that never come. */
function failing(line: string): Case['steps'] {
  const good = multipart({ filename: 'good', content: 'good' }, { filename: 'second', content: 'x' })
  const start = good.subarray(0, good.lastIndexOf('\r\nContent-Type'))
  const bad = Buffer.alloc(8 << 10, 'bad header\r\n')
  return [
    request(line, { headers: [multipartType, `Content-Length: ${start.length + 4 * bad.length}`], body: start }),
    Buffer.from('\r\n'),
    bad,
    { until: 'body' },
    bad
  ]
}
