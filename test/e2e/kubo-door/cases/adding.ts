/** What brings content in: add, block/put, dag/put, dag/import, and the multipart bodies they take. */
import { chunked, multipart, multipartType, type Part, request } from '../../../support/wire.ts'
import type { Case, Content, Varies } from '../case.ts'

const timed: readonly Varies[] = ['connection']

export function addingCases({ cars, folder, node, small, blocks }: Content): readonly Case[] {
  const upload = (
    path: string,
    parts: readonly Part[],
    { varies = [], covers = [] }: { varies?: readonly Varies[]; covers?: readonly string[] } = {}
  ): Case => ({
    title: `${path} of ${parts.length} ${parts[0]?.filename ?? ''}`,
    covers: [`command ${/^[a-z]+(\/[a-z]+)?/.exec(path)?.[0]}`, ...covers],
    steps: [request(`POST /api/v0/${path}`, { headers: [multipartType], body: multipart(...parts) })],
    varies: [...timed, ...varies]
  })
  const pinned = (what: string): Case => ({
    title: `what is pinned after ${what}`,
    covers: ['command pin/ls'],
    steps: [request('POST /api/v0/pin/ls?type=recursive&names=true')]
  })
  const one = (content: string): Part[] => [{ filename: 'one', content }]
  const three: Part[] = [
    { filename: 'x', content: 'three x' },
    { filename: 'y', content: 'three y' },
    { filename: 'z', content: 'three z' }
  ]
  const directory = 'application/x-directory'
  const tree: Part[] = [
    { filename: 'tree', type: directory },
    { filename: 'tree%2Fa', content: 'tree a' },
    { filename: 'tree%2Finner', type: directory },
    { filename: 'tree%2Finner%2Fb', content: 'tree b' },
    { filename: 'tree%2Flink', type: 'application/symlink', content: 'a' }
  ]
  const form = { headers: [multipartType] }
  return [
    upload('add', one('added once')),
    upload('add', [{ content: 'without a name' }]),
    upload('add', [{ filename: '', content: 'an empty name' }]),
    upload('add', [{ filename: 'empty', content: '' }]),
    upload('add?pin-name=named', one('with a pin name')),
    upload('add?progress=true', [{ filename: 'long', content: Buffer.alloc(700 << 10, 'progress') }], { varies: ['chunks'] }),
    upload('add?quieter=true&silent=true', one('silent')),
    upload('add?only-hash=true', one('only a hash')),
    upload('add?n=1', one('only a hash, short')),
    upload('add?pin=false', one('not pinned')),
    upload('add?pin=F', one('not pinned either')),
    upload('add?pin=maybe', one('what?')),
    upload('add?cid-version=1&raw-leaves=false', one('another CID')),
    upload('add?hash=blake2b-256', one('another hash')),
    upload('add?hash=nope', one('no hash')),
    upload('add?chunker=size-1024&trickle=true', [{ filename: 'cut', content: 'chunk'.repeat(2_000) }]),
    upload('add?s=nope', one('no chunker')),
    upload('add?inline=true&inline-limit=64', one('inlined')),
    upload('add?cid-base=base36&cid-version=1', one('in another base')),
    upload('add?encoding=text', one('as text')),
    upload('add?to-files=/linked', one('linked into MFS')),
    upload('add?wrap-with-directory=true', three),
    upload('add?w=', one('wrapped alone')),
    upload('add', three, { covers: ['several roots'] }),
    upload('add', tree),
    upload('add?hidden=false', [...tree, { filename: 'tree%2F.hidden', content: 'h' }]),
    upload('add?preserve-mode=true&mode=0644&mtime=1700000000', one('with a mode')),
    upload('add', [{ filename: 'q%2Fr%2Fs.txt', content: 'parents are made' }], { covers: ['multipart parents'] }),
    upload('add', [{ filename: '..%2F..%2Fescape', content: 'names are cleaned' }], { covers: ['multipart names'] }),
    upload('add', [{ name: 'file?mode=0755&mtime=1700000000&mtime-nsecs=5', filename: 'm', content: 'mode in the field name' }], {
      covers: ['multipart mode']
    }),
    upload('add', [{ filename: 'gr%C3%B6%C3%9Fe%20%3C%26%3E', content: 'a name in UTF-8' }], { covers: ['multipart names'] }),
    upload('add?nocopy=true', [{ filename: 'f', headers: ['Abspath: /nowhere'], content: 'not in a filestore' }], {
      covers: ['multipart abspath']
    }),
    pinned('what was added'),
    {
      title: 'add of a chunked body',
      covers: ['chunked upload', 'command add'],
      steps: [
        request('POST /api/v0/add', {
          headers: [multipartType, 'Transfer-Encoding: chunked'],
          body: chunked(multipart(...one('chunked body')))
        })
      ],
      varies: ['connection']
    },
    {
      title: 'add of a chunked body in three parts with trailers',
      covers: ['chunked upload', 'command add'],
      steps: [
        request('POST /api/v0/add', {
          headers: [multipartType, 'Transfer-Encoding: chunked', 'Trailer: X-Mine'],
          body: Buffer.concat([chunked(...cut(multipart(...one('chunked in parts')))).subarray(0, -2), Buffer.from('X-Mine: yes\r\n\r\n')])
        })
      ],
      varies: ['connection']
    },
    {
      title: 'add over HTTP/1.0',
      covers: ['HTTP/1.0', 'command add'],
      steps: [request('POST /api/v0/add', { ...form, version: '1.0', body: multipart(...one('over HTTP/1.0')) })],
      varies: ['connection']
    },
    {
      title: 'add of a broken multipart body',
      covers: ['multipart broken', 'command add'],
      steps: [request('POST /api/v0/add', { ...form, body: '--the-boundary\r\nnonsense' })],
      varies: ['connection']
    },
    {
      title: 'add of a body whose end is missing',
      covers: ['multipart broken', 'command add'],
      steps: [request('POST /api/v0/add', { ...form, body: multipart(...one('cut off')).subarray(0, -20) })],
      varies: ['connection']
    },
    {
      title: 'add of a body with text around it',
      covers: ['multipart broken'],
      steps: [
        request('POST /api/v0/add', {
          ...form,
          body: Buffer.concat([Buffer.from('before\r\n'), multipart(...one('framed')), Buffer.from('behind')])
        })
      ],
      varies: ['connection']
    },
    {
      title: 'the first line comes while the body is still sent',
      covers: ['duplex', 'command add'],
      steps: duplex('POST /api/v0/add?pin=false', [
        { filename: 'first', content: 'first in duplex' },
        { filename: 'second', content: 'second' }
      ]),
      varies: ['connection', 'chunks']
    },
    {
      title: 'the first progress comes while the body of a pinned add is still sent',
      covers: ['duplex', 'command add'],
      steps: duplex('POST /api/v0/add?progress=true', [
        { filename: 'first', content: Buffer.alloc(1 << 20, 'duplex') },
        { filename: 'second', content: 'second' }
      ]),
      varies: ['connection', 'chunks']
    },
    upload('block/put', [{ content: 'a block' }]),
    upload('block/put', [{ content: 'a block' }, { content: 'another' }]),
    ...[
      'pin=true',
      'pin=',
      'pin=1',
      'pin=T',
      'pin=0',
      'pin=maybe',
      'pin=true&cid-codec=dag-pb',
      'pin=true&format=v0',
      'pin=true&mhtype=sha2-512&cid-base=base36'
    ].map(options => upload(`block/put?${options}`, [{ content: `block by ${options}` }])),
    upload('block/put?pin=true', [{ content: 'pinned one' }, { content: 'pinned two' }]),
    upload('block/put?pin=true', [{ content: Buffer.alloc((2 << 20) + 1, 'b') }]),
    upload('dag/put', [{ content: '{"a":1}' }]),
    upload('dag/put?pin=true', [{ content: '{"a":2}' }]),
    upload('dag/put?pin=true', [{ content: '{"a":3}' }, { content: '{"a":4}' }]),
    upload('dag/put?pin=true', [{ content: '{"a":5}' }, { content: 'broken' }]),
    upload('dag/put?pin=true&store-codec=dag-json&hash=sha2-512', [{ content: '{"a":6}' }]),
    upload('dag/put?pin=true&store-codec=nope', [{ content: '{"a":7}' }]),
    upload('dag/import', [{ content: cars[0] }]),
    pinned('one import'),
    upload('dag/import', [{ content: cars[0] }, { content: cars[1] }], { varies: ['lines'] }),
    upload('dag/import?stats=true', [{ content: cars[1] }]),
    upload('dag/import?pin-roots=false', [{ content: cars[1] }]),
    upload('dag/import?pin-roots=false&stats=true', [{ content: cars[0] }]),
    upload('dag/import?silent=true', [{ content: cars[0] }]),
    upload('dag/import', [{ content: 'no CAR' }]),
    upload('dag/import', [{ content: cars[0].subarray(0, 100) }]),
    upload('dag/import?local-only=true', [{ content: cars[0] }]),
    {
      title: 'dag/import of nothing to an argument',
      covers: ['command dag/import'],
      steps: [request(`POST /api/v0/dag/import?arg=${folder}`)]
    },
    { title: 'unpinning an imported root', covers: ['command pin/rm'], steps: [request(`POST /api/v0/pin/rm?arg=${folder}&arg=${node}`)] },
    pinned('everything'),
    upload('files/write?arg=/written&create=true', [{ content: 'written' }]),
    upload('cat?arg=/x', [{ content: small }]),
    upload('refs', [{ content: `${blocks[0]}\n${small}` }], { covers: ['arguments in a body'] }),
    upload('config/replace', [{ content: 'no configuration' }])
  ]
}

function cut(bytes: Buffer): Buffer[] {
  const third = Math.floor(bytes.length / 3)
  return [bytes.subarray(0, third), bytes.subarray(third, 2 * third), bytes.subarray(2 * third)]
}

/** Sends until the second file begins, waits for the first bytes of the answer, then sends the rest. */
function duplex(line: string, parts: readonly Part[]): Case['steps'] {
  const bytes = request(line, { headers: [multipartType], body: multipart(...parts) })
  const second = bytes.lastIndexOf('second') - 1
  return [bytes.subarray(0, second), { until: 'body' }, bytes.subarray(second)]
}
