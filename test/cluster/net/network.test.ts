/** Real libp2p nodes on loopback. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createIdentity, formatIdentity, parseIdentity } from '../../../cluster/net/identity.ts'
import { Network } from '../../../cluster/net/network.ts'
import { Keystream } from '../../../cluster/net/protector.ts'
import { systemClock } from '../../../src/clock.ts'
import { parseMultiaddr } from '../../../src/codec.ts'
import { ClusterError, isFault } from '../../../src/errors.ts'
import { openLog } from '../../../src/log.ts'
import { until } from '../../support/until.ts'

const secret = randomBytes(32)
const bytes = (text: string) => new TextEncoder().encode(text)

async function open(options: { secret?: Uint8Array; cluster?: string; port?: number } = {}): Promise<Network> {
  const network = new Network(
    { clock: systemClock, log: openLog({ level: 'silent', name: 'test' }) },
    {
      identity: await createIdentity(),
      secret: options.secret ?? secret,
      listen: [parseMultiaddr('/ip4/127.0.0.1/tcp/0')],
      announce: [],
      name: 'test'
    }
  )
  await network.start()
  if (options.cluster) network.setClusterId(options.cluster)
  network.handle('echo', async (_from, payload) => payload)
  network.handle('open', async (from, payload) => Buffer.concat([bytes(from), payload]), { open: true })
  network.handle('fail', async () => {
    throw new ClusterError({ code: 'not_enough_peers', wanted: 3, available: 2 }, 'too few')
  })
  return network
}

function introduce(...networks: Network[]): void {
  for (const one of networks)
    one.setMembers(networks.filter(other => other !== one).map(other => ({ id: other.self, addresses: other.addresses })))
}

test('members call each other, many at once, and large answers arrive whole', async () => {
  await using a = await open()
  await using b = await open()
  introduce(a, b)
  const answers = await Promise.all(Array.from({ length: 1_000 }, (_, index) => a.call(b.self, 'echo', bytes(`n${index}`))))
  assert.ok(answers.every((answer, index) => new TextDecoder().decode(answer) === `n${index}`))
  const large = randomBytes(3 << 20)
  for (let round = 0; round < 20; round++) assert.deepEqual(Buffer.from(await b.call(a.self, 'echo', large)), large)
})

test('a fault arrives as the fault it was', async () => {
  await using a = await open()
  await using b = await open()
  introduce(a, b)
  await assert.rejects(
    a.call(b.self, 'fail', bytes('')),
    error => isFault(error, 'not_enough_peers') && error.fault.wanted === 3 && error.message === 'too few'
  )
  await assert.rejects(a.call(b.self, 'nothing', bytes('')), error => isFault(error, 'refused'))
})

test('an abort reaches the handler', async () => {
  await using a = await open()
  await using b = await open()
  const told = Promise.withResolvers<void>()
  b.handle(
    'slow',
    (_from, _payload, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          told.resolve()
          reject(signal.reason)
        })
      )
  )
  introduce(a, b)
  const stop = new AbortController()
  const call = a.call(b.self, 'slow', bytes(''), { signal: stop.signal })
  await a.call(b.self, 'echo', bytes(''))
  stop.abort(new Error('changed my mind'))
  await assert.rejects(call, /changed my mind/)
  await told.promise
})

test('messages arrive in order', async () => {
  await using a = await open()
  await using b = await open()
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
})

test('who does not know the secret gets nothing, and is told why within five seconds', async () => {
  await using a = await open()
  await using stranger = await open({ secret: randomBytes(32) })
  const started = performance.now()
  await assert.rejects(
    stranger.dialAny(a.addresses[0]!),
    error => isFault(error, 'peer_unreachable') && /another secret|in time/.test(error.message)
  )
  assert.ok(performance.now() - started < 6_000)
})

test('a peer that is not a member is served only what is open, a removed one nothing', async () => {
  await using a = await open()
  await using guest = await open()
  const id = await guest.dialAny(a.addresses[0]!)
  assert.equal(id, a.self)
  assert.match(new TextDecoder().decode(await guest.call(id, 'open', bytes('!'))), new RegExp(guest.self))
  await assert.rejects(guest.call(id, 'echo', bytes('')), error => isFault(error, 'not_a_member'))
  introduce(a, guest)
  await guest.call(id, 'echo', bytes(''))
  a.setMembers([])
  await assert.rejects(
    async () => {
      for (;;) await guest.call(id, 'echo', bytes(''))
    },
    error => isFault(error, 'not_a_member') || isFault(error, 'peer_unreachable')
  )
})

test('peers of two clusters with one secret refuse each other', async () => {
  await using a = await open({ cluster: 'one' })
  await using b = await open({ cluster: 'two' })
  introduce(a, b)
  await assert.rejects(a.call(b.self, 'echo', bytes('')), error => isFault(error, 'wrong_cluster'))
})

test('a call ends with a fault as soon as the peer is gone, and the link comes back with the peer', async () => {
  await using a = await open()
  const b = await open()
  b.handle('never', () => new Promise(() => {}))
  introduce(a, b)
  const losses: boolean[] = []
  using _listening = a.onConnection((_peer, isUp) => losses.push(isUp))
  const call = a.call(b.self, 'never', bytes(''))
  await a.call(b.self, 'echo', bytes(''))
  await Promise.all([assert.rejects(call, error => isFault(error, 'peer_unreachable')), b[Symbol.asyncDispose]()])
  await until('the loss is told', () => losses.includes(false))
  assert.equal(a.isConnected(b.self), false)
})

test('nothing listens: one sentence says so', async () => {
  await using a = await open()
  await assert.rejects(
    a.dialAny(parseMultiaddr('/ip4/127.0.0.1/tcp/1')),
    error => isFault(error, 'peer_unreachable') && /nothing listens there/.test(error.message)
  )
})

test('an identity reads back as it was written, and a damaged one is refused without showing the key', async () => {
  const identity = await createIdentity()
  const text = formatIdentity(identity)
  assert.equal(parseIdentity(text, 'identity.json').id, identity.id)
  const other = await createIdentity()
  assert.throws(
    () => parseIdentity(text.replace(identity.id, other.id), 'identity.json'),
    error => isFault(error, 'cannot_start') && /belongs to/.test(error.message)
  )
  assert.throws(
    () => parseIdentity('{"id": 3}', 'identity.json'),
    error => isFault(error, 'cannot_start')
  )
})

test('the keystream does not depend on how the bytes are cut', () => {
  const key = randomBytes(32)
  const nonce = randomBytes(24)
  const data = randomBytes(10_000)
  const whole = new Keystream(key, nonce).apply(data)
  const cut = new Keystream(key, nonce)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < data.length; ) {
    const size = 1 + ((at * 7) % 199)
    pieces.push(cut.apply(data.subarray(at, at + size)))
    at += size
  }
  assert.deepEqual(Buffer.concat(pieces), Buffer.from(whole))
})
