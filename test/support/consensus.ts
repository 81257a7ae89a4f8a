/** Peers with real stores and real timers over an in-memory network, each with a pinset as its state machine. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Beginning, RaftConsensus } from '../../cluster/consensus/raft-consensus.ts'
import type { SnapshotLimits } from '../../cluster/consensus/snapshots.ts'
import { openStore } from '../../cluster/state/open-store.ts'
import { Pinset } from '../../cluster/state/pinset.ts'
import { Spaces } from '../../cluster/state/spaces.ts'
import type { Store } from '../../cluster/state/store.ts'
import { systemClock } from '../../src/clock.ts'
import { openLog } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import { MemoryNetwork } from './memory-rpc.ts'
import { newcomer, peerId } from './newcomer.ts'

export interface TestPeer extends AsyncDisposable {
  readonly id: PeerId
  readonly store: Store
  readonly consensus: RaftConsensus
  readonly pinset: Pinset
  /** As kill -9: nothing is said, nothing is flushed. */
  kill(): Promise<void>
}

const longLog = { entriesMax: 1e9, bytesMax: 1e9, ageMsMax: 1e9 }

export class TestPeers implements AsyncDisposable {
  readonly network = new MemoryNetwork()
  readonly peers = new Map<number, TestPeer>()
  readonly fatal: unknown[] = []
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async open(): Promise<TestPeers> {
    return new TestPeers(await mkdtemp(join(tmpdir(), 'flotilla-consensus-')))
  }

  found(...numbers: number[]): Beginning {
    return { type: 'found', clusterId: 'test', members: numbers.map(newcomer) }
  }

  join(through: number): Beginning {
    return {
      type: 'join',
      async *contacts() {
        for (;;) yield peerId(through)
      }
    }
  }

  /** Of the store of a peer. */
  folderOf(number: number): string {
    return join(this.#folder, String(number))
  }

  async start(
    number: number,
    beginning: Beginning,
    { store, signal, snapshots = {} }: { store?: Store; signal?: AbortSignal; snapshots?: Partial<SnapshotLimits> } = {}
  ): Promise<TestPeer> {
    const id = peerId(number)
    const opened = store ?? (await openStore(this.folderOf(number), { engine: 'leveldb' }))
    const state = await Spaces.open(opened)
    const pinset = new Pinset({ state })
    await pinset.start()
    const consensus = new RaftConsensus(
      {
        store: opened,
        state,
        rpc: this.network.open(id),
        machine: pinset,
        clock: systemClock,
        log: openLog({ level: 'silent', name: 'test' }),
        random: below => Math.floor(Math.random() * below),
        origin: randomBytes(8).toString('hex'),
        onFatal: error => this.fatal.push(error)
      },
      {
        pace: { tickMs: 10, electionMs: 150, heartbeatMs: 30 },
        proposals: { timeoutMs: 5_000, countMax: 5_000, bytesMax: 16 << 20 },
        snapshots: { log: longLog, transfer: { chunkBytes: 1_000, bytesPerSecond: 1e9, idleMs: 1_000 }, ...snapshots },
        self: newcomer(number)
      }
    )
    await consensus.start(beginning, { signal })
    const kill = async () => {
      if (!this.peers.delete(number)) return
      this.network.close(id)
      await consensus[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
    }
    const peer: TestPeer = { id, store: opened, consensus, pinset, kill, [Symbol.asyncDispose]: kill }
    this.peers.set(number, peer)
    return peer
  }

  get(number: number): TestPeer {
    const peer = this.peers.get(number)
    if (peer === undefined) throw new Error(`peer ${number} is not running`)
    return peer
  }

  leader(): number | undefined {
    return [...this.peers].find(([, { consensus }]) => consensus.status().role === 'leader')?.[0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of [...this.peers.values()]) await peer.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
