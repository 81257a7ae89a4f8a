/** The framing and both ends of a link against every cut, garbage, and peers that do not read. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { streamPair } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { Frames, frameBytesMax, lengthBytes } from '../../../cluster/net/frames.ts'
import { openHost } from '../../../cluster/net/host.ts'
import { createIdentity } from '../../../cluster/net/identity.ts'
import { InboundLink } from '../../../cluster/net/inbound-link.ts'
import {
  answerHead,
  cancelFrame,
  faultFrame,
  helloFrame,
  kinds,
  messageHead,
  pingFrame,
  protocolVersion,
  requestHead
} from '../../../cluster/net/link.ts'
import { protocols } from '../../../cluster/net/link-keeper.ts'
import { OutboundLink } from '../../../cluster/net/outbound-link.ts'
import { ClusterError } from '../../../src/errors.ts'
import { loopback, openNetwork, placeOf, secret, silent } from '../../support/network.ts'
import { until } from '../../support/until.ts'

const { id: peer } = await createIdentity()
const hello = { version: protocolVersion, clusterId: null, name: 'test' }

interface End {
  readonly frames: Frames
  readonly seen: Buffer[]
  readonly ends: { reason: string; isClean: boolean }[]
}

function reading(stream: Stream, settings = { queueBytesMax: 1 << 20 }): End {
  const seen: Buffer[] = []
  const ends: { reason: string; isClean: boolean }[] = []
  const frames = new Frames(
    stream,
    { onFrame: frame => seen.push(Buffer.from(frame)), onClose: (reason, isClean) => ends.push({ reason, isClean }) },
    settings
  )
  return { frames, seen, ends }
}

function head(text: string): Buffer {
  return Buffer.concat([Buffer.alloc(lengthBytes), Buffer.from(text)])
}

/** A frame as it is on the wire. */
function framed(frame: Buffer, payload: Uint8Array = new Uint8Array()): Buffer {
  const whole = Buffer.concat([frame, payload])
  whole.writeUInt32BE(whole.length - lengthBytes)
  return whole
}

/** `bytes` in pieces of these sizes, in turn. */
function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? bytes.length
    yield bytes.subarray(at, at + size)
    at += size
  }
}

const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 })

test('frames arrive whole and in order, however the bytes are cut', async () => {
  const bodies = fc.array(fc.uint8Array({ minLength: 1, maxLength: 500 }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(bodies, pieces, async (sent, sizes) => {
      const [raw, stream] = await streamPair()
      const { frames, seen } = reading(stream)
      const all = Buffer.concat(sent.map(body => framed(Buffer.alloc(lengthBytes), body)))
      for (const piece of cut(all, sizes)) raw.send(piece)
      await until('all frames', () => seen.length === sent.length)
      assert.deepEqual(
        seen,
        sent.map(body => Buffer.from(body))
      )
      frames.close('done')
    }),
    { numRuns: 50 }
  )
})

test('what one end sends the other end gets, small and large mixed', async () => {
  const [near, far] = await streamPair()
  const { frames } = reading(near, { queueBytesMax: 64 << 20 })
  const { seen } = reading(far)
  const large = Buffer.alloc(2 << 20, 7)
  for (let index = 0; index < 50; index++) assert.ok(frames.send(head(`frame ${index}`), index % 10 === 0 ? large : undefined))
  await until('all frames', () => seen.length === 50)
  assert.equal(seen[20]?.length, 'frame 20'.length + large.length)
  assert.equal(seen[49]?.toString(), 'frame 49')
})

test('an end that is said is clean, and what was sent before it arrives; an end that is not said is a failure', async () => {
  {
    const [near, far] = await streamPair()
    const sender = reading(near)
    const receiver = reading(far)
    sender.frames.send(head('last words'))
    sender.frames.end('enough')
    await until('the end', () => receiver.ends.length > 0)
    assert.deepEqual(receiver.seen.map(String), ['last words'])
    assert.deepEqual(receiver.ends, [{ reason: 'it ended the link', isClean: true }])
    assert.deepEqual(sender.ends, [{ reason: 'enough', isClean: true }])
    assert.equal(sender.frames.send(head('more')), false)
  }
  const [near, far] = await streamPair()
  const receiver = reading(far)
  near.send(framed(head('half')).subarray(0, 6))
  await near.close()
  await until('the end', () => receiver.ends.length > 0)
  assert.equal(receiver.ends[0]?.isClean, false)
  assert.deepEqual(receiver.seen, [])
})

test('a length beyond the limit breaks the stream, and claims no memory', async () => {
  const [near, far] = await streamPair()
  const receiver = reading(far)
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt32BE(frameBytesMax + 1)
  near.send(length)
  await until('the end', () => receiver.ends.length > 0)
  assert.match(receiver.ends[0]?.reason ?? '', /larger than/)
})

test('the queue has a bound: a frame too many is refused, and room is made by sending', async () => {
  const [near, far] = await streamPair()
  const { frames } = reading(near, { queueBytesMax: 1 << 20 })
  const { seen } = reading(far)
  const piece = Buffer.alloc(100 << 10)
  let taken = 0
  while (frames.send(head(''), piece)) taken++
  assert.equal(taken, 10)
  assert.ok(frames.waitingBytes <= 1 << 20)
  await until('it is empty', () => seen.length === taken)
  assert.equal(frames.send(head('again')), true)
})

const wireFrame = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map(body => framed(Buffer.alloc(lengthBytes), body)),
  fc.constantFrom(helloFrame(hello), pingFrame(), cancelFrame(1), answerHead(1)).map(frame => framed(Buffer.from(frame))),
  fc
    .tuple(fc.nat(5), fc.constantFrom('echo', 'bug', 'never', 'x'))
    .map(([id, name]) => framed(requestHead(id, name), Buffer.from('payload'))),
  fc.constantFrom('news', 'bug').map(name => framed(messageHead(name), Buffer.from('payload'))),
  fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 30 })).map(([kind, rest]) => framed(Buffer.from([0, 0, 0, 0, kind, 0, 0, 0, 1]), rest)),
  fc.constantFrom(faultFrame(1, new ClusterError({ code: 'not_ready' }, 'x'))).map(frame => framed(Buffer.from(frame)))
)

test('a serving end survives any bytes: it serves, or breaks the stream off', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(wireFrame, { maxLength: 12 }), fc.boolean(), pieces, async (frames, isGreeted, sizes) => {
      const [raw, stream] = await streamPair()
      let isClosed = false
      const link = new InboundLink({
        peer,
        stream,
        log: silent,
        services: {
          hello: () => hello,
          isMember: () => true,
          method: name =>
            ({
              echo: { handler: async (_from: unknown, payload: Uint8Array) => payload, isOpen: false },
              never: { handler: () => new Promise<Uint8Array>(() => {}), isOpen: false },
              bug: { handler: () => assert.fail('a bug'), isOpen: true }
            })[name],
          channel: name => (name === 'bug' ? () => assert.fail('a bug') : undefined),
          refused: () => {},
          closed: () => (isClosed = true)
        }
      })
      for (const piece of cut(Buffer.concat([...(isGreeted ? [framed(helloFrame(hello))] : []), ...frames]), sizes)) {
        if (raw.status === 'open') raw.send(piece)
      }
      await new Promise(resolve => setImmediate(resolve))
      link.close('done')
      await until('it is closed', () => isClosed)
    }),
    { numRuns: 300 }
  )
})

test('a calling end survives any bytes: every call is answered or fails', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(wireFrame, { maxLength: 12 }), pieces, async (frames, sizes) => {
      const [[calls, far], [messages, farMessages]] = await Promise.all([streamPair(), streamPair()])
      const opening = OutboundLink.open({ peer, calls, messages }, hello, AbortSignal.timeout(5_000))
      for (const stream of [far, farMessages]) stream.send(framed(helloFrame(hello)))
      const link = await opening
      const answers = [1, 2, 3].map(() => link.call('echo', Buffer.from('x'), undefined))
      const settled = Promise.allSettled(answers)
      for (const stream of [far, farMessages]) {
        for (const piece of cut(Buffer.concat(frames), sizes)) if (stream.status === 'open') stream.send(piece)
      }
      await new Promise(resolve => setImmediate(resolve))
      link.close('done')
      for (const one of await settled) if (one.status === 'rejected') assert.ok(one.reason instanceof Error)
      await link.closed
    }),
    { numRuns: 300 }
  )
})

test('a peer that asks and never reads its answers gets no more of them than fit', async () => {
  await using a = await openNetwork()
  const identity = await createIdentity()
  const greedy = await openHost({ identity, secret, listen: [loopback], announce: [] }, { log: silent })
  try {
    a.setMembers([{ id: identity.id, addresses: [] }])
    let served = 0
    a.handle('large', async () => {
      served++
      return Buffer.alloc(64 << 10)
    })
    const connection = await greedy.node.dial(multiaddr(placeOf(a).bare))
    const stream = await connection.newStream(protocols.calls)
    stream.send(framed(helloFrame(hello)))
    stream.pause()
    for (let id = 1; id <= 4_000; id++) stream.send(framed(requestHead(id, 'large')))
    let before = -1
    await until('it serves no more', async () => {
      const isSame = served > 0 && served === before
      before = served
      await new Promise(resolve => setTimeout(resolve, 100))
      return isSame && served === before
    })
    // 4 MiB wait, one window is under way, and one chunk of requests was read already.
    assert.ok(served < 2_000, `${served} answers of 64 KiB`)
  } finally {
    await greedy.node.stop()
  }
})

test('a stream that does not greet is closed', async () => {
  await using a = await openNetwork()
  const identity = await createIdentity()
  const mute = await openHost({ identity, secret, listen: [loopback], announce: [] }, { log: silent })
  try {
    const connection = await mute.node.dial(multiaddr(placeOf(a).bare))
    const streams = await Promise.all([protocols.calls, protocols.messages].map(protocol => connection.newStream(protocol)))
    streams[0]?.send(framed(requestHead(1, 'open')))
    await until('the one that asked without greeting is closed', () => streams[0]?.status !== 'open')
    await until('the one that said nothing is closed', () => streams[1]?.status !== 'open')
  } finally {
    await mute.node.stop()
  }
})

test('another version of the protocol is refused with a sentence', async () => {
  const [[calls, far], [messages]] = await Promise.all([streamPair(), streamPair()])
  const opening = OutboundLink.open({ peer, calls, messages }, hello, AbortSignal.timeout(5_000))
  far.send(framed(helloFrame({ ...hello, version: 9 })))
  await assert.rejects(opening, /speaks version 9 of the peer protocol, this peer version 1/)
})

test('a link is given up after five beats of silence and not before, and any sign of life begins them anew', async () => {
  const [[calls, far], [messages, farMessages]] = await Promise.all([streamPair(), streamPair()])
  const opening = OutboundLink.open({ peer, calls, messages }, hello, AbortSignal.timeout(5_000))
  for (const stream of [far, farMessages]) stream.send(framed(helloFrame(hello)))
  const link = await opening
  const { seen } = reading(farMessages)
  await until('the greeting', () => seen.some(frame => frame[0] === kinds.hello))
  for (let beat = 1; beat <= 4; beat++) {
    assert.ok(link.beat(5))
    await until('a question', () => seen.filter(frame => frame[0] === kinds.ping).length === beat)
  }
  const call = link.call('echo', Buffer.from('x'), undefined)
  far.send(framed(answerHead(1)))
  await call
  for (let beat = 1; beat <= 5; beat++) assert.ok(link.beat(5), `beat ${beat}`)
  const lost = assert.rejects(link.call('echo', Buffer.from('x'), undefined), /has stopped answering/)
  assert.equal(link.beat(5), false)
  await lost
  assert.equal(await link.closed, 'it has stopped answering')
})
