/** Child processes of `flotilla up`: started with a log file and a `pid` file, stopped in time, reported when they die by themselves. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFolder } from './lock.ts'

export interface ChildWish {
  readonly name: string
  readonly folder: string
  readonly command: string
  readonly words: readonly string[]
  readonly variables: Readonly<Record<string, string | undefined>>
  /** A daemon of ours locks its folder itself, for others it is done here. */
  readonly locksFolder: boolean
  readonly onDeath: (death: Death) => void
}

export interface Death {
  readonly name: string
  readonly folder: string
  /** `by signal SIGKILL`, `with exit code 1` */
  readonly how: string
  readonly lastLines: string
}

export class Child {
  readonly name: string
  readonly #process: ChildProcess
  readonly #ended: Promise<void>
  #lock: AsyncDisposable | undefined
  #isStopping = false

  private constructor(wish: ChildWish, child: ChildProcess) {
    this.name = wish.name
    this.#process = child
    this.#ended = new Promise(resolve => {
      child.on('error', () => resolve())
      child.on('exit', (code, signal) => {
        resolve()
        if (!this.#isStopping) void this.#report(wish, signal ? `by signal ${signal}` : `with exit code ${code}`)
      })
    })
  }

  static async start(wish: ChildWish): Promise<Child> {
    const log = openSync(join(wish.folder, 'log'), 'a', 0o600)
    try {
      // A group of its own: Ctrl-C in a terminal reaches only `up`, which then stops everything in order.
      const child = spawn(wish.command, wish.words, {
        env: wish.variables as NodeJS.ProcessEnv,
        stdio: ['ignore', log, log],
        detached: true
      })
      const started = new Child(wish, child)
      try {
        if (child.pid !== undefined && !wish.locksFolder) started.#lock = await lockFolder(wish.folder, { pid: child.pid })
      } catch (error) {
        started.kill()
        throw error
      }
      return started
    } finally {
      closeSync(log)
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null && this.#process.pid !== undefined
  }

  /** SIGTERM, and SIGKILL after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true
    if (this.isRunning) {
      this.#process.kill('SIGTERM')
      const cut = setTimeout(() => this.#process.kill('SIGKILL'), graceMs)
      await this.#ended
      clearTimeout(cut)
    }
    await this.#lock?.[Symbol.asyncDispose]()
  }

  kill(): void {
    this.#isStopping = true
    this.#process.kill('SIGKILL')
  }

  async #report({ name, folder, onDeath }: ChildWish, how: string): Promise<void> {
    const log = await readFile(join(folder, 'log'), 'utf8').catch(() => '')
    onDeath({ name, folder, how, lastLines: log.trimEnd().split('\n').slice(-3).join('\n') })
  }
}
