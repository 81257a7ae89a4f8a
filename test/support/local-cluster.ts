/** A cluster by `flotilla up`, as a user starts it: real daemons, real Kubos, real sockets. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { FlotillaClient } from '../../src/client.ts'
import { until } from './until.ts'

const ownProgram = resolve(import.meta.dirname, '../../cli/bin.js')
const run = promisify(execFile)

export interface LocalPeer {
  readonly name: string
  readonly id: string
  readonly role: string
  readonly pid: number
  readonly rest: string
  readonly door: string
  readonly kubo: string
  readonly dir: string
  readonly kuboDir: string
}

export class LocalCluster implements AsyncDisposable {
  readonly peers: readonly LocalPeer[]
  readonly dir: string
  readonly basePort: number
  readonly #up: ChildProcess
  readonly #restarted: ChildProcess[] = []

  private constructor(peers: readonly LocalPeer[], up: ChildProcess, { dir, basePort }: { dir: string; basePort: number }) {
    this.peers = peers
    this.#up = up
    this.dir = dir
    this.basePort = basePort
  }

  static async start({
    peers = 3,
    dir,
    basePort,
    program = ownProgram
  }: {
    peers?: number
    dir?: string
    basePort?: number
    program?: string
  } = {}): Promise<LocalCluster> {
    const folder = dir ?? (await mkdtemp(join(tmpdir(), 'flotilla-e2e-')))
    const port = basePort ?? (await freeBase(peers))
    const up = spawn(process.execPath, [program, 'up', '--json', '--peers', String(peers), '--dir', folder, '--base-port', String(port)], {
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let output = ''
    let complaint = ''
    up.stdout?.on('data', chunk => (output += chunk))
    up.stderr?.on('data', chunk => (complaint += chunk))
    await until(
      'the cluster is ready',
      () => {
        if (up.exitCode !== null) throw new Error(`up ended with ${up.exitCode}: ${complaint}`)
        return output.includes('\n')
      },
      90_000
    )
    return new LocalCluster(JSON.parse(output).peers, up, { dir: folder, basePort: port })
  }

  client(number: number): FlotillaClient {
    return new FlotillaClient({ address: this.peer(number).rest })
  }

  peer(number: number): LocalPeer {
    const peer = this.peers[number]
    if (peer === undefined) throw new Error(`there is no peer ${number}`)
    return peer
  }

  /** The number of the peer that leads now, as peer `asked` sees it. */
  async leader(asked = 0): Promise<number> {
    await using client = this.client(asked)
    const number = await until('a leader', async () => {
      const { leader } = await client.overview()
      const number = this.peers.findIndex(({ id }) => id === leader)
      return number === -1 ? undefined : String(number)
    })
    return Number(number)
  }

  /** kill -9 where nothing else is said, as it runs now (it may have been started again). */
  async kill(number: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const [pid = ''] = (await readFile(join(this.peer(number).dir, 'pid'), 'utf8')).split(' ')
    process.kill(Number(pid), signal)
  }

  /** Starts the daemon of one folder alone. */
  restart(number: number): ChildProcess {
    const child = spawn(process.execPath, [ownProgram, 'daemon'], {
      env: { ...process.env, FLOTILLA_PATH: this.peer(number).dir },
      stdio: 'ignore'
    })
    this.#restarted.push(child)
    return child
  }

  /** The real `ipfs` program through a peer's door. */
  async ipfs(number: number, ...words: string[]): Promise<string> {
    const { stdout } = await run(process.env.KUBO_BIN ?? 'ipfs', ['--api', this.peer(number).door, ...words], {
      env: { ...process.env, IPFS_PATH: join(this.dir, 'client') }
    })
    return stdout
  }

  /** Whether the peer's own Kubo has a pin, asked directly. */
  async hasPin(number: number, cid: string): Promise<boolean> {
    const answer = await fetch(`${this.peer(number).kubo}/api/v0/pin/ls?arg=${cid}&type=recursive`, { method: 'POST' })
    return answer.status === 200
  }

  /** Ctrl-C. @returns the milliseconds it took */
  async stop(): Promise<number> {
    const started = performance.now()
    for (const child of this.#restarted) child.kill('SIGTERM')
    if (this.#up.exitCode === null && this.#up.signalCode === null) {
      const ended = new Promise(resolve => this.#up.on('exit', resolve))
      this.#up.kill('SIGINT')
      await ended
    }
    return performance.now() - started
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

/** A base whose ports are free now. */
export async function freeBase(peers: number): Promise<number> {
  for (let base = 20_000 + (process.pid % 200) * 100; ; base += 100) {
    const wanted = Array.from({ length: peers }, (_, number) => [0, 1, 2, 5, 6, 7].map(offset => base + 10 * number + offset)).flat()
    if ((await Promise.all(wanted.map(isFree))).every(Boolean)) return base
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
