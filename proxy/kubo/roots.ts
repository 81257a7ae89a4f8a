/**
 * `add`, `block/put`, `dag/put`, `dag/import`: Kubo does the work, with every option of today and tomorrow, and pins; the cluster makes each root
 * everybody's pin. The upload goes to Kubo byte for byte. The line that names a root is sent only when the cluster has it, so that also a client that
 * reads no trailers sees a failure; and Kubo's own pin holds the content until then.
 */
import type { Socket } from 'node:net'
import { tryCid } from '../../src/codec.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Cid, PeerId } from '../../src/types.ts'
import { CommandAnswer, sendFailure } from './answer.ts'
import { type AnswerHead, Answers } from './answers.ts'
import { type Asked, agreed, pinFailure, settle } from './asked.ts'
import type { Exchange } from './connection.ts'
import { LineCutter } from './lines.ts'
import type { OwnPins } from './own-pins.ts'
import { type Header, headerText } from './reply.ts'
import { uploadLine } from './upload-text.ts'
import { kuboFailure } from './upstream.ts'

export interface RootsParts extends Omit<Asked, 'answer' | 'args'> {
  readonly exchange: Exchange
  readonly upstream: Socket
  /** The request as Kubo must see it. */
  readonly head: string
  /** Kubo's answer head as the client must see it. */
  readonly toClient: (answerHead: string) => string
  readonly unreachable: (error: unknown) => ClusterError
  readonly self: () => Promise<PeerId>
  readonly ownPins: OwnPins
}

/** Lines of Kubo's that wait for the cluster before Kubo is no longer read. */
const linesAhead = 256
/** The head of the first part of an upload is within its first bytes. */
const sniffedBytes = 4_096
/** A refusal of Kubo's is a sentence. */
const refusalBytesMax = 1 << 20

export async function forwardRoots(parts: RootsParts): Promise<void> {
  const { exchange, upstream, signal } = parts
  using answer = new KuboAnswer(parts)
  const uploaded = upload(parts)
  const head = await answer.head()
  if (head === null) {
    // A client that is there still hears that its time is over.
    const error = signal.aborted ? signal.reason : parts.unreachable(answer.error ?? new Error('it closed the connection'))
    sendFailure(exchange.reply, error)
    return
  }
  const headers = headersOf(parts.toClient(head.text))
  if (head.status !== 200) return relayRefusal(parts, answer, head, headers)
  const { command, format } = parts.call
  const output = new CommandAnswer(exchange.reply, {
    format,
    isStream: false,
    headers: headers.filter(([name]) => !/^(content-type|trailer)$/i.test(name))
  })
  // Kubo's head leaves when it comes, as from Kubo.
  output.begin()
  try {
    for await (const line of rootLines({ ...parts, answer: output, args: [] }, answer, uploaded))
      await output.write(uploadLine(command, format, line))
    const late = answer.streamError()
    if (late !== undefined) throw new ClusterError({ code: 'kubo_error', status: 500, kuboCode: 0 }, late)
    if (!answer.isWhole) exchange.reply.breakOff()
    else output.end()
  } catch (error) {
    output.fail(pinFailure(error))
  } finally {
    upstream.destroy()
  }
}

/** What an upload tells of itself. */
interface Upload {
  /** A directory without a name: what is in it has no slash in its name, and is no root all the same. Go's client sends directories so. */
  readonly isUnnamedDirectory: boolean
}

/** The body goes to Kubo as it comes; what Kubo no longer takes is dropped. */
function upload({ exchange, upstream, head }: RootsParts): Upload {
  let beginning = ''
  upstream.write(head, 'latin1')
  upstream.on('drain', () => exchange.resumeBody())
  upstream.on('close', () => exchange.resumeBody())
  exchange.takeBody({
    raw: bytes => {
      if (beginning.length < sniffedBytes) beginning += bytes.toString('latin1', 0, sniffedBytes - beginning.length)
      return upstream.destroyed || upstream.write(bytes)
    },
    end: isWhole => {
      if (!isWhole) upstream.end()
    }
  })
  return {
    get isUnnamedDirectory() {
      const [, partHead = ''] = /(content-disposition:.*?)\r\n\r\n/is.exec(beginning) ?? []
      return /filename=(""|;|\s|$)/i.test(partHead) && /application\/x-directory/i.test(partHead)
    }
  }
}

/** What to send of Kubo's lines, in order, each when the cluster has the roots that it names. */
async function* rootLines(asked: RootsParts & Asked, answer: KuboAnswer, uploaded: Upload): AsyncGenerator<string, void, undefined> {
  const { call } = asked
  switch (call.command) {
    case 'add': {
      const isSilent = call.flag('silent', false)
      const name = call.text('pin-name') ?? ''
      /** Kubo pins a root when the next entry begins or everything has ended, and only then it is ours to rely on. */
      let held: { readonly line: string; readonly cid: Cid; readonly of: string } | null = null
      for await (const line of answer.lines()) {
        const { Name = '', Hash } = JSON.parse(line) as { Name?: string; Hash?: string }
        const cid = Hash === undefined ? undefined : tryCid(Hash)
        if (held && (cid !== undefined || Name !== held.of)) {
          await keep(asked, held.cid, name)
          if (!isSilent) yield held.line
          held = null
        }
        const isWrapped = call.flag('wrap-with-directory', false) || uploaded.isUnnamedDirectory
        const isRoot = cid !== undefined && (isWrapped ? Name === '' : !Name.includes('/'))
        if (isRoot) held = { line, cid, of: Name }
        else if (!isSilent) yield line
      }
      if (held && answer.isClean) {
        await keep(asked, held.cid, name)
        if (!isSilent) yield held.line
      }
      return
    }
    case 'block/put':
      for await (const line of answer.lines()) {
        const cid = tryCid((JSON.parse(line) as { Key?: string }).Key ?? '')
        if (cid !== undefined) await keep(asked, cid, '')
        yield line
      }
      return
    case 'dag/put': {
      // Kubo tells of a node before it is stored: only its clean end says that it is.
      const held: string[] = []
      for await (const line of answer.lines()) held.push(line)
      if (!answer.isClean) return
      for (const line of held) {
        const cid = tryCid((JSON.parse(line) as { Cid?: { '/'?: string } }).Cid?.['/'] ?? '')
        if (cid !== undefined) await keep(asked, cid, '')
        yield line
      }
      return
    }
    case 'dag/import':
      for await (const line of answer.lines()) {
        const { Root } = JSON.parse(line) as { Root?: { Cid?: { '/'?: string }; PinErrorMsg?: string } }
        if (Root === undefined || Root === null) {
          yield line
          continue
        }
        yield await importedLine(asked, line, Root)
      }
      return
    default:
      throw new Error(`${call.command} names no roots`)
  }
}

/** The command goes on with the other roots when one could not be pinned, and tells so in its line. */
async function importedLine(
  asked: RootsParts & Asked,
  line: string,
  root: { Cid?: { '/'?: string }; PinErrorMsg?: string }
): Promise<string> {
  const cid = tryCid(root.Cid?.['/'] ?? '')
  if (cid === undefined || (root.PinErrorMsg ?? '') !== '') return line
  try {
    await keep(asked, cid, '')
    return line
  } catch (error) {
    asked.signal.throwIfAborted()
    return line.replace('"PinErrorMsg":""', `"PinErrorMsg":${JSON.stringify(messageOf(error))}`)
  }
}

/** Makes a root the cluster's. Kubo's own pin is in the way only where this peer is not to hold it. */
async function keep(asked: RootsParts & Asked, cid: Cid, name: string): Promise<void> {
  const { api, signal, ownPins } = asked
  const self = await asked.self()
  const before = await agreed(asked, cid)
  // The content is on this peer already: a copy here costs nothing.
  const isKept = before?.mode === 'recursive' && (name === '' || name === before.name)
  const pin = isKept
    ? before
    : await api.pin(cid, { ...(before && keptOf(before)), name: name || before?.name || '', userAllocations: [self], signal })
  await settle(asked, cid)
  await ownPins.release({ ...asked, self }, pin)
}

function keptOf({ replicationMin, replicationMax, metadata, origins }: Awaited<ReturnType<Asked['api']['pin']>>) {
  return { replicationMin, replicationMax, metadata, origins }
}

/** Kubo refused, and says why: its status, headers, words and trailers as they are. */
async function relayRefusal(
  { exchange, call }: RootsParts,
  answer: KuboAnswer,
  head: AnswerHead,
  headers: readonly Header[]
): Promise<void> {
  const { reply } = exchange
  const body = await answer.text()
  const isError = headers.some(([name, value]) => /^content-type$/i.test(name) && value === 'application/json')
  if (!answer.isWhole) reply.breakOff()
  else if (call.format !== 'json' && isError) {
    const kept = headers.filter(([name]) => !/^(content-type|trailer)$/i.test(name))
    new CommandAnswer(reply, { format: call.format, isStream: false, headers: kept }).fail(kuboFailure(head.status, JSON.parse(body), body))
  } else if (headers.some(([name]) => /^trailer$/i.test(name))) {
    reply.begin(head.status, headers)
    reply.write(body)
    const late = answer.streamError()
    reply.end(late === undefined ? [] : [['X-Stream-Error', headerText(late)]])
  } else reply.send(head.status, headers, body)
}

/** Without what is about the connection: the door's own has its own. */
function headersOf(head: string): Header[] {
  return [...head.matchAll(/^([^:\r\n]+):[ \t]*(.*?)[ \t]*\r?$/gm)].flatMap(([, name = '', value = '']): Header[] =>
    /^(connection|content-length|date|keep-alive|transfer-encoding)$/i.test(name) ? [] : [[name, value]]
  )
}

/** Kubo's answer to a forwarded upload, read no faster than it is used. */
class KuboAnswer implements Disposable {
  readonly #upstream: Socket
  readonly #cutter = new LineCutter()
  readonly #head = Promise.withResolvers<AnswerHead | null>()
  #chunks: Buffer[] = []
  #isRefusal = false
  #trailers = ''
  #hasEnded = false
  #woken = Promise.withResolvers<void>()
  #lines: string[] = []
  isWhole = false
  error: unknown

  constructor({ upstream, exchange, signal }: RootsParts) {
    this.#upstream = upstream
    const answers = new Answers({
      head: head => {
        if (head.status === 100) exchange.reply.wantBody()
        if (head.status < 200) return
        this.#isRefusal = head.status !== 200
        this.#head.resolve(head)
      },
      content: bytes => this.#take(bytes),
      end: trailers => {
        this.#trailers = trailers
        this.isWhole = true
        this.#end()
      }
    })
    answers.ask({ method: 'POST' })
    upstream.on('data', (bytes: Buffer) => answers.read(bytes))
    upstream.on('end', () => this.#end())
    upstream.on('error', error => {
      this.error = error
      this.#end()
    })
    upstream.on('close', () => this.#end())
    const stop = () => {
      this.error ??= signal.reason
      upstream.destroy()
    }
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  }

  /** `null` where the connection ended without one. */
  head(): Promise<AnswerHead | null> {
    return this.#head.promise
  }

  /** It came to its end, and without an error of Kubo's. */
  get isClean(): boolean {
    return this.isWhole && this.streamError() === undefined
  }

  streamError(): string | undefined {
    const [, value] = /^x-stream-error:[ \t]*(.*?)\r?$/im.exec(this.#trailers) ?? []
    return value === undefined || value === '' ? undefined : Buffer.from(value, 'latin1').toString('utf8')
  }

  /** Kubo's lines with their ends, until its answer ends or breaks. */
  async *lines(): AsyncGenerator<string, void, undefined> {
    for (;;) {
      const line = this.#lines.shift()
      if (line !== undefined) {
        if (this.#lines.length < linesAhead / 2) this.#upstream.resume()
        yield line
      } else if (this.#hasEnded) return
      else {
        this.#woken = Promise.withResolvers()
        await this.#woken.promise
      }
    }
  }

  async text(): Promise<string> {
    while (!this.#hasEnded) {
      this.#woken = Promise.withResolvers()
      await this.#woken.promise
    }
    return Buffer.concat(this.#chunks).toString('utf8')
  }

  #take(bytes: Buffer): void {
    if (this.#isRefusal) {
      this.#chunks.push(bytes)
      if (this.#chunks.reduce((sum, { length }) => sum + length, 0) > refusalBytesMax) this.#upstream.destroy()
      return
    }
    try {
      for (const line of this.#cutter.cut(bytes)) this.#lines.push(`${line.toString('utf8')}\n`)
    } catch (error) {
      this.#upstream.destroy(error instanceof Error ? error : undefined)
    }
    if (this.#lines.length >= linesAhead) this.#upstream.pause()
    this.#woken.resolve()
  }

  #end(): void {
    this.#hasEnded = true
    this.#head.resolve(null)
    this.#woken.resolve()
  }

  [Symbol.dispose](): void {
    this.#upstream.destroy()
  }
}
