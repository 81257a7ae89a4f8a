/** One machine of an operator, as far as a peer can tell: a home of its own, ports of its own, and a shell. No Kubo runs there. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { FlotillaClient } from '../../src/client.ts'
import { until } from './until.ts'

const program = resolve(import.meta.dirname, '../../cli/bin.js')

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

export class TestHost implements AsyncDisposable {
  readonly name: string
  readonly folder: string
  readonly #variables: Readonly<Record<string, string>>
  readonly #desk: string
  #daemon: ChildProcess | undefined
  #log = ''

  private constructor(name: string, { desk, folder, port }: { desk: string; folder: string; port: number }) {
    const at = (offset: number) => `/ip4/127.0.0.1/tcp/${port + offset}`
    this.name = name
    this.folder = join(folder, '.flotilla')
    this.#desk = desk
    this.#variables = {
      HOME: folder,
      PATH: [join(desk, 'bin'), process.env.PATH].join(delimiter),
      CLUSTER_PEERNAME: name,
      CLUSTER_LISTENMULTIADDRESS: at(2),
      CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: at(0),
      CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: at(1),
      // Nothing listens there.
      CLUSTER_IPFSHTTP_NODEMULTIADDRESS: at(5),
      FLOTILLA_HOST: at(0)
    }
  }

  /** @param desk folder in which the operator works, the same on all hosts */
  static async open(name: string, { desk, port }: { desk: string; port: number }): Promise<TestHost> {
    const folder = join(desk, `home-${name}`)
    await mkdir(folder)
    await mkdir(join(desk, 'bin'), { recursive: true })
    await writeFile(join(desk, 'bin', 'flotilla'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, { mode: 0o755 })
    return new TestHost(name, { desk, folder, port })
  }

  /** By a shell, as it stands. */
  run(script: string, { stdin = '', variables = {} }: { stdin?: string; variables?: Record<string, string> } = {}): Promise<Outcome> {
    return new Promise(done => {
      const env = { ...this.#variables, ...variables }
      const child = execFile('bash', ['--norc', '-euc', script], { cwd: this.#desk, env, timeout: 60_000 }, (error, out, err) =>
        done({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err })
      )
      child.stdin?.on('error', () => {}) // Not every script reads it.
      child.stdin?.end(stdin)
    })
  }

  /** `flotilla daemon` with these words, ready when it returns. @throws Error when it ends instead, with what it said */
  async start(...words: string[]): Promise<void> {
    const child = spawn(process.execPath, [program, 'daemon', ...words], {
      cwd: this.#desk,
      env: this.#variables,
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#daemon = child
    this.#log = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (this.#log += chunk))
    await until(
      `the daemon on ${this.name} is ready`,
      () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the daemon on ${this.name} ended: ${this.#log}`)
        return this.#log.includes('"msg":"ready"')
      },
      60_000
    )
  }

  /** What its present daemon said so far. */
  get log(): string {
    return this.#log
  }

  get pid(): number {
    return this.#daemon?.pid ?? 0
  }

  /** Where other peers dial it, without its id. */
  get address(): string {
    return this.#variables.CLUSTER_LISTENMULTIADDRESS ?? ''
  }

  /** Resolves when its daemon is gone, whoever told it to go. @returns its exit code; `null` where there was none, or a signal ended it */
  async ended(): Promise<number | null> {
    const daemon = this.#daemon
    if (daemon && daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit')
    return daemon?.exitCode ?? null
  }

  client(): FlotillaClient {
    return new FlotillaClient({ address: this.#variables.FLOTILLA_HOST ?? '' })
  }

  async kill(): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    daemon.kill('SIGKILL')
    await once(daemon, 'exit')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
