/** A Kubo door on a free port in front of any cluster, and a Kubo behind it that says what a test wants. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { type KuboDoorMetrics, type KuboDoorSettings, openKuboDoor } from '../../proxy/kubo/door.ts'
import type { ClusterApi } from '../../src/api.ts'
import { openLog } from '../../src/log.ts'

export type Scripted = (request: IncomingMessage, response: ServerResponse, query: URLSearchParams) => void | Promise<void>

/** Answers commands by script; its gate is open, and what has no script is not found. */
export class ScriptedKubo implements AsyncDisposable {
  /** Commands with their queries, without those of the gate. */
  readonly calls: string[] = []
  /** Headers of the calls that asked for the gate. */
  readonly judged: IncomingMessage['headers'][] = []
  readonly #server: Server
  readonly #scripts: Readonly<Record<string, Scripted>>
  /** What the gate answers instead of being open. */
  gate: { readonly status: number; readonly text: string } | null = null

  private constructor(scripts: Readonly<Record<string, Scripted>>) {
    this.#scripts = scripts
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async start(scripts: Readonly<Record<string, Scripted>> = {}): Promise<ScriptedKubo> {
    const kubo = new ScriptedKubo(scripts)
    await new Promise<void>(resolve => kubo.#server.listen(0, '127.0.0.1', resolve))
    return kubo
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get api(): string {
    return `/ip4/127.0.0.1/tcp/${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://kubo')
    const command = url.pathname.replace('/api/v0/', '')
    if (url.searchParams.get('stream-channels') === 'gate') {
      this.judged.push(request.headers)
      const { status, text } = this.gate ?? { status: 400, text: 'could not convert value "gate" to type "bool"\n' }
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', vary: 'Origin' }).end(text)
      return
    }
    this.calls.push(`${command}${url.search}`)
    const script = this.#scripts[command]
    if (script === undefined) response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n')
    else await script(request, response, url.searchParams)
  }
}

/** A script that answers one JSON value a line, with an error in the trailer if there is one. */
export function says(...lines: readonly unknown[]): Scripted {
  return async (request, response) => {
    for await (const _ of request);
    response.writeHead(200, { 'content-type': 'application/json', trailer: 'X-Stream-Error' })
    for (const line of lines) response.write(`${JSON.stringify(line)}\n`)
    response.end()
  }
}

export interface TestKuboDoor extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** The lines logged so far. */
  readonly logged: readonly string[]
}

export async function openTestKuboDoor(
  api: ClusterApi,
  kubo: Pick<ScriptedKubo, 'api'>,
  settings: Partial<KuboDoorSettings> = {},
  metrics?: KuboDoorMetrics
): Promise<TestKuboDoor> {
  const logged: string[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logged.push(String(chunk))
      done()
    }
  })
  const door = await openKuboDoor(
    { api, log: openLog({ level: 'debug', name: 'test' }, sink), metrics },
    { listen: ['/ip4/127.0.0.1/tcp/0'], node: kubo.api, waitFor: 'min', closeTimeoutMs: 200, ...settings }
  )
  const port = Number(/\/tcp\/(\d+)/.exec(door.addresses[0] ?? '')?.[1])
  return { url: `http://127.0.0.1:${port}`, port, logged, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() }
}

/** POST to a door, the answer read to its end. */
export async function call(
  { url }: Pick<TestKuboDoor, 'url'>,
  path: string,
  init: RequestInit = {}
): Promise<{ status: number; text: string; headers: Headers }> {
  const answer = await fetch(`${url}/api/v0/${path}`, { method: 'POST', ...init })
  return { status: answer.status, text: await answer.text(), headers: answer.headers }
}
