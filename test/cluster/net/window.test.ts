import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { openHost } from '../../../cluster/net/host.ts'
import { createIdentity } from '../../../cluster/net/identity.ts'
import { updateWindowByHalves } from '../../../cluster/net/window.ts'
import { loopback, secret, silent } from '../../support/network.ts'
import { until } from '../../support/until.ts'

const protocol = '/window/1'

/** Sends `count` pieces of `bytes`, and tells how many window updates they caused. */
async function updatesFor(count: number, bytes: number, treat: (stream: Stream) => void): Promise<number> {
  let received = 0
  let updates = 0
  const settings = async () => ({ identity: await createIdentity(), secret: Buffer.from(secret), listen: [loopback], announce: [] })
  const reader = await openHost(await settings(), {
    log: silent,
    prepare: async node => {
      await node.handle(protocol, stream => {
        const inner = stream as unknown as { sendFrame: (frame: { type: number }) => void }
        const sendFrame = inner.sendFrame.bind(stream)
        inner.sendFrame = frame => {
          if (frame.type === 1) updates++
          sendFrame(frame)
        }
        treat(stream)
        stream.addEventListener('message', ({ data }) => (received += data.byteLength))
      })
    }
  })
  const writer = await openHost(await settings(), { log: silent })
  try {
    const connection = await writer.node.dial(multiaddr(reader.addresses()[0]))
    const stream = await connection.newStream(protocol)
    for (let piece = 1; piece <= count; piece++) {
      if (!stream.send(new Uint8Array(bytes))) await new Promise(resolve => stream.addEventListener('drain', resolve, { once: true }))
      await until('the piece has come', () => received === piece * bytes)
    }
  } finally {
    await writer.node.stop()
    await reader.node.stop()
  }
  return updates
}

test('small messages are not answered by a window update each', async () => {
  const treated = await updatesFor(100, 500, updateWindowByHalves)
  const plain = await updatesFor(100, 500, () => {})
  assert.ok(treated <= 3, `${treated} updates`)
  // Where this fails, the library waits by itself: then window.ts can go.
  assert.ok(plain >= 90, `${plain} updates without it`)
})

test('a stream of many times the window flows on', async () => {
  const treated = await updatesFor(100, 128 << 10, updateWindowByHalves)
  assert.ok(treated >= 10, `${treated} updates`)
})
