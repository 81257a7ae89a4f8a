/** Peers that die, freeze, come back, and move. */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createIdentity } from '../../../cluster/net/identity.ts'
import type { Network } from '../../../cluster/net/network.ts'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { parseMultiaddr } from '../../../src/codec.ts'
import { isFault } from '../../../src/errors.ts'
import { aborted } from '../../../src/lifetime.ts'
import type { PeerId } from '../../../src/types.ts'
import { introduce, memberOf, openNetwork, placeOf } from '../../support/network.ts'
import { deafHost, relay } from '../../support/relay.ts'
import { until } from '../../support/until.ts'

const nothing = new Uint8Array()
/** On this clock nobody who waits for the next attempt wakes up by himself. */
const endless: Clock = {
  ...systemClock,
  async sleep(_ms, { signal = AbortSignal.timeout(60_000) } = {}) {
    await aborted(signal)
    throw signal.reason
  }
}
const isUnreachable = (error: unknown) => isFault(error, 'peer_unreachable')

/** A member of `network` in a process of its own; unless `knowsUs`, it has no link in the other direction. */
async function neighbour(
  network: Network,
  { knowsUs = true } = {}
): Promise<AsyncDisposable & { readonly child: ChildProcess; readonly id: PeerId }> {
  const child = fork(join(import.meta.dirname, '../../support/network-peer.ts'), { execArgv: [] })
  const [member] = (await once(child, 'message')) as [{ id: PeerId; addresses: readonly string[] }]
  if (knowsUs) child.send(memberOf(network))
  network.setMembers([member])
  await until('a link to the child', () => network.isConnected(member.id))
  return {
    child,
    id: member.id,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

test('a call ends with a fault as soon as its peer is killed, and the loss is told once', async () => {
  await using a = await openNetwork()
  await using b = await neighbour(a)
  const changes: boolean[] = []
  using _listening = a.onConnection((peer, isUp) => changes.push(peer === b.id && isUp))
  const call = a.call(b.id, 'echo', Buffer.alloc(12 << 20))
  b.child.kill('SIGKILL')
  await assert.rejects(call, isUnreachable)
  assert.equal(a.isConnected(b.id), false)
  assert.equal(a.send(b.id, 'news', nothing), false)
  assert.deepEqual(changes, [false])
  // Known to be away: the next call does not wait long to say so.
  await until('its port is known to be closed', () =>
    a.call(b.id, 'echo', nothing).catch(error => isUnreachable(error) && /nothing listens there/.test(String(error)))
  )
})

test('a cut that nobody is told of is noticed on both sides, and after its heal the peers link again by themselves', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  await using wire = await relay()
  const [toA, toB] = [await wire.open(placeOf(a).port), await wire.open(placeOf(b).port)]
  a.setMembers([{ id: b.self, addresses: [`/ip4/127.0.0.1/tcp/${toB}`] }])
  b.setMembers([{ id: a.self, addresses: [`/ip4/127.0.0.1/tcp/${toA}`] }])
  await a.call(b.self, 'echo', nothing)
  await b.call(a.self, 'echo', nothing)
  for (let round = 0; round < 2; round++) {
    const cut = wire.cut()
    const calls = [a.call(b.self, 'echo', nothing), b.call(a.self, 'echo', nothing)]
    for (const call of calls) await assert.rejects(call, isUnreachable)
    assert.ok(!a.isConnected(b.self) && !b.isConnected(a.self))
    cut.heal()
    // A link of before the cut may be up for a moment more, until its own beats are counted.
    const works = (one: Network, other: Network) =>
      one.call(other.self, 'echo', nothing).then(
        () => one.isConnected(other.self),
        () => false
      )
    await until('calls in both directions', async () => (await works(a, b)) && (await works(b, a)))
  }
})

test('a host that does not take connections is asked anew after a second, and given time where a person waits', async () => {
  await using a = await openNetwork()
  await using host = await deafHost()
  const { id } = await createIdentity()
  a.setMembers([{ id, addresses: [host.address] }])
  await assert.rejects(a.call(id, 'echo', nothing), error => isUnreachable(error) && /no answer within 1 s/.test(String(error)))
  await assert.rejects(a.dialAny(host.address), error => isUnreachable(error) && /no answer within 4 s/.test(String(error)))
})

test('asked again and again, a peer that is linked keeps its link, and collects no connections', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  await using wire = await relay()
  const address = parseMultiaddr(`/ip4/127.0.0.1/tcp/${await wire.open(placeOf(b).port)}`)
  a.setMembers([{ id: b.self, addresses: [address] }])
  await a.call(b.self, 'open', nothing)
  const changes: boolean[] = []
  using _listening = a.onConnection((_peer, isUp) => changes.push(isUp))
  for (let round = 0; round < 5; round++) {
    assert.equal(await a.dialAny(address), b.self)
    const { id } = await createIdentity()
    await assert.rejects(a.dialAny(parseMultiaddr(`${address}/p2p/${id}`)), /another peer answers there/)
  }
  await until('the link has its connection for itself', () => wire.connections === 1)
  await a.call(b.self, 'open', nothing)
  assert.deepEqual(changes, [])
})

test('a frozen peer is noticed, takes no memory meanwhile, and is linked again when it thaws', async () => {
  await using a = await openNetwork()
  await using b = await neighbour(a)
  const changes: boolean[] = []
  using _listening = a.onConnection((_peer, isUp) => changes.push(isUp))
  b.child.kill('SIGSTOP')
  const call = assert.rejects(a.call(b.id, 'echo', nothing), error => isUnreachable(error) && /stopped answering/.test(String(error)))
  let taken = 0
  await until('the queue is full', () => {
    const wasTaken = a.send(b.id, 'news', Buffer.alloc(1 << 20))
    if (wasTaken) taken++
    return !wasTaken
  })
  // The queue of 8 MiB, and what a stream's window and two sockets hold.
  assert.ok(taken >= 8 && taken < 32, `${taken} MiB were taken`)
  await call
  assert.deepEqual(changes, [false])
  b.child.kill('SIGCONT')
  await until('a new link', () => a.isConnected(b.id))
  await a.call(b.id, 'echo', nothing)
})

test('a pause of this process is not taken for silence of its peers', async () => {
  let beats = 0
  const counting: Clock = {
    ...systemClock,
    every: (ms, run) =>
      systemClock.every(ms, () => {
        beats++
        run()
      })
  }
  await using a = await openNetwork({ clock: counting })
  // With a link of its own the child, which is awake, would rightly give us up.
  await using b = await neighbour(a, { knowsUs: false })
  let losses = 0
  using _listening = a.onConnection((_peer, isUp) => {
    if (!isUp) losses++
  })
  const end = performance.now() + 2_500
  while (performance.now() < end) Math.sqrt(2)
  const before = beats
  await until('a few beats', () => beats >= before + 4)
  assert.equal(losses, 0)
  await a.call(b.id, 'open', nothing)
})

test('a peer that restarts on its port is linked again by itself', async () => {
  await using a = await openNetwork()
  const identity = await createIdentity()
  const first = await openNetwork({ identity })
  const { port } = placeOf(first)
  introduce(a, first)
  await a.call(first.self, 'echo', nothing)
  await first[Symbol.asyncDispose]()
  await until('the loss', () => !a.isConnected(identity.id))
  await using second = await openNetwork({ identity, port })
  await until('a new link', () => a.isConnected(second.self))
  await a.call(second.self, 'open', nothing)
})

test('a peer that has moved is dialled at its new address as soon as that is known', async () => {
  await using a = await openNetwork({ clock: endless })
  await using b = await openNetwork()
  a.setMembers([{ id: b.self, addresses: ['/ip4/127.0.0.1/tcp/1'] }])
  await assert.rejects(a.call(b.self, 'open', nothing), isUnreachable)
  await setImmediate()
  a.setMembers([memberOf(b)])
  await until('a link', () => a.isConnected(b.self))
  await a.call(b.self, 'open', nothing)
})

test('a peer that has moved and calls is answered over its own connection, at once', async () => {
  await using a = await openNetwork({ clock: endless })
  await using b = await openNetwork()
  a.setMembers([{ id: b.self, addresses: ['/ip4/127.0.0.1/tcp/1'] }])
  await assert.rejects(a.call(b.self, 'echo', nothing), isUnreachable)
  await setImmediate()
  b.setMembers([memberOf(a)])
  await until('a link in the other direction', () => a.isConnected(b.self))
  await a.call(b.self, 'echo', nothing)
})

test('a member whose known addresses are all out of date is found through a bootstrap address, with or without its id', async () => {
  await using b = await openNetwork()
  const { address, bare } = placeOf(b)
  for (const bootstrap of [[address], [bare]]) {
    await using a = await openNetwork({ bootstrap })
    a.setMembers([{ id: b.self, addresses: ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/udp/1/quic'] }])
    await until('a link', () => a.isConnected(b.self))
  }
})

test('of several addresses one that works is enough, and dead ones cost little', async () => {
  await using a = await openNetwork()
  await using b = await openNetwork()
  const { bare } = placeOf(b)
  const dead = ['/ip4/127.0.0.1/tcp/1', '/dns4/no-such-host.invalid/tcp/9096', '/nonsense', placeOf(a).bare]
  a.setMembers([{ id: b.self, addresses: [...dead, bare] }])
  await a.call(b.self, 'open', nothing)
})
