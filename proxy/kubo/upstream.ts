/** The Kubo behind the door: connections that keep an answer readable after an upload broke, and raw requests over them. */
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { kuboAddress } from '../../src/address.ts'

export class Upstream {
  readonly #agent: Agent
  readonly #target: { readonly host: string; readonly port: number } | { readonly socketPath: string }

  /** @param api Kubo's API: a multiaddress or a URL */
  constructor(api: string) {
    const { origin, socketPath } = kuboAddress(api)
    const { hostname, port } = new URL(origin)
    this.#target = socketPath === null ? { host: hostname, port: Number(port || 80) } : { socketPath }
    this.#agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 64, scheduling: 'lifo' })
    // Node's own sockets forget what was received when a write fails; Kubo answers before an upload ends, and then closes.
    this.#agent.createConnection = options => keepReading(connect(options as never))
  }

  /** Kubo's port; 0 on a Unix socket. */
  get port(): number {
    return 'port' in this.#target ? this.#target.port : 0
  }

  /** @param headers names and values in turn, sent as they stand */
  open(method: string, path: string, headers: readonly string[]): ClientRequest {
    return request({ ...this.#target, method, path, headers: headers as never, agent: this.#agent, setHost: false, maxHeaderSize: 1 << 20 })
  }

  /** A call of our own, without a body; the whole answer. */
  async call(
    path: string,
    { headers = [], signal }: { headers?: readonly string[]; signal?: AbortSignal } = {}
  ): Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }> {
    const outgoing = this.open('POST', path, ['Host', 'kubo', ...headers, 'Content-Length', '0'])
    const abort = () => outgoing.destroy(new Error('given up'))
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => outgoing.on('response', resolve).on('error', reject).end())
      const chunks: Buffer[] = []
      for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
      return { status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Bytes that can no longer be sent are dropped; what Kubo said before it closed stays readable (nodejs/node#12339). */
function keepReading(socket: Socket): Socket {
  type Write = (this: Socket, ...words: unknown[]) => void
  const patched = socket as unknown as { _write: Write; _writev: Write }
  for (const name of ['_write', '_writev'] as const) {
    const write = patched[name]
    patched[name] = function (...words) {
      const done = words.at(-1) as () => void
      write.call(this, ...words.slice(0, -1), () => done())
    }
  }
  return socket
}
