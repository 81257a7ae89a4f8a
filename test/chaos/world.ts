/** A cluster of real daemons under load, each in a network and on a disk of its own, and what can be asked of it as a whole. */
import { setTimeout as sleep } from 'node:timers/promises'
import { deadline } from '../../src/lifetime.ts'
import { Random } from '../sim/random.ts'
import { until } from '../support/until.ts'
import { Client } from './client.ts'
import { Disk, type DiskKind } from './disks.ts'
import { Load } from './load.ts'
import { type Build, ChaosPeer, type Death, makeFolders } from './peer.ts'
import type { Wires } from './wires.ts'

export interface WorldSettings {
  /** An empty folder. */
  readonly dir: string
  readonly seed: number
  readonly founders: number
  /** Peers that may join later. */
  readonly spare: number
  readonly disk: DiskKind
  readonly build: Build
  readonly trailingLogs: number | undefined
  /** Large pins that are there from the beginning. */
  readonly stock: number
}

const workersPerPeer = 3
const readyMs = 60_000
const stockMs = 60_000
/** Between two tries of a client that waits for the cluster to go on. */
const tryMs = 100

export class World implements AsyncDisposable {
  readonly wires: Wires
  readonly random: Random
  readonly load: Load
  readonly disks: readonly Disk[]
  /** All folders; the first ones found the cluster. */
  readonly peers: readonly ChaosPeer[]
  /** Processes that ended though nobody killed them. */
  readonly deaths: Death[] = []
  readonly #clients: readonly Client[]

  private constructor(wires: Wires, peers: readonly ChaosPeer[], disks: readonly Disk[], deaths: Death[], settings: WorldSettings) {
    this.wires = wires
    this.random = new Random(settings.seed)
    this.load = new Load(`${settings.seed}`, this.random.fork())
    this.peers = peers
    this.disks = disks
    this.deaths = deaths
    this.#clients = peers.map(({ url }) => new Client(url))
  }

  /** Ready, and under load. */
  static async start(wires: Wires, settings: WorldSettings): Promise<World> {
    const folders = await makeFolders(settings.dir, settings)
    const disks: Disk[] = []
    for (const { folder } of folders) disks.push(await Disk.mount(folder, settings.disk))
    const deaths: Death[] = []
    const { build } = settings
    const peers = folders.map(folder => new ChaosPeer(folder, { build, onDeath: death => deaths.push(death) }))
    const world = new World(wires, peers, disks, deaths, settings)
    try {
      await world.#begin(peers.slice(0, settings.founders), settings.stock)
      return world
    } catch (error) {
      await world[Symbol.asyncDispose]()
      throw error
    }
  }

  async #begin(founders: readonly ChaosPeer[], stock: number): Promise<void> {
    for (const peer of founders) peer.start()
    const waits = await this.resumed(founders, { sinceMs: performance.now(), limitMs: readyMs })
    if (waits.includes(null)) throw new Error(`the cluster is not ready within ${readyMs / 1_000} s`)
    this.load.hasLinearizableReads = await this.client(founders[0] as ChaosPeer).knowsConsistency(this.load.freshKey(), deadline(5_000))
    if (stock > 0) await this.client(founders[0] as ChaosPeer).stock(stock, deadline(stockMs))
    for (const peer of founders) this.employ(peer)
  }

  /** Puts clients in front of a peer. */
  employ(peer: ChaosPeer): void {
    for (let worker = 0; worker < workersPerPeer; worker++) this.load.work(peer.name, this.client(peer))
  }

  client(peer: ChaosPeer): Client {
    return this.#clients[peer.number] as Client
  }

  /** Those whose process runs, whether or not it is frozen. */
  get running(): readonly ChaosPeer[] {
    return this.peers.filter(({ isRunning }) => isRunning)
  }

  /** The one that most peers follow. @throws Error where there is none for ten seconds */
  leader(): Promise<ChaosPeer> {
    return until('somebody leads', async () => {
      const awake = this.running.filter(({ isFrozen }) => !isFrozen)
      const answers = await Promise.all(
        awake.map(peer =>
          this.client(peer)
            .leader(deadline(1_000))
            .catch(() => null)
        )
      )
      const votes = Map.groupBy(
        answers.filter(id => id !== null),
        id => id
      )
      const [first] = [...votes].toSorted(([, a], [, b]) => b.length - a.length)
      return this.running.find(({ id }) => id === first?.[0])
    })
  }

  /**
   * Tries to pin through each of the peers, again and again, until it is acknowledged.
   * @returns milliseconds from `sinceMs` to the first acknowledgement; `null` where there is none within the limit
   */
  resumed(
    peers: readonly ChaosPeer[],
    { sinceMs, limitMs }: { readonly sinceMs: number; readonly limitMs: number }
  ): Promise<(number | null)[]> {
    return Promise.all(peers.map(peer => this.#firstPin(peer, sinceMs, sinceMs + limitMs)))
  }

  async #firstPin(peer: ChaosPeer, sinceMs: number, endMs: number): Promise<number | null> {
    const isOver = new AbortController()
    let first: number | null = null
    const tries = new Set<Promise<void>>()
    while (first === null && performance.now() < endMs) {
      const signal = AbortSignal.any([isOver.signal, deadline(Math.max(1, Math.ceil(endMs - performance.now())))])
      const one = this.load.pin(peer.name, this.client(peer), this.load.freshKey(), signal).then(answer => {
        if (answer.type === 'done') first ??= performance.now() - sinceMs
        tries.delete(one)
      })
      tries.add(one)
      await Promise.race([one, sleep(tryMs)])
      if (first === null) await sleep(tryMs / 2)
    }
    isOver.abort()
    await Promise.all(tries)
    return first
  }

  /** How long a client waits for any answer to a pin. `null`: longer than the limit. */
  async answered(peer: ChaosPeer, limitMs: number): Promise<number | null> {
    const calledAt = performance.now()
    const answer = await this.load.pin(peer.name, this.client(peer), this.load.freshKey(), deadline(limitMs))
    const tookMs = performance.now() - calledAt
    return answer.type === 'unknown' && tookMs >= limitMs ? null : tookMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const disk of this.disks) await disk.resume()
    await Promise.all(this.peers.map(peer => peer.kill()))
    await this.load.stop()
    await Promise.all(this.#clients.map(client => client[Symbol.asyncDispose]()))
    await this.wires.heal()
    for (const disk of this.disks) await disk[Symbol.asyncDispose]()
  }
}
