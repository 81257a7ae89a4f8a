/** One peer of its own cluster as a user runs it, by `flotilla daemon`, in front of a Kubo that the test owns. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { initFolder } from '../../cli/peer-folder.ts'
import { FlotillaClient } from '../../src/client.ts'
import { parseMultiaddr } from '../../src/codec.ts'
import type { ConfigChanges } from '../../src/config.ts'
import { until } from './until.ts'

const program = resolve(import.meta.dirname, '../../cli/bin.js')

export type Command = readonly [file: string, ...words: string[]]

export class TestDaemon implements AsyncDisposable {
  readonly folder: string
  /** The port of its Kubo door. */
  readonly port: number
  /** A multiaddress. */
  readonly door: string
  readonly rest: string
  readonly #process: ChildProcess
  readonly #log: () => string

  private constructor(child: ChildProcess, log: () => string, { folder, kubo, rest }: { folder: string; kubo: string; rest: string }) {
    this.#process = child
    this.#log = log
    this.folder = folder
    this.door = kubo
    this.rest = rest
    this.port = Number(/\/tcp\/(\d+)/.exec(kubo)?.[1])
  }

  /**
   * @param kubo multiaddress of Kubo's API
   * @param how.variables of its environment
   * @param how.command what starts flotilla
   */
  static async start(
    kubo: string,
    changes: ConfigChanges = {},
    { variables = {}, command = [process.execPath, program] }: { variables?: Readonly<Record<string, string>>; command?: Command } = {}
  ): Promise<TestDaemon> {
    const folder = await mkdtemp(join(tmpdir(), 'flotilla-peer-'))
    const anyPort = [parseMultiaddr('/ip4/127.0.0.1/tcp/0')]
    const address = parseMultiaddr(kubo)
    await initFolder(
      folder,
      {
        cluster: { peername: 'alone', listenMultiaddress: anyPort },
        api: {
          restapi: { httpListenMultiaddress: anyPort },
          ipfsproxy: { listenMultiaddress: anyPort, nodeMultiaddress: address }
        },
        ipfsConnector: { ipfshttp: { nodeMultiaddress: address } },
        ...changes
      },
      { force: false, variables: {} }
    )
    const [file, ...words] = command
    const child = spawn(file, [...words, 'daemon'], {
      env: { ...process.env, ...variables, FLOTILLA_PATH: folder },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (output = `${output}${chunk}`.slice(-1_000_000)))
    try {
      const ready = await until(
        'the daemon is ready',
        () => {
          if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${output.slice(-2_000)}`)
          return output.split('\n').find(line => line.includes('"msg":"ready"'))
        },
        60_000
      )
      const { rest, kubo } = JSON.parse(ready) as { rest: readonly string[]; kubo: readonly string[] }
      const daemon = new TestDaemon(child, () => output, { folder, kubo: kubo[0] ?? '', rest: rest[0] ?? '' })
      await using client = daemon.client()
      await until('it leads and knows its Kubo', async () => {
        const { leader, peers } = await client.overview()
        return leader !== null && peers.every(({ kuboError }) => kuboError === '')
      })
      return daemon
    } catch (error) {
      child.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  client(): FlotillaClient {
    return new FlotillaClient({ address: this.rest })
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** What it logged so far, the last megabyte of it. */
  get log(): string {
    return this.#log()
  }

  /** Sockets that are open in it now. */
  async sockets(): Promise<number> {
    return socketsOf(this.pid)
  }

  /** Resident memory in KiB. */
  async memory(): Promise<number> {
    return memoryOf(this.pid)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) {
      const ended = new Promise(resolve => this.#process.once('exit', resolve))
      this.#process.kill('SIGTERM')
      const cut = setTimeout(() => this.#process.kill('SIGKILL'), 10_000)
      await ended
      clearTimeout(cut)
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

/** From `/proc`, so only on Linux. */
export async function socketsOf(pid: number): Promise<number> {
  const names = await readdir(`/proc/${pid}/fd`)
  const targets = await Promise.all(names.map(name => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')))
  return targets.filter(target => target.startsWith('socket:')).length
}

async function memoryOf(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1])
}
