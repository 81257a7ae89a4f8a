/** What an operator reads when a peer cannot be reached or cannot listen. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { openHost } from '../../../cluster/net/host.ts'
import { createIdentity } from '../../../cluster/net/identity.ts'
import { parseMultiaddr } from '../../../src/codec.ts'
import { isFault } from '../../../src/errors.ts'
import { openLog } from '../../../src/log.ts'
import { introduce, loopback, openNetwork, placeOf, secret, silent } from '../../support/network.ts'
import { until } from '../../support/until.ts'

const at = (text: string) => parseMultiaddr(text)
const says = (pattern: RegExp) => (error: unknown) => isFault(error, 'peer_unreachable') && pattern.test(error.message)
/** Waiting will not help. */
const insists = (pattern: RegExp) => (error: unknown) => isFault(error, 'refused') && pattern.test(error.message)
const hanging = /something listens there, but does not finish the handshake within 4 s/
const broken = /something listens there, but breaks off the handshake: it is stopping, or is no flotilla peer/
const foreign = /something listens there, but no peer of this network: it has another secret, or is no flotilla peer/

async function server(onSocket: (socket: Socket) => void): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  const listening = createServer(socket => {
    sockets.add(socket.on('error', () => {}))
    onSocket(socket)
  }).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return {
    port: (listening.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      listening.close()
      await once(listening, 'close')
    }
  }
}

test('nothing listens there', async () => {
  await using a = await openNetwork()
  await assert.rejects(a.dialAny(at('/ip4/127.0.0.1/tcp/1')), says(/^\/ip4\/127\.0\.0\.1\/tcp\/1: nothing listens there/))
})

test('a name that does not exist', async () => {
  await using a = await openNetwork()
  await assert.rejects(a.dialAny(at('/dns4/no-such-host.invalid/tcp/9096')), says(/name cannot be resolved/))
})

test('a name is resolved anew by the system, and dialled', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  assert.equal(await a.dialAny(at(`/dns4/localhost/tcp/${placeOf(b).port}`)), b.self)
})

test('another secret is told on the dialling side, one without a secret from a peer that stops is not told apart', async () => {
  await using a = await openNetwork()
  await using other = await openNetwork({ secret: randomBytes(32) })
  await using open = await openNetwork({ secret: null })
  // Every time, whatever the noise looks like to the other side: some of it reads as the beginning of a long message.
  for (let round = 0; round < 20; round++) await assert.rejects(other.dialAny(placeOf(a).address), insists(foreign))
  await assert.rejects(open.dialAny(placeOf(a).address), says(/something listens there/))
  // A peer without a secret cannot tell noise from a slow beginning.
  await assert.rejects(a.dialAny(placeOf(open).address), says(/something listens there/))
  await using second = await openNetwork({ secret: null })
  assert.equal(await open.dialAny(placeOf(second).bare), second.self)
})

test('something that is no peer at all: a web server, one that says nothing, one that hangs up', async () => {
  await using a = await openNetwork()
  await using web = await server(socket => socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
  await using mute = await server(() => {})
  await using rude = await server(socket => socket.destroy())
  await Promise.all([
    assert.rejects(a.dialAny(at(`/ip4/127.0.0.1/tcp/${web.port}`)), insists(foreign)),
    assert.rejects(a.dialAny(at(`/ip4/127.0.0.1/tcp/${rude.port}`)), says(broken)),
    assert.rejects(a.dialAny(at(`/ip4/127.0.0.1/tcp/${mute.port}`)), says(hanging))
  ])
})

test('another peer at the address is named, and this peer itself is recognised', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  const { id } = await createIdentity()
  await assert.rejects(a.dialAny(at(`${placeOf(b).bare}/p2p/${id}`)), insists(new RegExp(`another peer answers there, ${b.self}`)))
  await assert.rejects(a.dialAny(placeOf(a).bare), says(/this peer itself answers there/))
  a.setMembers([{ id, addresses: [placeOf(b).bare] }])
  await assert.rejects(a.call(id, 'echo', new Uint8Array()), says(/another peer answers there/))
})

test('an old /ipfs/<id> address works, and addresses that are none or not TCP are told so', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  assert.equal(await a.dialAny(at(`${placeOf(b).bare}/ipfs/${b.self}`)), b.self)
  await assert.rejects(a.dialAny(at('/ip4/1.2.3.4')), says(/over TCP only/))
  await assert.rejects(a.dialAny(at('/ip4/127.0.0.1/udp/9096/quic')), says(/over TCP only/))
  await assert.rejects(a.dialAny(at('/nonsense/x')), says(/not an address/))
})

test('a libp2p node with the secret that is no flotilla peer', async () => {
  await using a = await openNetwork()
  const identity = await createIdentity()
  const stranger = await openHost({ identity, secret, listen: [loopback], announce: [] }, { log: silent })
  try {
    a.setMembers([{ id: identity.id, addresses: stranger.addresses() }])
    await assert.rejects(a.call(identity.id, 'echo', new Uint8Array()), says(/no flotilla peer: it does not speak the peer protocol/))
  } finally {
    await stranger.node.stop()
  }
})

test('a peer whose address is unknown, and a dial that is given up', async () => {
  await using a = await openNetwork()
  const { id } = await createIdentity()
  await assert.rejects(a.call(id, 'echo', new Uint8Array()), says(/no address of it is known/))
  await using mute = await server(() => {})
  const stop = new AbortController()
  const dialling = a.dialAny(at(`/ip4/127.0.0.1/tcp/${mute.port}`), { signal: stop.signal })
  stop.abort(new Error('enough'))
  await assert.rejects(dialling, /enough/)
})

test('a port in use, an address of another machine, and no TCP address at all end the start with one sentence', async () => {
  await using a = await openNetwork()
  const start = (listen: string) => openNetwork({ listen: [at(listen)] })
  const because = (pattern: RegExp) => (error: unknown) => isFault(error, 'cannot_start') && pattern.test(error.message)
  await assert.rejects(start(placeOf(a).bare), because(/cannot listen for peers on \/ip4\/127\.0\.0\.1\/tcp\/\d+: the port is in use/))
  await assert.rejects(start('/ip4/192.0.2.77/tcp/9096'), because(/this machine does not have the address/))
  await assert.rejects(start('/ip4/0.0.0.0/udp/9096/quic'), because(/at least one TCP address/))
})

test('the QUIC address of a configuration of ipfs-cluster is passed over with a warning', async () => {
  const lines: string[] = []
  const log = openLog({ level: 'info', name: 'test' }, { write: line => lines.push(line) })
  await using a = await openNetwork({ log, listen: [loopback, at('/ip4/0.0.0.0/udp/9096/quic')] })
  assert.equal(a.addresses.length, 1)
  assert.match(lines.join(''), /udp\/9096\/quic.*over TCP only/)
})

test('announced addresses are told instead of those listened on, each with the id', async () => {
  await using a = await openNetwork({ announce: [at('/dns4/peer-1/tcp/9096')] })
  await using b = await openNetwork()
  assert.deepEqual(a.addresses, [`/dns4/peer-1/tcp/9096/p2p/${a.self}`])
  assert.deepEqual(b.addresses, [`${placeOf(b).bare}/p2p/${b.self}`])
  introduce(a, b) // b dials in vain, a does not
  await a.call(b.self, 'echo', new Uint8Array())
  await until('b has the link that a made', () => b.isConnected(a.self))
  await b.call(a.self, 'echo', new Uint8Array())
})
