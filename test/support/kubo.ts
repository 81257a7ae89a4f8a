/** A real Kubo for tests, private and on ports of its own: one alone, or two with one repository's content and identity. */
import { type ChildProcess, spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureKubo } from '../../cli/kubo-binary.ts'
import { kuboIsUp, prepareKubo } from '../../cli/local-kubo.ts'
import { until } from './until.ts'

export type KuboConfig = Record<string, Record<string, unknown>>

export interface KuboWish {
  /** A stopped Kubo whose repository is copied: same identity, same blocks, same pins. */
  readonly like?: TestKubo | undefined
  /** Changes the configuration before the start. */
  readonly configure?: ((config: KuboConfig) => void) | undefined
}

export class TestKubo implements AsyncDisposable {
  readonly folder: string
  readonly rpc: number
  readonly swarm: number
  readonly gateway: number
  /** Asked once. */
  id = ''
  readonly #binary: string
  #process: ChildProcess | undefined

  private constructor(folder: string, binary: string, [rpc, gateway, swarm]: readonly [number, number, number]) {
    this.folder = folder
    this.#binary = binary
    this.rpc = rpc
    this.gateway = gateway
    this.swarm = swarm
  }

  static async start(wish: KuboWish = {}): Promise<TestKubo> {
    const kubo = await TestKubo.prepare(wish)
    try {
      await kuboStarted(kubo)
      return kubo
    } catch (error) {
      await kubo[Symbol.asyncDispose]()
      throw error
    }
  }

  /** A repository without a running daemon. */
  static async prepare({ like, configure }: KuboWish = {}): Promise<TestKubo> {
    const binary = await ensureKubo({ say: line => console.log(line) })
    const folder = await mkdtemp(join(tmpdir(), 'flotilla-kubo-'))
    if (like) await cp(like.folder, folder, { recursive: true, filter: path => !path.endsWith('repo.lock') && !path.endsWith('/api') })
    const kubo = new TestKubo(folder, binary, await freePorts())
    await prepareKubo(binary, folder, kubo)
    if (configure) {
      const file = join(folder, 'config')
      const config = JSON.parse(await readFile(file, 'utf8')) as KuboConfig
      configure(config)
      await writeFile(file, JSON.stringify(config, null, 2))
    }
    return kubo
  }

  /** Without a slash at its end. */
  get url(): string {
    return `http://127.0.0.1:${this.rpc}`
  }

  get address(): string {
    return `/ip4/127.0.0.1/tcp/${this.rpc}`
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  async run(): Promise<void> {
    let complaint = ''
    const child = spawn(this.#binary, ['daemon'], {
      env: { ...process.env, IPFS_PATH: this.folder },
      stdio: ['ignore', 'ignore', 'pipe']
    })
    this.#process = child
    child.stderr?.on('data', chunk => (complaint = `${complaint}${chunk}`.slice(-2_000)))
    const failed = new AbortController()
    child.once('exit', code => failed.abort(new Error(`Kubo ended with ${code}: ${complaint}`)))
    this.id = await kuboIsUp(this.rpc, AbortSignal.any([failed.signal, AbortSignal.timeout(60_000)]))
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** POST, the body read to its end. */
  async call(path: string, body?: FormData): Promise<{ status: number; text: string }> {
    const answer = await fetch(`${this.url}/api/v0/${path}`, { method: 'POST', ...(body ? { body } : {}) })
    return { status: answer.status, text: await answer.text() }
  }

  /** The commands that run in it now, without the one that asks. */
  async running(): Promise<readonly string[]> {
    const { text } = await this.call('diag/cmds')
    const commands = JSON.parse(text) as readonly { readonly Active: boolean; readonly Command: string }[]
    return commands.filter(({ Active, Command }) => Active && Command !== 'diag/cmds').map(({ Command }) => Command)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw()
    await this.#end('SIGKILL')
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
}

async function kuboStarted(kubo: TestKubo): Promise<void> {
  await kubo.run()
  // The API answers before the repository's own first pins are made.
  await until('Kubo answers pin ls', async () => (await kubo.call('pin/ls')).status === 200)
}

/** Three that were free a moment ago. */
export async function freePorts(): Promise<[number, number, number]> {
  const servers = await Promise.all(
    [0, 1, 2].map(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer()
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => resolve(server))
        })
    )
  )
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports as [number, number, number]
}
