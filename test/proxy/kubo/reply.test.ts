import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { CommandAnswer, goJson, sendFailure, sendText } from '../../../proxy/kubo/answer.ts'
import { Reply } from '../../../proxy/kubo/reply.ts'
import { ClusterError } from '../../../src/errors.ts'

/** A reply on a real connection, and what its client has got when it ends. */
async function replyTo(act: (reply: Reply) => Promise<void> | void, { isOld = false, isLast = false, isRead = true } = {}) {
  const ends: boolean[] = []
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as { port: number }).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection')) as [Socket]
  let got = ''
  let isReset = false
  client.on('data', chunk => (got += chunk.toString('latin1')))
  client.on('error', () => (isReset = true))
  const onEnd = (mustClose: boolean) => {
    ends.push(mustClose)
    if (!socket.destroyed) socket.end()
  }
  await act(new Reply({ client: socket, isOld, isLast, isBodyRead: () => isRead, onEnd }))
  if (!client.closed) await once(client, 'close').catch(() => {})
  server.close()
  return { got: got.replace(/Date: [^\r]*\r\n/, ''), ends, isReset }
}

test('a whole answer: headers by name, then the length, and the connection goes on', async () => {
  const { got, ends } = await replyTo(reply =>
    reply.send(
      200,
      [
        ['Vary', 'Origin'],
        ['A', 'b']
      ],
      'xy'
    )
  )
  assert.equal(got, 'HTTP/1.1 200 OK\r\nA: b\r\nVary: Origin\r\nContent-Length: 2\r\n\r\nxy')
  assert.deepEqual(ends, [false])
})

test('bit by bit: chunks, and trailers whose text is UTF-8 without line breaks', async () => {
  const { got, ends } = await replyTo(reply => {
    reply.begin(200, [['Trailer', 'X']])
    reply.write('é')
    reply.write('')
    reply.end([['X', 'y']])
  })
  assert.equal(got, 'HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nÃ©\r\n0\r\nX: y\r\n\r\n')
  assert.deepEqual(ends, [false])
})

test('an old client gets neither chunks nor trailers, and the end of the connection', async () => {
  const act = (reply: Reply) => {
    reply.begin(200, [])
    reply.write('x')
    reply.end([['X', 'y']])
  }
  const { got, ends } = await replyTo(act, { isOld: true, isLast: true })
  assert.equal(got, 'HTTP/1.0 200 OK\r\n\r\nx')
  assert.deepEqual(ends, [true])
})

test('behind a body that nobody read nothing can follow', async () => {
  const { got, ends } = await replyTo(reply => reply.send(400, [], ''), { isRead: false })
  assert.equal(got, 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  assert.deepEqual(ends, [true])
})

test('a broken answer never looks finished', async () => {
  const begun = await replyTo(reply => {
    reply.begin(200, [])
    reply.write('x')
    reply.breakOff()
  })
  assert.ok(begun.got.endsWith('\r\n1\r\nx\r\n'), 'without the last chunk')
  const old = await replyTo(
    async reply => {
      reply.begin(200, [])
      reply.breakOff()
    },
    { isOld: true }
  )
  assert.ok(old.isReset)
})

const settings = { format: 'json', isStream: true, headers: [['Server', 'kubo/1']] } as const

test('an error before the first value is a status, and behind it a trailer', async () => {
  const early = await replyTo(reply => new CommandAnswer(reply, settings).fail(new ClusterError({ code: 'kubo_unreachable' }, 'gone')))
  assert.match(
    early.got,
    /^HTTP\/1\.1 502 Bad Gateway\r\nContent-Type: application\/json\r\nServer: kubo\/1\r\nTrailer: X-Stream-Error\r\n/
  )
  assert.match(early.got, /\r\n\r\n[0-9a-f]+\r\n\{"Message":"gone","Code":0,"Type":"error"\}\n\r\n0\r\n\r\n$/)
  const late = await replyTo(async reply => {
    const answer = new CommandAnswer(reply, settings)
    await answer.line({ a: 1 }, '')
    answer.fail(new Error('line\nbreak é'))
  })
  assert.match(late.got, /X-Chunked-Output: 1\r\n[\s\S]*\r\n\{"a":1\}\n\r\n0\r\nX-Stream-Error: line break Ã©\r\n\r\n$/)
})

test('an old client that cannot read a trailer is cut off', async () => {
  const act = async (reply: Reply) => {
    const answer = new CommandAnswer(reply, settings)
    await answer.line({ a: 1 }, '')
    answer.fail(new Error('late'))
  }
  assert.ok((await replyTo(act, { isOld: true, isLast: true })).isReset)
})

test('values of one turn leave as one chunk', async () => {
  const { got } = await replyTo(async reply => {
    const answer = new CommandAnswer(reply, { ...settings, format: 'text' })
    for (const line of ['a', 'b', 'c']) await answer.line({}, line)
    answer.end()
  })
  assert.match(got, /\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/)
})

test('JSON is written as Go writes it', () => {
  assert.equal(goJson({ a: '<&>\u2028', b: undefined }), '{"a":"\\u003c\\u0026\\u003e\\u2028"}\n')
})

test('refusals and failures of the door have the shapes of Kubo', async () => {
  const text = await replyTo(reply => sendText(reply, 403, 'no\n', [['Vary', 'Origin']]))
  assert.match(
    text.got,
    /^HTTP\/1\.1 403 Forbidden\r\nContent-Type: text\/plain; charset=utf-8\r\nVary: Origin\r\nX-Content-Type-Options: nosniff\r\n/
  )
  const failure = await replyTo(reply => sendFailure(reply, new ClusterError({ code: 'not_ready' }, 'joining')))
  assert.match(
    failure.got,
    /^HTTP\/1\.1 503 .*\r\nContent-Type: application\/json\r\n[\s\S]*\{"Message":"joining","Code":0,"Type":"error"\}\n$/
  )
})
