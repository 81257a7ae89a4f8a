/**
 * Clients that are slow, huge, many or gone. The door keeps serving the others, and afterwards has no more sockets, commands at Kubo and,
 * roughly, memory than before.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { TestDaemon } from '../../support/daemon.ts'
import { TestKubo } from '../../support/kubo.ts'
import { testCid } from '../../support/rest.ts'
import { until } from '../../support/until.ts'
import { exchange, multipart, multipartType, request } from '../../support/wire.ts'
import { firstPin } from './case.ts'

const isLinux = process.platform === 'linux'
/** Pooled connections to Kubo may stay. */
const pooled = 64
const growthMaxKiB = 256 << 10
const connectionsMax = 10_000

describe('clients that would do harm', { skip: isLinux ? false : 'needs /proc to count' }, () => {
  let kubo: TestKubo
  let daemon: TestDaemon
  let sockets: number
  let memory: number
  const owned = new AsyncDisposableStack()
  before(async () => {
    kubo = owned.use(await TestKubo.start())
    await kubo.call(`pin/rm?arg=${firstPin}`)
    daemon = owned.use(await TestDaemon.start(kubo.address))
    await serves()
  })
  after(() => owned.disposeAsync())
  beforeEach(async () => {
    sockets = await daemon.sockets()
    memory = await daemon.memory()
  })

  const ask = (line: string) => exchange(daemon.port, { steps: [request(line)] }, 10_000)
  async function serves(): Promise<void> {
    for (const line of ['POST /api/v0/version', 'POST /api/v0/pin/ls?type=direct']) {
      assert.equal((await ask(line)).answers[0]?.statusLine, 'HTTP/1.1 200 OK')
    }
  }
  async function isAsBefore(): Promise<void> {
    await serves()
    await until('no command is left at Kubo', async () => (await kubo.running()).length === 0, 20_000)
    await until('no socket is left', async () => (await daemon.sockets()) <= sockets + pooled)
    await until('memory is near where it was', async () => (await daemon.memory()) - memory < growthMaxKiB, 20_000)
    assert.ok(daemon.isRunning)
  }

  test('400 clients that send their heads byte by byte are answered in the end, and meanwhile others are', async () => {
    await using crowd = await Crowd.of(400, daemon.port)
    const [head, tail] = ['POST /api/v0/version HTTP/1.1\r\nHost: a\r\nConnection: cl', 'ose\r\n\r\n']
    for (const byte of head) crowd.send(byte)
    await serves()
    crowd.send(tail)
    await until('all have their answers', () => crowd.ended === 400, 30_000)
    assert.ok(crowd.texts.every(text => text.startsWith('HTTP/1.1 200 OK')))
    await isAsBefore()
  })

  for (const [what, path] of [
    ['passed', 'add?pin=false'],
    ['pinned', 'add']
  ] as const) {
    test(`200 ${what} uploads that stop in the middle hold nobody up, and are forgotten when their clients go`, async () => {
      const body = multipart({ filename: 'slow', content: Buffer.alloc(40_000, 'slow') })
      const bytes = request(`POST /api/v0/${path}`, {
        headers: [multipartType, `Content-Length: ${body.length}`],
        body: body.subarray(0, 20_000)
      })
      await using crowd = await Crowd.of(200, daemon.port)
      crowd.send(bytes)
      await until('Kubo works at them', async () => (await kubo.running()).filter(command => command === 'add').length === 200, 30_000)
      await serves()
      crowd.leave()
      await isAsBefore()
    })
  }

  test('heads of a mebibyte, fifty at once, are answered as short ones', async () => {
    const head = request('POST /api/v0/version', {
      headers: ['Connection: close', ...Array.from({ length: 10 }, (_, number) => `X-${number}: ${'x'.repeat(100_000)}`)]
    })
    await using crowd = await Crowd.of(50, daemon.port)
    crowd.send(head)
    await serves()
    await until('all have their answers', () => crowd.ended === 50, 30_000)
    assert.ok(crowd.texts.every(text => text.startsWith('HTTP/1.1 200 OK')))
    await isAsBefore()
  })

  test('a million headers are refused with 431, and memory is given back', async () => {
    for (let round = 0; round < 3; round++) {
      await using crowd = await Crowd.of(4, daemon.port)
      crowd.send('POST /api/v0/version HTTP/1.1\r\nHost: a\r\n')
      const part = 'A: b\r\n'.repeat(10_000)
      for (let number = 0; number < 100 && crowd.ended < 4; number++) {
        crowd.send(part)
        await crowd.drained()
      }
      await until('all are refused', () => crowd.ended === 4, 30_000)
      for (const text of crowd.texts) assert.match(text, /^(HTTP\/1.1 431 |$)/)
      await serves()
    }
    await isAsBefore()
  })

  test('a head without an end is cut off at the same length', async () => {
    await using crowd = await Crowd.of(20, daemon.port)
    crowd.send('POST /api/v0/version HTTP/1.1\r\nX: ')
    for (let number = 0; number < 40 && crowd.ended < 20; number++) {
      crowd.send('x'.repeat(100_000))
      await crowd.drained()
    }
    await until('all are cut off', () => crowd.ended === 20, 30_000)
    await isAsBefore()
  })

  test('endless chunk sizes, trailers and chunk extensions do not gather', async () => {
    for (const start of ['0'.repeat(1_000), '1;', '0\r\nX-Trailer: ']) {
      await using crowd = await Crowd.of(10, daemon.port)
      crowd.send(`POST /api/v0/pin/ls?type=direct HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${start}`)
      for (let number = 0; number < 40; number++) {
        crowd.send('0'.repeat(100_000))
        await crowd.drained()
      }
      await serves()
      crowd.leave()
    }
    await isAsBefore()
  })

  test('ten thousand connections, one call each, and others are served meanwhile', async t => {
    // The door has two sockets for each.
    const count = Math.min(connectionsMax, Math.floor((openFilesMax() - 1_000) / 2))
    if (count < connectionsMax) t.diagnostic(`${count} connections only, as a process may have ${openFilesMax()} open files here`)
    await using crowd = await Crowd.of(count, daemon.port)
    crowd.send('POST /api/v0/version HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    await until('all have their answers', () => crowd.answered === count, 90_000)
    await serves()
    crowd.leave()
    await isAsBefore()
  })

  test('a thousand endless answers: leaving ends the commands at Kubo', async () => {
    const count = Math.min(1_000, Math.floor((openFilesMax() - 1_000) / 4))
    await using crowd = await Crowd.of(count, daemon.port)
    crowd.send('POST /api/v0/stats/bw?poll=true&interval=1h HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    await until('all have begun', () => crowd.answered === count, 60_000)
    await serves()
    crowd.leave()
    await isAsBefore()
  })

  test('a client that does not read stops its answer, and nobody else', async () => {
    await using crowd = await Crowd.of(30, daemon.port)
    const large =
      (await kubo.call('add?pin=false&quieter=true', file(Buffer.alloc(24 << 20, 'large')))).text.trim().split('\n').at(-1) ?? ''
    const { Hash } = JSON.parse(large) as { Hash: string }
    crowd.pause()
    crowd.send(`POST /api/v0/cat?arg=${Hash} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`)
    await until('all are being sent', async () => (await kubo.running()).length === 30, 20_000)
    await serves()
    assert.ok((await daemon.memory()) - memory < growthMaxKiB)
    crowd.leave()
    await isAsBefore()
  })

  test('pins whose clients go are given up', async () => {
    await using crowd = await Crowd.of(100, daemon.port)
    crowd.eachSends(number => `POST /api/v0/pin/add?arg=${testCid(number)}&progress=true HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`)
    await until('all are being fetched', () => crowd.answered === 100, 30_000)
    await serves()
    crowd.leave()
    await isAsBefore()
    const { answers } = await ask('POST /api/v0/pin/ls?type=recursive')
    assert.equal(answers[0]?.body.toString(), '{}\n')
  })

  test('connections that come and go at once leave nothing', async () => {
    for (let round = 0; round < 20; round++) {
      await using crowd = await Crowd.of(100, daemon.port)
      if (round % 2 === 0) crowd.send('POST /api/v0/id HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nPOST')
      crowd.leave()
    }
    await isAsBefore()
  })
})

/** Many raw connections that do the same. */
class Crowd implements AsyncDisposable {
  readonly #sockets: readonly Socket[]
  readonly #received: string[]
  ended = 0
  answered = 0

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets
    this.#received = sockets.map(() => '')
    for (const [number, socket] of sockets.entries()) {
      socket.on('data', bytes => {
        if (this.#received[number] === '') this.answered++
        // The beginning says how it was answered.
        if ((this.#received[number] ?? '').length < 200) this.#received[number] += bytes.toString('latin1', 0, 200)
      })
      socket.on('close', () => this.ended++)
      socket.on('end', () => socket.end())
    }
  }

  static async of(count: number, port: number): Promise<Crowd> {
    const sockets: Socket[] = []
    // In waves: a listener's queue is short.
    while (sockets.length < count) {
      const wave = Array.from({ length: Math.min(100, count - sockets.length) }, () => connect(port, '127.0.0.1'))
      await Promise.all(
        wave.map(
          socket =>
            new Promise<void>((resolve, reject) => {
              socket.once('connect', resolve)
              socket.once('error', reject)
            })
        )
      )
      for (const socket of wave) socket.on('error', () => {})
      sockets.push(...wave)
    }
    return new Crowd(sockets)
  }

  get texts(): readonly string[] {
    return this.#received
  }

  send(bytes: string | Buffer): void {
    for (const socket of this.#sockets) if (socket.writable) socket.write(bytes)
  }

  eachSends(bytesOf: (number: number) => string): void {
    for (const [number, socket] of this.#sockets.entries()) socket.write(bytesOf(number))
  }

  /** Each has handed over what it was given, or is over. */
  async drained(): Promise<void> {
    await until('bytes are taken', () => this.#sockets.every(socket => socket.destroyed || socket.writableLength < 1 << 20), 30_000)
  }

  pause(): void {
    for (const socket of this.#sockets) socket.pause()
  }

  leave(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave()
    await until('all are closed', () => this.#sockets.every(({ closed }) => closed))
  }
}

function openFilesMax(): number {
  return Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1_024)
}

function file(content: Buffer<ArrayBuffer>): FormData {
  const form = new FormData()
  form.append('file', new Blob([content]))
  return form
}
