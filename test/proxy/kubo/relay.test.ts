import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { Relay } from '../../../proxy/kubo/relay.ts'
import { until } from '../../support/until.ts'

test('memory of what was read is given back when the kernel has it, and not while it is still to be sent', async () => {
  await using pair = await socketPair()
  const relay = new Relay(pair.near)
  const pieces = Array.from({ length: 200 }, (_, index) => Buffer.from(new ArrayBuffer(64 << 10)).fill(index))
  for (const piece of pieces) relay.send(piece)
  assert.ok(relay.isFull)
  assert.ok(pieces.some(({ length }) => length === 64 << 10))
  pair.near.on('drain', () => relay.giveBack())
  const received = await read(pair.far, 200 * (64 << 10))
  for (let index = 0; index < 200; index++) {
    const piece = received.subarray(index * (64 << 10), (index + 1) * (64 << 10))
    assert.ok(
      piece.every(byte => byte === index),
      `piece ${index} came as it was sent`
    )
  }
  await until('all memory is given back', () => pieces.every(({ length }) => length === 0))
  assert.equal(relay.isFull, false)
})

test('a part of a read leaves the rest of it as it is', async () => {
  await using pair = await socketPair()
  const relay = new Relay(pair.near)
  const whole = Buffer.from(new ArrayBuffer(64 << 10)).fill(7)
  relay.send(whole.subarray(0, 32 << 10))
  relay.giveBack()
  await read(pair.far, 32 << 10)
  assert.equal(whole.length, 64 << 10)
  assert.ok(whole.every(byte => byte === 7))
})

interface Pair extends AsyncDisposable {
  readonly near: Socket
  readonly far: Socket
}

/** `far` reads nothing by itself. */
async function socketPair(): Promise<Pair> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [Socket]
  await once(near, 'connect')
  return {
    near,
    far,
    [Symbol.asyncDispose]: async () => {
      near.destroy()
      far.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}

async function read(socket: Socket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  socket.on('data', chunk => {
    chunks.push(chunk)
    length += chunk.length
  })
  await until('it has come', () => length >= bytes)
  return Buffer.concat(chunks)
}
