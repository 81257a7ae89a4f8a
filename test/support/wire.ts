/** Speaks HTTP as bytes: what is sent is what the test wrote, what is recorded is what came. */
import { connect, type Socket } from 'node:net'
import { type WireAnswer, WireAnswers } from './wire-answer.ts'

/** Bytes to send, or something to wait for, or the end of the sending side. */
export type Step =
  | string
  | Buffer
  | { readonly until: 'head' | 'body' | 'interim' | 'answer' }
  | { readonly when: Promise<void> }
  | { readonly finish: true }

export interface Exchange {
  readonly steps: readonly Step[]
  /** How many answers are expected; 1 where nothing is said. */
  readonly answers?: number | undefined
  /** The answer has no body whatever its head says. */
  readonly isHead?: boolean | undefined
  /** Stop listening once the head, or the first byte of the body, is there: for answers without an end. */
  readonly leaveAfter?: 'head' | 'body' | undefined
  /** The fate of the connection behind the last answer is not looked at. */
  readonly isLeft?: boolean | undefined
}

export interface Recording {
  readonly answers: readonly WireAnswer[]
  readonly interim: readonly string[]
  /** What became of the connection behind the last answer: `open` means that it took another request. `left` means that we left. */
  readonly end: 'open' | 'closed' | 'left' | 'silent'
  /** Bytes behind the last answer that are no answer. */
  readonly rest: Buffer
}

/** Runs one exchange. `{port}` in it becomes the port that is asked. */
export async function exchange(
  where: number | string,
  { steps, answers: wanted = 1, isHead = false, leaveAfter, isLeft = false }: Exchange,
  limitMs = 20_000
): Promise<Recording> {
  const line = new Line(where, { isHead })
  try {
    await line.opened
    for (const step of steps) {
      if (typeof step === 'string' || Buffer.isBuffer(step)) await line.send(withPort(Buffer.from(step as string), where))
      else if ('finish' in step) line.socket.end()
      else if ('when' in step) await step.when
      else await line.until(() => reached(line, step.until), limitMs)
    }
    if (leaveAfter !== undefined) {
      await line.until(() => reached(line, leaveAfter), limitMs)
      return line.recording('left')
    }
    const isQuiet = !(await line.until(() => line.read.answers.length >= wanted, limitMs))
    if (isQuiet) return line.recording(line.isOver ? 'closed' : 'silent')
    return line.recording(isLeft ? 'left' : await ending(line, limitMs))
  } finally {
    line.socket.destroy()
  }
}

function withPort(bytes: Buffer, where: number | string): Buffer {
  return bytes.includes('{port}') ? Buffer.from(bytes.toString('latin1').replaceAll('{port}', String(where)), 'latin1') : bytes
}

/** Asked again on the same connection where its answer did not say that it closes. */
async function ending(line: Line, limitMs: number): Promise<Recording['end']> {
  const last = line.read.answers.at(-1)
  const says = (wanted: string) =>
    last?.headers.some(([name, value]) => name.toLowerCase() === 'connection' && value.toLowerCase() === wanted) ?? false
  const closes = says('close') || (last?.statusLine.startsWith('HTTP/1.0') && !says('keep-alive'))
  if (!closes && line.socket.writable && !line.isOver) {
    const before = line.read.answers.length
    await line.send(Buffer.from('OPTIONS /api/v0/version HTTP/1.1\r\nHost: probe\r\n\r\n'))
    await line.until(() => line.read.answers.length > before, limitMs)
    if (line.read.answers.length > before) {
      line.read.answers.pop()
      return 'open'
    }
  }
  await line.until(() => line.isOver, Math.min(limitMs, 5_000))
  return line.isOver ? 'closed' : 'silent'
}

function reached(line: Line, what: 'head' | 'body' | 'interim' | 'answer'): boolean {
  if (line.read.answers.length > 0) return true
  if (what === 'interim') return line.read.interim.length > 0
  if (what === 'head') return line.read.head !== undefined
  return what === 'body' && line.read.bodySoFar.length > 0
}

class Line {
  readonly socket: Socket
  readonly read: WireAnswers
  readonly opened: Promise<void>
  isOver = false
  #wake = () => {}
  #rest: Buffer = Buffer.alloc(0)

  constructor(where: number | string, { isHead }: { isHead: boolean }) {
    this.read = new WireAnswers({ isBodiless: () => isHead })
    this.socket =
      typeof where === 'string'
        ? connect({ path: where, allowHalfOpen: true })
        : connect({ port: where, host: '127.0.0.1', allowHalfOpen: true })
    this.socket.setNoDelay(true)
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('connect', resolve)
      this.socket.once('error', reject)
    })
    this.socket.on('data', bytes => {
      this.read.push(bytes)
      this.#wake()
    })
    const over = () => {
      if (!this.isOver) this.#rest = this.read.end()
      this.isOver = true
      this.#wake()
    }
    this.socket.on('error', over)
    this.socket.on('end', over)
    this.socket.on('close', over)
  }

  /** Resolves when the kernel took it, or never will. */
  async send(bytes: Buffer): Promise<void> {
    if (!this.socket.writable) return
    if (this.socket.write(bytes)) return
    await new Promise<void>(resolve => {
      const done = () => {
        for (const event of ['drain', 'close', 'error'] as const) this.socket.off(event, done)
        resolve()
      }
      for (const event of ['drain', 'close', 'error'] as const) this.socket.on(event, done)
    })
  }

  /** @returns whether it came true before the time and the connection were over */
  async until(isSo: () => boolean, limitMs: number): Promise<boolean> {
    const end = performance.now() + limitMs
    while (!isSo()) {
      const leftMs = end - performance.now()
      if (this.isOver || leftMs <= 0) return false
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, leftMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return true
  }

  recording(end: Recording['end']): Recording {
    if (end === 'left' && this.read.head !== undefined) this.#rest = this.read.end()
    return { answers: this.read.answers, interim: this.read.interim, end, rest: this.#rest }
  }
}

/** The bytes of one request, `Host` first, and `Content-Length` where there is a body and nothing else frames it. */
export function request(
  line: string,
  { headers = [], body, version = '1.1' }: { headers?: readonly string[]; body?: string | Buffer | undefined; version?: '1.0' | '1.1' } = {}
): Buffer {
  const isFramed = headers.some(header => /^(content-length|transfer-encoding):/i.test(header))
  const bytes = Buffer.from(body ?? '')
  const framing = isFramed || (body === undefined && !line.startsWith('POST')) ? [] : [`Content-Length: ${bytes.length}`]
  const head = [`${line} HTTP/${version}`, 'Host: kubo', ...headers, ...framing].join('\r\n')
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`), bytes])
}

/** `Transfer-Encoding: chunked` bytes of a body cut in parts. */
export function chunked(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat([
    ...parts.map(part => {
      const bytes = Buffer.from(part as string)
      return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
    }),
    Buffer.from('0\r\n\r\n')
  ])
}

export interface Part {
  readonly name?: string | undefined
  /** Percent-encoded as it goes on the wire. */
  readonly filename?: string | undefined
  readonly type?: string | undefined
  readonly headers?: readonly string[] | undefined
  readonly content?: string | Buffer | undefined
}

export const boundary = 'the-boundary'
export const multipartType = `Content-Type: multipart/form-data; boundary=${boundary}`

/** A multipart body. */
export function multipart(...parts: readonly Part[]): Buffer {
  return Buffer.concat([
    ...parts.flatMap(({ name = 'file', filename, type = 'application/octet-stream', headers = [], content = '' }) => [
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\nContent-Type: ${type}\r\n${headers.map(header => `${header}\r\n`).join('')}\r\n`
      ),
      Buffer.from(content as string),
      Buffer.from('\r\n')
    ]),
    Buffer.from(`--${boundary}--\r\n`)
  ])
}
