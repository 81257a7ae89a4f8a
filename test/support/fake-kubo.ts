/**
 * A Kubo that fails on demand: a real server on a real socket, with the answers of Kubo's RPC for what the cluster asks of it. Its pins are in
 * memory; nothing is fetched.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Kubo, type KuboSettings } from '../../cluster/ipfs/kubo.ts'
import type { Cid, PinMode } from '../../src/types.ts'

export type Fault =
  /** Takes the request and never says anything. */
  | { readonly type: 'hang' }
  /** Speaks for ever, twice a second in Kubo's case, of no progress. */
  | { readonly type: 'stuck' }
  /** One more node with every line, until the promise resolves; then as usual. */
  | { readonly type: 'slow'; readonly until: Promise<unknown> }
  /** Breaks off after the first line. */
  | { readonly type: 'close' }
  /** The command fails before its first output. */
  | { readonly type: 'error'; readonly message: string; readonly status?: number; readonly isText?: boolean }
  /** The command fails after some output: the message is in the trailer. */
  | { readonly type: 'late'; readonly message: string }
  /** The command says it is done, and does nothing. */
  | { readonly type: 'body'; readonly text: string }

export interface FakePin {
  readonly mode: PinMode
  readonly name: string
}

export class FakeKubo implements AsyncDisposable {
  readonly pins = new Map<Cid, FakePin>()
  /** Commands as they came, with their first argument. */
  readonly calls: string[] = []
  /** Every CID that `pin/add` was asked for, several to a call or not. */
  readonly pinned: Cid[] = []
  /** Whose connection ended before their answer. */
  readonly cutOff: string[] = []
  /** By command (`pin/add`), or by command and first argument (`pin/add bafk…`). */
  readonly faults = new Map<string, Fault>()
  /** Pins that run now, and the most that ever did. */
  running = 0
  runningMost = 0
  repoBytes = 1_000
  maxBytes = 10_000
  /** Called before each line of a list of pins. */
  onListed: (() => Promise<void> | void) | undefined
  #server: Server | undefined
  #sockets = new Set<Socket>()
  #port = 0

  static async start(): Promise<FakeKubo> {
    const kubo = new FakeKubo()
    await kubo.start()
    return kubo
  }

  get api(): string {
    return `/ip4/127.0.0.1/tcp/${this.#port}`
  }

  client(settings: Partial<KuboSettings> = {}): Kubo {
    return new Kubo({ api: this.api, requestTimeoutMs: 5_000, pinTimeoutMs: 5_000, unpinTimeoutMs: 5_000, ...settings })
  }

  /** On the port it had before, if it had one. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response))
    server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
  }

  /** As kill -9: connections break, the port is closed. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise(resolve => server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  count(command: string): number {
    return this.calls.filter(call => call === command || call.startsWith(`${command} `)).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://kubo')
    const command = url.pathname.replace('/api/v0/', '')
    const argument = url.searchParams.get('arg') ?? ''
    const name = argument === '' ? command : `${command} ${argument}`
    this.calls.push(name)
    if (command === 'pin/add') this.pinned.push(...(url.searchParams.getAll('arg') as Cid[]))
    let isGone = false
    response.on('close', () => {
      isGone = true
      if (!response.writableEnded) this.cutOff.push(name)
    })
    // Of several arguments the first one that fails ends the call.
    const args = url.searchParams.getAll('arg')
    const fault = args.map(arg => this.faults.get(`${command} ${arg}`)).find(Boolean) ?? this.faults.get(command)
    const isPin = command === 'pin/add'
    if (isPin) this.runningMost = Math.max(this.runningMost, ++this.running)
    try {
      if (fault) {
        const isOver = await this.#fail(command, fault, response, () => isGone)
        if (isOver || isGone) return
      }
      await this.#run(command, url.searchParams, response)
    } finally {
      if (isPin) this.running--
    }
  }

  /** @returns whether that was the answer */
  async #fail(command: string, fault: Fault, response: ServerResponse, isGone: () => boolean): Promise<boolean> {
    switch (fault.type) {
      case 'hang':
        await new Promise(resolve => response.on('close', resolve))
        return true
      case 'stuck':
        while (!isGone()) {
          line(response, {})
          await pause()
        }
        return true
      case 'slow': {
        let isOver = false
        const end = fault.until.then(() => {
          isOver = true
        })
        for (let nodes = 1; !isOver && !isGone(); nodes++) {
          line(response, { Progress: nodes, Bytes: nodes * 100 })
          await Promise.race([pause(), end])
        }
        return false
      }
      case 'close':
        line(response, this.#first(command))
        await pause()
        response.destroy()
        return true
      case 'error':
        refuse(response, fault)
        return true
      case 'late':
        line(response, this.#first(command))
        response.addTrailers({ 'X-Stream-Error': fault.message })
        response.end()
        return true
      case 'body':
        head(response)
        response.end(fault.text)
        return true
    }
  }

  /** What comes before it goes wrong. */
  #first(command: string): object {
    return command === 'pin/ls' ? { Cid: [...this.pins.keys()][0], Type: 'recursive' } : { Progress: 1, Bytes: 100 }
  }

  async #run(command: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const cid = (query.get('arg') ?? '') as Cid
    const mode: PinMode = query.get('recursive') === 'false' ? 'direct' : 'recursive'
    switch (command) {
      case 'pin/add':
        if (mode === 'direct' && this.pins.get(cid)?.mode === 'recursive') {
          return refuse(response, { message: `pin: ${cid} already pinned recursively` })
        }
        for (const each of query.getAll('arg')) this.pins.set(each as Cid, { mode, name: query.get('name') ?? '' })
        line(response, { Pins: query.getAll('arg') })
        break
      case 'pin/rm':
        if (!this.pins.delete(cid)) return refuse(response, { message: 'not pinned or pinned indirectly' })
        line(response, { Pins: [cid] })
        break
      case 'pin/update': {
        const to = query.getAll('arg')[1] as Cid
        if (this.pins.get(cid)?.mode !== 'recursive') return refuse(response, { message: "'from' cid was not recursively pinned already" })
        this.pins.set(to, { mode: 'recursive', name: '' })
        line(response, { Pins: [cid, to] })
        break
      }
      case 'pin/ls':
        head(response)
        for (const [listed, pin] of [...this.pins]) {
          if (pin.mode !== query.get('type')) continue
          await this.onListed?.()
          if (!line(response, { Cid: listed, Type: pin.mode })) await new Promise(resolve => response.once('drain', resolve))
        }
        break
      case 'id':
        line(response, { ID: 'kubo-id', Addresses: ['/ip4/127.0.0.1/tcp/4001/p2p/kubo-id'] })
        break
      case 'repo/stat':
        line(response, { RepoSize: this.repoBytes, StorageMax: this.maxBytes })
        break
      case 'resolve':
        line(response, { Path: cid })
        break
      case 'swarm/connect':
        line(response, { Strings: [`connect ${cid} success`] })
        break
      default:
        return refuse(response, { message: '404 page not found', status: 404, isText: true })
    }
    response.end()
  }
}

function head(response: ServerResponse): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json', trailer: 'X-Stream-Error' })
}

function line(response: ServerResponse, value: object): boolean {
  head(response)
  return response.write(`${JSON.stringify(value)}\n`)
}

function refuse(
  response: ServerResponse,
  { message, status = 500, isText = false }: { message: string; status?: number; isText?: boolean }
): void {
  response.writeHead(status, { 'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json' })
  response.end(isText ? `${message}\n` : `${JSON.stringify({ Message: message, Code: 0, Type: 'error' })}\n`)
}

/** Between two lines. */
function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, 5))
}
