/** What the bench of sizes does to a cluster: full lists, kills, starts, loads and newcomers, each with the time that it takes. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { cidOf } from '../src/codec.ts'
import { LocalCluster, type LocalPeer } from '../test/support/local-cluster.ts'
import { writeExport } from './export.ts'
import { memoryMiB, settled } from './processes.ts'
import { pidIn } from './systems.ts'

const run = promisify(execFile)
const program = resolve(import.meta.dirname, '../cli/bin.js')
/** Between two questions whether a peer has everything by now. */
const lookMs = 20

export interface Written {
  readonly perSecond: number
  readonly failed: number
  /** The longest that a client waited for its commit, in milliseconds. */
  readonly longest: number
}

export interface Served {
  /** Until the first byte of the first whole list, in milliseconds. */
  readonly firstMs: number
  /** Until its last byte. */
  readonly wholeMs: number
}

/** Three peers, whose Kubos are stopped: what is measured is what agreeing costs, and the pins wait. */
export class ScaleCluster implements AsyncDisposable {
  readonly #cluster: LocalCluster
  readonly #folder: string
  readonly #started: ChildProcess[] = []
  #loads = 0
  #newcomers = 0

  private constructor(cluster: LocalCluster, folder: string) {
    this.#cluster = cluster
    this.#folder = folder
  }

  /** @param folder for its files */
  static async start(folder: string): Promise<ScaleCluster> {
    const cluster = await LocalCluster.start()
    for (const { kuboDir } of cluster.peers) process.kill(pidIn(join(kuboDir, 'pid')), 'SIGKILL')
    return new ScaleCluster(cluster, folder)
  }

  async leader(): Promise<LocalPeer> {
    return this.#cluster.peer(await this.#cluster.leader())
  }

  async follower(): Promise<LocalPeer> {
    return this.#cluster.peer(((await this.#cluster.leader()) + 1) % this.#cluster.peers.length)
  }

  /** The most that a peer has now. */
  memory(): number {
    return Math.max(...this.#pids().map(pid => memoryMiB(pid)))
  }

  /** Until nothing is left to do. */
  async rest(): Promise<void> {
    await settled(this.#pids(), 30_000)
  }

  /** Pins from the number `from` on, by their hashes. @returns pins a second */
  async import(from: number, to: number): Promise<number> {
    const file = join(this.#folder, `${to}.ndjson`)
    const cid = (number: number) => cidOf(CID.create(1, 0x55, create(0x12, createHash('sha256').update(String(number)).digest())))
    await writeExport(file, { from, to, cid })
    const { rest } = await this.leader()
    const began = performance.now()
    await run(program, ['state', 'import', '--host', rest, '--file', file])
    const perSecond = ((to - from) * 1_000) / (performance.now() - began)
    await rm(file)
    return perSecond
  }

  /** Pins one by one through `peer`, for so long or until `during` is over. */
  async write<T>(peer: LocalPeer, clients: number, during: () => Promise<T>): Promise<{ written: Written; value: T }> {
    const words = ['--url', peer.rest, '--clients', String(clients), '--tag', `scale-${process.pid}-${this.#loads++}`]
    const child = spawn(process.execPath, [join(import.meta.dirname, 'load.ts'), ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
    const output = child.stdout.toArray()
    let value: T
    try {
      // The process has to start, and to make its connections.
      await sleep(500)
      value = await during()
    } finally {
      child.kill('SIGTERM')
    }
    return { written: JSON.parse(Buffer.concat(await output).toString()), value }
  }

  /** Waits for a list with at least so many pins, through the door. */
  async serves(door: string, least: number): Promise<Served> {
    const url = `http://127.0.0.1:${/\/tcp\/(\d+)/.exec(door)?.[1]}/api/v0/pin/ls?type=recursive&stream=true`
    const began = performance.now()
    for (let last = 'nothing'; performance.now() - began < 180_000; ) {
      const asked = performance.now()
      try {
        const { lines, firstMs } = await linesOf(url)
        if (lines >= least) return { firstMs: asked + firstMs - began, wholeMs: performance.now() - began }
        last = `${lines} pins`
      } catch (error) {
        last = String(error)
      }
      if (performance.now() - began > 170_000) throw new Error(`no list of ${least} pins: ${last}`)
      await sleep(lookMs)
    }
    throw new Error(`no list of ${least} pins`)
  }

  end(peer: LocalPeer, signal: 'SIGKILL' | 'SIGTERM'): void {
    process.kill(pidOf(peer), signal)
  }

  /** As its user starts it: by the first line of the program, which sets flags. */
  begin(
    peer: Pick<LocalPeer, 'dir'>,
    { words = [], variables = {} }: { words?: readonly string[]; variables?: Record<string, string> } = {}
  ): ChildProcess {
    const env = { ...process.env, ...variables, FLOTILLA_PATH: peer.dir }
    const child = spawn(program, ['daemon', ...words], { env, stdio: 'ignore' })
    this.#started.push(child)
    return child
  }

  /** A fourth peer, until it serves so many pins; `during` what is measured beside. It is taken out again. */
  async join(least: number, clients: number): Promise<Served & { readonly written: Written; readonly memory: number }> {
    const { basePort, peers } = this.#cluster
    const to = await this.leader()
    const dir = join(this.#folder, `newcomer-${this.#newcomers++}`)
    const at = (peer: number, offset: number) => `/ip4/127.0.0.1/tcp/${basePort + 10 * peer + offset}`
    const four = peers.length + 1
    const variables = {
      CLUSTER_SECRET: JSON.parse(await readFile(join(to.dir, 'service.json'), 'utf8')).cluster.secret,
      CLUSTER_PEERNAME: 'newcomer',
      CLUSTER_LISTENMULTIADDRESS: at(four, 2),
      CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: at(four, 0),
      CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: at(four, 1)
    }
    await run(program, ['init'], { env: { ...process.env, ...variables, FLOTILLA_PATH: dir } })
    let daemon: ChildProcess | undefined
    const { written, value } = await this.write(to, clients, () => {
      daemon = this.begin({ dir }, { words: ['--bootstrap', at(0, 2)], variables })
      return this.serves(at(four, 1), least)
    })
    const memory = memoryMiB(daemon?.pid ?? 0)
    const { id } = JSON.parse(await readFile(join(dir, 'identity.json'), 'utf8'))
    await run(program, ['peers', 'rm', id, '--host', (await this.leader()).rest])
    daemon?.kill('SIGKILL')
    await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    return { ...value, written, memory }
  }

  #pids(): number[] {
    return this.#cluster.peers.map(pidOf)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#started) child.kill('SIGKILL')
    await this.#cluster[Symbol.asyncDispose]()
  }
}

/** As it runs now: it may have been started again. */
function pidOf({ dir }: LocalPeer): number {
  return pidIn(join(dir, 'pid'))
}

/** @throws Error where it is not answered by a list, or the list ends early */
function linesOf(url: string): Promise<{ lines: number; firstMs: number }> {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const outgoing = request(url, { method: 'POST', agent: false }, answer => {
      let lines = 0
      let firstMs = 0
      if (answer.statusCode !== 200) {
        answer.resume()
        return reject(new Error(`status ${answer.statusCode}`))
      }
      answer.on('data', (chunk: Buffer) => {
        firstMs ||= performance.now() - began
        for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines++
      })
      answer.on('end', () => resolve({ lines, firstMs }))
      answer.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}
