/** Load on a door: raw on sockets, so that it costs less than what is measured. */
import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'

const answerMs = 120_000
/** One for all connections: what comes is looked at before the next read. */
const room = Buffer.allocUnsafe(256 << 10)
const chunkedEnd = Buffer.from('\r\n0\r\n\r\n')

/** A connection that asks one thing after the other. */
class Caller implements Disposable {
  readonly #socket: Socket
  #ended: ((failure?: Error) => void) | null = null
  /** Of the answer's body, framing included; `null` before its head has come, and then what there is of the head. */
  #left: number | 'chunked' | null = null
  #head = ''
  #tail = Buffer.alloc(0)

  private constructor(port: number, connected: (failure?: Error) => void) {
    const onread = { buffer: room, callback: (length: number, bytes: Uint8Array) => this.#read(bytes as Buffer, length) }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('connect', () => connected())
    this.#socket.on('error', error => {
      connected(error)
      this.#ended?.(error)
    })
    this.#socket.on('close', () => this.#ended?.(new Error('the connection ended before the answer')))
  }

  static open(port: number): Promise<Caller> {
    return new Promise((resolve, reject) => {
      const caller: Caller = new Caller(port, failure => (failure ? reject(failure) : resolve(caller)))
    })
  }

  /** Resolves when the whole answer is there. @throws Error for any status but 200 */
  call(request: string, body?: (socket: Socket) => Promise<void>): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no answer')), answerMs)
      this.#ended = failure => {
        clearTimeout(late)
        this.#ended = null
        if (failure) reject(failure)
        else resolve()
      }
    })
    this.#socket.write(request)
    void body?.(this.#socket)
    return answered
  }

  /** Resolves with the first bytes of the answer. */
  begin(request: string): Promise<void> {
    const whole = this.call(request)
    whole.catch(() => {})
    return new Promise(resolve => {
      this.#began = resolve
    })
  }

  #began: (() => void) | null = null

  #read(bytes: Buffer, length: number): boolean {
    this.#began?.()
    this.#began = null
    let from = 0
    if (this.#left === null) {
      const before = this.#head.length
      this.#head += bytes.toString('latin1', 0, length)
      const end = this.#head.indexOf('\r\n\r\n')
      if (end === -1) return true
      from = end + 4 - before
      if (!this.#head.startsWith('HTTP/1.1 200 ')) {
        this.#ended?.(new Error(this.#head))
        return true
      }
      const [, bodyLength] = /\r\ncontent-length: (\d+)\r\n/i.exec(this.#head) ?? []
      this.#left = bodyLength === undefined ? 'chunked' : Number(bodyLength)
      // The line end of the head stands before an empty body's last chunk.
      this.#tail = Buffer.from('\r\n')
      this.#head = ''
    }
    if (this.#left === 'chunked') {
      this.#tail = Buffer.concat([this.#tail, bytes.subarray(Math.max(from, length - chunkedEnd.length), length)]).subarray(
        -chunkedEnd.length
      )
      if (!this.#tail.equals(chunkedEnd)) return true
    } else {
      this.#left -= length - from
      if (this.#left > 0) return true
    }
    this.#left = null
    this.#ended?.()
    return true
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

function post(path: string, headers = 'Content-Length: 0\r\n'): string {
  return `POST /api/v0/${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n${headers}\r\n`
}

/** @returns milliseconds of every call, sorted */
export async function calls(
  port: number,
  path: string,
  { clients, count }: { clients: number; count: number }
): Promise<readonly number[]> {
  const request = post(path)
  const latencies: number[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: clients }, async () => {
      using caller = await Caller.open(port)
      while (next++ < count) {
        const began = performance.now()
        await caller.call(request)
        latencies.push(performance.now() - began)
      }
    })
  )
  return latencies.sort((a, b) => a - b)
}

export async function download(port: number, path: string): Promise<void> {
  using caller = await Caller.open(port)
  await caller.call(post(path))
}

const partHead = '--bench\r\nContent-Disposition: form-data; name="file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n'
const partEnd = '\r\n--bench--\r\n'
/** As Go's clients write. */
const pieceBytes = 32 << 10

/** Kubo cuts the content into blocks and hashes them, and keeps nothing. @param framing of the request */
export async function upload(port: number, { bytes, framing }: { bytes: number; framing: 'length' | 'chunked' }): Promise<void> {
  const piece = Buffer.alloc(pieceBytes, 'flotilla')
  const framed = (bytes: Buffer) =>
    framing === 'length' ? bytes : Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
  const first = framed(Buffer.from(partHead))
  const middle = framed(piece)
  const last = Buffer.concat([framed(Buffer.from(partEnd)), Buffer.from(framing === 'length' ? '' : '0\r\n\r\n')])
  const length = framing === 'length' ? `Content-Length: ${first.length + bytes + last.length}` : 'Transfer-Encoding: chunked'
  using caller = await Caller.open(port)
  const request = post('add?only-hash=true&quieter=true', `${length}\r\nContent-Type: multipart/form-data; boundary=bench\r\n`)
  await caller.call(request, async socket => {
    socket.write(first)
    let hasRoom: (() => void) | undefined
    for (const event of ['drain', 'close']) socket.on(event, () => hasRoom?.())
    for (let sent = 0; sent < bytes && !socket.destroyed; sent += pieceBytes) {
      if (!socket.write(middle)) await new Promise<void>(resolve => (hasRoom = resolve))
    }
    socket.write(last)
  })
}

/** Streams that have begun and then say nothing. */
export async function idleStreams(port: number, count: number): Promise<Disposable> {
  const callers: Caller[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      while (next++ < count) {
        const caller = await Caller.open(port)
        callers.push(caller)
        await caller.begin(post('stats/bw?poll=true&interval=1h'))
      }
    })
  )
  return { [Symbol.dispose]: () => callers.forEach(caller => void caller[Symbol.dispose]()) }
}
