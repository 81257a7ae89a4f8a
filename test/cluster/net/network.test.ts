/** Calls, messages and who may make them, between real libp2p nodes. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { parseMultiaddr } from '../../../src/codec.ts'
import { ClusterError, isFault } from '../../../src/errors.ts'
import { openLog } from '../../../src/log.ts'
import { introduce, memberOf, openNetwork, placeOf, secret } from '../../support/network.ts'
import { until } from '../../support/until.ts'

const bytes = (text: string) => Buffer.from(text)
const nothing = new Uint8Array()

test('members call each other, a thousand calls at once, both ways', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  introduce(a, b)
  for (const [from, to] of [
    [a, b],
    [b, a]
  ] as const) {
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, index) => from.call(to.self, 'echo', bytes(`n${index}`))))
    assert.ok(answers.every((answer, index) => Buffer.from(answer).toString() === `n${index}`))
  }
})

test('calls of several megabytes arrive whole, again and again', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  introduce(a, b)
  const large = randomBytes(3 << 20)
  for (let round = 0; round < 20; round++) assert.deepEqual(Buffer.from(await b.call(a.self, 'echo', large)), large)
  assert.deepEqual(Buffer.from(await b.call(a.self, 'echo', bytes('small'))), bytes('small'))
})

test('what does not fit into a frame is refused on both sides, and the link goes on', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  introduce(a, b)
  b.handle('huge', async () => Buffer.alloc(17 << 20))
  await assert.rejects(
    a.call(b.self, 'echo', Buffer.alloc(17 << 20)),
    error => isFault(error, 'invalid') && /too large/.test(error.message)
  )
  await assert.rejects(a.call(b.self, 'huge', nothing), error => isFault(error, 'refused') && /17825792 bytes/.test(error.message))
  assert.equal(a.send(b.self, 'numbers', Buffer.alloc(17 << 20)), false)
  await a.call(b.self, 'echo', nothing)
})

test('a heartbeat does not wait behind large calls', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  introduce(a, b)
  const heard: number[] = []
  b.receive('beat', () => heard.push(callsDone))
  let callsDone = 0
  await until('a link', () => a.isConnected(b.self))
  const calls = Array.from({ length: 4 }, () => a.call(b.self, 'echo', Buffer.alloc(8 << 20)).then(() => callsDone++))
  assert.equal(a.send(b.self, 'beat', bytes('!')), true)
  await Promise.all(calls.map(call => call.catch(error => assert.ok(isFault(error, 'overloaded')))))
  assert.deepEqual(heard, [0])
})

test('messages arrive in order', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  introduce(a, b)
  const seen: number[] = []
  b.receive('numbers', (_from, payload) => seen.push(Buffer.from(payload).readUInt32BE()))
  await until('a link', () => a.isConnected(b.self))
  for (let index = 0; index < 2_000; index++) {
    const payload = Buffer.alloc(4)
    payload.writeUInt32BE(index)
    assert.ok(a.send(b.self, 'numbers', payload))
  }
  await until('all messages', () => seen.length === 2_000)
  assert.deepEqual(
    seen,
    seen.toSorted((x, y) => x - y)
  )
  assert.equal(a.send(a.self, 'numbers', nothing), false)
})

test('a fault arrives as the fault it was, a bug over there as an error with its message', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  introduce(a, b)
  b.handle('bug', () => {
    throw new TypeError('a bug')
  })
  b.handle('late', async () => {
    throw new DOMException('took too long', 'TimeoutError')
  })
  const isTooFew = (error: unknown) => isFault(error, 'not_enough_peers') && error.fault.wanted === 3 && error.message === 'too few'
  await assert.rejects(a.call(b.self, 'fail', nothing), isTooFew)
  await assert.rejects(a.call(b.self, 'late', nothing), error => isFault(error, 'timeout'))
  await assert.rejects(a.call(b.self, 'nothing', nothing), error => isFault(error, 'not_ready'))
  await assert.rejects(a.call(b.self, 'bug', nothing), error => !(error instanceof ClusterError) && /a bug/.test(String(error)))
})

test('an abort reaches the handler, and only its own call ends', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  const told = Promise.withResolvers<unknown>()
  b.handle('slow', (_from, _payload, { signal }) => {
    const { promise, reject } = Promise.withResolvers<never>()
    signal.addEventListener('abort', () => {
      told.resolve(signal.reason)
      reject(signal.reason)
    })
    return promise
  })
  introduce(a, b)
  const stop = new AbortController()
  const call = a.call(b.self, 'slow', nothing, { signal: stop.signal })
  await a.call(b.self, 'echo', nothing)
  stop.abort(new Error('changed my mind'))
  await assert.rejects(call, /changed my mind/)
  assert.match(String(await told.promise), /gave up/)
  await a.call(b.self, 'echo', nothing)
  await assert.rejects(a.call(b.self, 'echo', nothing, { signal: stop.signal }), /changed my mind/)
})

test('a thousand calls may share one signal', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  introduce(a, b)
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => warnings.push(message)
  process.on('warning', onWarning)
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 1_000 }, () => a.call(b.self, 'echo', nothing, { signal })))
  process.off('warning', onWarning)
  assert.deepEqual(warnings, [])
})

test('a peer that is not a member is served only what is open, and a removed one no more than that', async () => {
  await using a = await openNetwork()
  await using guest = await openNetwork({ name: 'guest' })
  const heard: string[] = []
  a.receive('news', (_from, payload) => heard.push(Buffer.from(payload).toString()))
  assert.equal(await guest.dialAny(placeOf(a).bare), a.self)
  assert.equal(Buffer.from(await guest.call(a.self, 'open', bytes('!'))).toString(), `${guest.self}!`)
  await assert.rejects(guest.call(a.self, 'echo', nothing), error => isFault(error, 'not_a_member'))
  await assert.rejects(guest.call(a.self, 'nothing', nothing), error => isFault(error, 'not_a_member'))
  guest.send(a.self, 'news', bytes('not heard'))
  // What was sent before it on the same connection has arrived when a call is answered.
  await guest.call(a.self, 'open', nothing)

  a.setMembers([memberOf(guest)])
  await guest.call(a.self, 'echo', nothing)
  guest.send(a.self, 'news', bytes('heard'))
  await until('the message of a member', () => heard.length > 0)
  await until('a link back', () => a.isConnected(guest.self))

  a.setMembers([])
  assert.equal(a.isConnected(guest.self), false)
  await until('the link is closed', () => !guest.isConnected(a.self))
  await assert.rejects(guest.call(a.self, 'echo', nothing), error => isFault(error, 'not_a_member'))
  guest.send(a.self, 'news', bytes('not heard either'))
  await guest.call(a.self, 'open', nothing)
  assert.deepEqual(heard, ['heard'])
})

test('a call that is under way ends when its caller is removed, on both sides', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  const cancelled = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  b.handle('never', (_from, _payload, { signal }) => {
    begun.resolve()
    signal.addEventListener('abort', () => cancelled.resolve())
    return new Promise(() => {})
  })
  introduce(a, b)
  const call = a.call(b.self, 'never', nothing)
  await begun.promise
  b.setMembers([])
  await assert.rejects(call, error => isFault(error, 'peer_unreachable'))
  await cancelled.promise
})

test('a stranger cannot send large frames', async () => {
  await using a = await openNetwork()
  await using guest = await openNetwork()
  await guest.dialAny(placeOf(a).address)
  await guest.call(a.self, 'open', Buffer.alloc(60 << 10))
  await assert.rejects(guest.call(a.self, 'open', Buffer.alloc(70 << 10)), error => isFault(error, 'peer_unreachable'))
})

test('peers of two clusters with one secret refuse each other, whichever of them calls', async () => {
  await using a = await openNetwork({ cluster: 'one' })
  await using b = await openNetwork({ cluster: 'two' })
  introduce(a, b)
  const isWrong = (error: unknown) => isFault(error, 'wrong_cluster') && /belongs to cluster/.test(error.message)
  await assert.rejects(a.call(b.self, 'echo', nothing), isWrong)
  await assert.rejects(b.call(a.self, 'open', nothing), isWrong)
  assert.equal(a.send(b.self, 'news', nothing), false)
})

test('a newcomer without a cluster may ask, and its links are judged again when it has joined one', async () => {
  await using a = await openNetwork({ cluster: 'one' })
  await using b = await openNetwork({ cluster: 'one' })
  await using newcomer = await openNetwork()
  introduce(a, b, newcomer)
  await newcomer.call(a.self, 'echo', nothing)
  newcomer.setClusterId('one')
  await newcomer.call(a.self, 'echo', nothing)
  await a.call(newcomer.self, 'echo', nothing)

  await using astray = await openNetwork()
  introduce(a, b, newcomer, astray)
  await a.call(astray.self, 'echo', nothing)
  astray.setClusterId('two')
  await until('it is left alone', () => !a.isConnected(astray.self) && !astray.isConnected(a.self))
  await assert.rejects(a.call(astray.self, 'echo', nothing), error => isFault(error, 'wrong_cluster') || isFault(error, 'peer_unreachable'))
})

test('a peer that stops fails the calls to it, and may be stopped twice', async () => {
  await using a = await openNetwork()
  const b = await openNetwork()
  b.handle('never', () => new Promise(() => {}))
  introduce(a, b)
  const call = a.call(b.self, 'never', nothing)
  const mine = assert.rejects(call, error => isFault(error, 'peer_unreachable') && /does not answer/.test(error.message))
  await a.call(b.self, 'echo', nothing)
  await b[Symbol.asyncDispose]()
  await b[Symbol.asyncDispose]()
  await mine
  await assert.rejects(b.call(a.self, 'echo', nothing), error => isFault(error, 'peer_unreachable'))
})

test('neither the secret nor the key gets into the log', async () => {
  const lines: string[] = []
  const log = openLog({ level: 'debug', name: 'test' }, { write: line => lines.push(line) })
  {
    await using a = await openNetwork({ log })
    await using b = await openNetwork({ log, secret: randomBytes(32) })
    await assert.rejects(b.dialAny(parseMultiaddr(placeOf(a).address)))
    await using c = await openNetwork({ log })
    introduce(a, c)
    await a.call(c.self, 'echo', nothing)
  }
  const text = lines.join('')
  assert.match(text, /peer linked/)
  assert.doesNotMatch(text, new RegExp(`${secret.toString('hex')}|private|\\b7,7,7,7`, 'i'))
})
