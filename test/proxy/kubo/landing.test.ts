import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, Socket } from 'node:net'
import { test } from 'node:test'
import { Landing } from '../../../proxy/kubo/landing.ts'

const large = 64 << 10

function open() {
  const world = { isSent: true, isGoingOn: true, taken: [] as Buffer[] }
  const landing = new Landing({
    take: bytes => {
      world.taken.push(bytes)
      return world.isGoingOn
    },
    isSent: () => world.isSent
  })
  const room = () => landing.onread.buffer as () => Buffer
  /** As a socket does: it reads, tells, and asks where to read to next. */
  const read = (length: number, fill = 0): Buffer => {
    const into = room()()
    into.fill(fill, 0, length)
    landing.onread.callback(length, into)
    return into
  }
  return { world, landing, read, next: () => room()() }
}

test('short reads share one piece of memory, and each is a copy', () => {
  const [one, other] = [open(), open()]
  assert.equal(one.read(100, 1), other.read(200, 2))
  assert.deepEqual(one.world.taken, [Buffer.alloc(100, 1)])
  assert.deepEqual(other.world.taken, [Buffer.alloc(200, 2)])
})

test('a connection that carries much reads into memory of its own, the same over and over where all is sent at once', () => {
  const { read, next } = open()
  const shared = read(large)
  const own = next()
  assert.notEqual(own, shared)
  for (let count = 0; count < 5; count++) assert.equal(read(large), own)
  for (let count = 0; count < 99; count++) assert.equal(read(10), own, 'a short one in between changes nothing')
  assert.equal(read(10), own)
  assert.equal(next(), shared, 'a hundred in a row do')
  assert.equal(own.length, 0, 'and its memory is free')
})

test('what is not sent yet is not written over; it is used again when it is', () => {
  const { world, landing, read, next } = open()
  read(large)
  world.isSent = false
  const first = read(large, 1)
  const second = read(large, 2)
  const third = next()
  assert.equal(new Set([first, second, third]).size, 3)
  assert.deepEqual(world.taken.slice(1), [Buffer.alloc(large, 1), Buffer.alloc(large, 2)])
  landing.giveBack()
  assert.ok(first.length > 0, 'it was not sent')
  world.isSent = true
  landing.giveBack()
  assert.deepEqual([first.length > 0, second.length], [true, 0], 'one is kept')
  world.isSent = false
  assert.equal(read(large), third)
  assert.equal(next(), first)
})

test('behind the last word nothing is kept', () => {
  const { world, landing, read, next } = open()
  const shared = read(large)
  const own = next()
  world.isSent = false
  world.isGoingOn = false
  read(large)
  assert.equal(next(), shared)
  world.isSent = true
  landing.giveBack()
  assert.equal(own.length, 0)
})

test('many connections at once, to readers that are quick or slow: everybody gets what was sent to him', async () => {
  await using opened = new AsyncDisposableStack()
  const texts = Array.from({ length: 6 }, (_, index) => randomBytes(20_000_000 + index))
  const source = createServer(socket => {
    socket.once('data', ([index]: Buffer) => {
      const text = texts[index as number] as Buffer
      let at = 0
      // Pieces of all sizes, with the others in between.
      const more = () => {
        const size = 1 + ((at * 7_919) % (at % 3 === 0 ? 900 : 1_000_000))
        socket.write(text.subarray(at, at + size))
        at += size
        if (at < text.length) setImmediate(more)
        else socket.end()
      }
      more()
    })
  })
  const clients = createServer()
  for (const server of [source, clients]) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.defer(() => void server.close())
  }
  const portOf = (server: typeof source) => (server.address() as AddressInfo).port
  const pairs: { readonly near: Socket; readonly far: Socket }[] = []
  for (const _ of texts) {
    const far = new Socket().connect(portOf(clients), '127.0.0.1')
    const [near] = (await once(clients, 'connection')) as [Socket]
    pairs.push({ near, far })
  }
  const received = pairs.map(async ({ near, far }, index) => {
    const landing = new Landing({
      take: bytes => {
        near.write(bytes)
        if (near.writableLength > 300_000) upstream.pause()
        return true
      },
      isSent: () => near.writableLength === 0
    })
    const upstream = new Socket({ onread: landing.onread }).connect(portOf(source), '127.0.0.1')
    near.on('drain', () => {
      landing.giveBack()
      upstream.resume()
    })
    upstream.on('end', () => near.end())
    upstream.write(Buffer.from([index]))
    const parts: Buffer[] = []
    for await (const part of far) {
      parts.push(part as Buffer)
      if (index % 2 === 0) await new Promise(resolve => setTimeout(resolve, 1))
    }
    assert.ok(Buffer.concat(parts).equals(texts[index] as Buffer), `connection ${index}`)
  })
  await Promise.all(received)
})
