/** Daemons of one cluster, each a process that can be killed, frozen and started again in its folder. No Kubo, where the test gives none. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { initFolder } from '../../cli/peer-folder.ts'
import { FlotillaClient } from '../../src/client.ts'
import { freeBase } from './local-cluster.ts'
import { until } from './until.ts'

const program = resolve(import.meta.dirname, '../../cli/bin.js')

export interface Daemon {
  readonly child: ChildProcess
  readonly log: () => string
  readonly client: FlotillaClient
}

export class Daemons implements AsyncDisposable {
  readonly #folder: string
  readonly #port: number
  readonly #secret = randomBytes(32).toString('hex')
  readonly #running: Daemon[] = []

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.#port = port
  }

  static async open({ peers }: { peers: number }): Promise<Daemons> {
    return new Daemons(await mkdtemp(join(tmpdir(), 'flotilla-daemons-')), await freeBase(peers))
  }

  /** Peer 0 begins a cluster, the others join through it. @param special variables of its environment */
  async start(number: number, special: Readonly<Record<string, string>> = {}): Promise<Daemon> {
    const at = (peer: number, offset: number) => `/ip4/127.0.0.1/tcp/${this.#port + 10 * peer + offset}`
    const variables = {
      FLOTILLA_PATH: join(this.#folder, String(number)),
      CLUSTER_SECRET: this.#secret,
      CLUSTER_PEERNAME: `peer-${number}`,
      CLUSTER_LISTENMULTIADDRESS: at(number, 2),
      CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: at(number, 0),
      CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: at(number, 1),
      ...special
    }
    await initFolder(variables.FLOTILLA_PATH, {}, { force: true, variables: {} })
    const words = number === 0 ? [] : ['--bootstrap', at(0, 2)]
    const child = spawn(process.execPath, [program, 'daemon', ...words], {
      env: { ...process.env, ...variables },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (output = `${output}${chunk}`.slice(-1_000_000)))
    const daemon = { child, log: () => output, client: new FlotillaClient({ address: at(number, 0) }) }
    this.#running.push(daemon)
    return daemon
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, client } of this.#running) {
      await client[Symbol.asyncDispose]()
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

export async function says(daemon: Daemon, line: string): Promise<void> {
  await until(
    line,
    () => {
      if (daemon.child.exitCode !== null) throw new Error(`the daemon ended: ${daemon.log().slice(-2_000)}`)
      return daemon.log().includes(`"msg":"${line}"`)
    },
    60_000
  )
}
