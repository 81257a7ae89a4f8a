/** The core as the driver uses it, with the checks looking on after every call. */
import { Raft } from '../../cluster/raft/raft.ts'
import type {
  Configuration,
  Entry,
  HardState,
  Message,
  NodeId,
  RaftSettings,
  ReadState,
  Ready,
  Refusal,
  Restored,
  Snapshot
} from '../../cluster/raft/types.ts'

export interface Watcher {
  /** The core was called. */
  observe(): void
  ticked(): void
  handed(ready: Ready): void
  proposed(outcome: { readonly index: number; readonly term: number }, next: Configuration): void
  applied(index: number): void
  /** The core was asked to hand leadership over, and tries. */
  transferring(): void
  /** The core was asked for a read. */
  asked(id: number): void
  released(read: ReadState): void
  installed(snapshot: Snapshot): void
  compacted(last: { readonly index: number; readonly term: number }): void
}

export class WatchedRaft extends Raft {
  readonly #watcher: Watcher
  readonly #released: ReadState[] = []

  constructor(settings: RaftSettings, restored: Restored, watcher: Watcher) {
    super(settings, restored)
    this.#watcher = watcher
  }

  override tick(options?: { readonly mayCampaign?: boolean }): void {
    super.tick(options)
    this.#watcher.observe()
    this.#watcher.ticked()
  }

  override step(message: Message): void {
    super.step(message)
    this.#confirmed()
    this.#watcher.observe()
  }

  override propose(data: Uint8Array): { readonly index: number; readonly term: number } | { readonly refused: Refusal } {
    const outcome = super.propose(data)
    this.#watcher.observe()
    return outcome
  }

  override proposeConfiguration(next: Configuration): { readonly index: number; readonly term: number } | { readonly refused: Refusal } {
    const outcome = super.proposeConfiguration(next)
    if (!('refused' in outcome)) this.#watcher.proposed(outcome, next)
    this.#watcher.observe()
    return outcome
  }

  override campaign(): void {
    super.campaign()
    this.#watcher.observe()
  }

  override transfer(to: NodeId): Refusal | null {
    const refused = super.transfer(to)
    if (refused === null) this.#watcher.transferring()
    this.#watcher.observe()
    return refused
  }

  override read(id: number): Refusal | null {
    const refused = super.read(id)
    if (refused === null) this.#watcher.asked(id)
    return refused
  }

  override released(): readonly ReadState[] {
    this.#confirmed()
    return this.#released.splice(0)
  }

  /** A read is judged by the members of the moment in which it is confirmed. */
  #confirmed(): void {
    for (const read of super.released()) {
      this.#watcher.released(read)
      this.#released.push(read)
    }
  }

  override outgoing(): readonly Message[] {
    const messages = super.outgoing()
    this.#confirmed()
    return messages
  }

  override forgetLeader(): void {
    super.forgetLeader()
    this.#watcher.observe()
  }

  override ready(): Ready {
    const ready = super.ready()
    this.#confirmed()
    this.#watcher.handed(ready)
    return ready
  }

  override advance(): void {
    super.advance()
    this.#confirmed()
    this.#watcher.observe()
  }

  override applied(index: number): void {
    this.#watcher.applied(index)
    super.applied(index)
  }

  override install(snapshot: Snapshot): HardState | null {
    const hardState = super.install(snapshot)
    if (hardState !== null) this.#watcher.installed(snapshot)
    this.#watcher.observe()
    return hardState
  }

  override compact(index: number): { readonly index: number; readonly term: number } | null {
    const last = super.compact(index)
    if (last !== null) this.#watcher.compacted(last)
    return last
  }

  override supply(to: NodeId, entries: readonly Entry[]): void {
    super.supply(to, entries)
    this.#watcher.observe()
  }

  override unreachable(to: NodeId): void {
    super.unreachable(to)
    this.#watcher.observe()
  }
}
