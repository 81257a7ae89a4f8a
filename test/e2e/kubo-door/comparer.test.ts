/** The comparer can fail: two Kubos are the same to it, and a Kubo behind a relay that breaks one thing is not. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Relay, type RelayChanges } from '../../support/breaking-relay.ts'
import { TestKubo } from '../../support/kubo.ts'
import { type Case, type Content, fill } from './case.ts'
import { allCases, ask } from './differential.ts'

describe('the comparer', () => {
  let kubo: TestKubo
  let twin: TestKubo
  let content: Content
  const owned = new AsyncDisposableStack()
  before(async () => {
    kubo = owned.use(await TestKubo.prepare())
    twin = owned.use(await TestKubo.prepare({ like: kubo }))
    await Promise.all([kubo.run(), twin.run()])
    content = await fill(kubo)
    await fill(twin)
  })
  after(() => owned.disposeAsync())

  async function fieldsThat(title: string, changes: RelayChanges): Promise<readonly string[]> {
    await using relay = await Relay.start(twin.rpc, changes)
    const one = allCases(content).find(one => one.title === title) as Case
    assert.ok(one, `there is a case ${title}`)
    const found = await ask(one, { where: kubo.rpc, kubo }, { where: relay.port, kubo: twin }, 3_000)
    return found.map(({ field }) => field)
  }
  const replacing = (from: string | RegExp, to: string) => (bytes: Buffer) =>
    Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1')

  test('a relay that changes nothing is not noticed', async () => {
    for (const title of ['version', 'a trailer after bytes', 'pipelined requests', 'CONNECT', 'HTTP/1.0'])
      assert.deepEqual(await fieldsThat(title, {}), [], title)
  })

  const breaks: readonly (readonly [what: string, title: string, field: string, changes: RelayChanges])[] = [
    [
      'a door that drops trailers',
      'a trailer after bytes',
      'trailers',
      { toClient: replacing(/0\r\nX-Stream-Error: [^\r]*\r\n\r\n/, '0\r\n\r\n') }
    ],
    [
      'a door that routes in lower case',
      'POST /api/v0/PIN/add',
      'status',
      {
        toServer: bytes =>
          Buffer.from(
            bytes.toString('latin1').replace(/ \S+ HTTP/, path => path.toLowerCase().replace('http', 'HTTP')),
            'latin1'
          )
      }
    ],
    ['a lower-case header', 'version', 'header Vary', { toClient: replacing('Vary:', 'vary:') }],
    ['headers in another order', 'version', 'header order', { toClient: replacing(/(Vary: Origin\r\n)(Date: [^\r]*\r\n)/, '$2$1') }],
    ['a header of its own', 'version', 'header Via', { toClient: replacing('Vary:', 'Via: 1.1 door\r\nVary:') }],
    ['another reason', 'GET of a command', 'status', { toClient: replacing('Method Not Allowed', 'Not Allowed') }],
    ['one byte of a body', 'version', 'body', { toClient: replacing('Commit', 'commit') }],
    ['chunks that are joined', 'cat of 600 KiB', 'chunks', { toClient: joiningChunks() }],
    ['a connection that is not kept', 'version', 'end', { toClient: replacing(/^HTTP\/1.1 204[\s\S]*/, '') }],
    ['a cut answer', 'version', 'answers', { toClient: replacing('0\r\n\r\n', '') }]
  ]
  for (const [what, title, field, changes] of breaks) {
    test(`notices ${what}`, async () => {
      assert.ok((await fieldsThat(title, changes)).includes(field))
    })
  }
})

/** Holds everything back until the last chunk, and makes one of the first two. */
function joiningChunks(): (bytes: Buffer) => Buffer {
  let held = ''
  return bytes => {
    held += bytes.toString('latin1')
    if (!held.endsWith('0\r\n\r\n')) return Buffer.alloc(0)
    return Buffer.from(held.replace(/1000\r\n([\s\S]{4096})\r\n1000\r\n/, '2000\r\n$1'), 'latin1')
  }
}
