/**
 * State instead of a log: keeps the log short, serves the state to peers that are too far behind for it, and fetches it where this peer is one. The
 * driver calls `tick` now and then, and `install` between two writes, once a state has come in.
 */
import type { Clock } from '../../src/clock.ts'
import { logFailures, Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Raft } from '../raft/raft.ts'
import type { Spaces } from '../state/spaces.ts'
import type { Store, WriteOp } from '../state/store.ts'
import { Compaction, type LogLimits } from './compaction.ts'
import type { StateMachine } from './consensus.ts'
import type { Sessions } from './sessions.ts'
import { SnapshotReceiver } from './snapshot-receiver.ts'
import { SnapshotSource, type TransferLimits } from './snapshot-source.ts'
import type { LogStorage } from './storage.ts'

export interface SnapshotParts {
  readonly store: Store
  readonly storage: LogStorage
  readonly state: Spaces
  readonly rpc: Rpc
  readonly machine: StateMachine
  readonly sessions: Sessions
  readonly clock: Clock
  readonly log: Log
  readonly random: (below: number) => number
  readonly core: () => Raft
  /** There is something to install. */
  readonly wake: () => void
  /** In the background, after everything that was asked to be written before. */
  readonly writeLater: (writes: readonly WriteOp[]) => void
  /** The store failed, or what came in is no state. */
  readonly onFatal: (error: unknown) => void
}

export interface SnapshotLimits {
  readonly log: LogLimits
  readonly transfer: TransferLimits
}

export class Snapshots implements AsyncDisposable {
  readonly #parts: SnapshotParts
  readonly #tasks: Tasks
  readonly #source: SnapshotSource
  readonly #receiver: SnapshotReceiver
  readonly #compaction: Compaction

  constructor(parts: SnapshotParts, limits: SnapshotLimits) {
    this.#parts = parts
    this.#tasks = new Tasks(logFailures(parts.log))
    const shared = { ...parts, tasks: this.#tasks }
    this.#source = new SnapshotSource(parts, { ...limits.transfer, nearEntries: limits.log.entriesMax / 2 })
    const wanted = () => parts.core().snapshotFrom as PeerId | null
    this.#receiver = new SnapshotReceiver({ ...shared, wanted, onComplete: parts.wake })
    this.#compaction = new Compaction(shared, limits.log)
  }

  async start(): Promise<void> {
    await this.#receiver.load()
    await this.#compaction.load()
    this.#source.serve()
  }

  get isComplete(): boolean {
    return this.#receiver.complete !== undefined
  }

  /** Now and then. */
  tick(): void {
    const raft = this.#parts.core()
    if (raft.snapshotFrom !== null) this.#receiver.wake()
    if (this.#source.pinned !== undefined) {
      const { followers, lastIndex } = raft.status()
      this.#source.tidy({ matchOf: peer => followers.find(({ id }) => id === peer)?.match ?? 0, lastIndex })
    }
    const target = this.#compaction.target()
    if (target <= this.#parts.storage.truncated.index) return
    const last = raft.compact(Math.min(target, this.#source.pinned ?? target))
    if (last === null) return
    this.#parts.writeLater(this.#parts.storage.cut(last))
    this.#compaction.forget()
  }

  /**
   * The state that came in takes the place of the one that is here, in one batch with where the log goes on.
   * @param taken called with the last entry that is applied now, in the moment from which on everybody sees the new state
   * @returns whether it did: this peer may have come further meanwhile by itself
   */
  async install(taken: (index: number) => void): Promise<boolean> {
    const { machine, state, store, storage, sessions, log } = this.#parts
    const snapshot = this.#receiver.complete
    if (snapshot === undefined) return false
    const adopters = [await machine.adopt(state.spare), await sessions.adopt(state.spare)]
    const raft = this.#parts.core()
    const hardState = raft.install(snapshot)
    if (hardState !== null) {
      const { lastIndex } = raft.status()
      const writes = [...storage.restored(snapshot, { lastIndex, hardState }), state.choice(), this.#receiver.taken()]
      await store.write(writes, { sync: true })
      // Nothing is awaited from here on: what is read, counted and told of belongs to one state.
      state.exchange()
      for (const adopt of adopters) adopt()
      taken(snapshot.index)
      this.#compaction.forget()
      log.info({ index: snapshot.index, term: snapshot.term }, 'state installed')
    }
    this.#receiver.done()
    return hardState !== null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#source.stop()
    await this.#tasks[Symbol.asyncDispose]()
  }
}
