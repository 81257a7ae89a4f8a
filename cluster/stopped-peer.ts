/**
 * The folder of a peer that does not run, also one that crashed: what is agreed goes out and in without anybody else. An entrance of this room; whoever
 * calls it holds the lock of the folder.
 */
import { randomBytes } from 'node:crypto'
import { systemClock } from '../src/clock.ts'
import { ClusterError } from '../src/errors.ts'
import type { PeerId } from '../src/types.ts'
import type { ClusterMember } from './consensus/consensus.ts'
import { type LogPosition, StoppedLog } from './consensus/stopped-log.ts'
import type { Factors } from './factors.ts'
import { openFolder } from './opened.ts'
import { readNotes } from './state/notes.ts'
import type { StoreSettings } from './state/open-store.ts'
import { encodeOperation, type Note } from './state/operations.ts'
import { Pinset } from './state/pinset.ts'
import { Spaces } from './state/spaces.ts'
import type { Store } from './state/store.ts'
import { Transfer } from './transfer.ts'

export interface StoppedPeerSettings {
  readonly self: { readonly id: PeerId; readonly name: string }
  /** Folder of the store; made if missing. */
  readonly dataFolder: string
  readonly store: StoreSettings
  /** Copies of a pin that does not say how many. */
  readonly factors: Factors
}

/** What a folder holds. */
export interface FolderContents {
  readonly clusterId: string
  readonly log: LogPosition
  readonly members: readonly ClusterMember[]
  readonly pins: number
  readonly stateHash: string
  /** What was done to the cluster past its rules, the oldest first. */
  readonly notes: readonly Note[]
}

export class StoppedPeer implements AsyncDisposable {
  readonly #store: Store
  readonly #state: Spaces
  readonly #pinset: Pinset
  readonly #settings: StoppedPeerSettings
  #log: StoppedLog | undefined

  private constructor({ store, state, pinset }: { store: Store; state: Spaces; pinset: Pinset }, settings: StoppedPeerSettings) {
    this.#store = store
    this.#state = state
    this.#pinset = pinset
    this.#settings = settings
  }

  /** @throws ClusterError `cannot_start`: the folder is in use, damaged, or another peer's */
  static async open(settings: StoppedPeerSettings): Promise<StoppedPeer> {
    await using opened = new AsyncDisposableStack()
    const store = opened.use(await openFolder(settings.dataFolder, { self: settings.self.id, ...settings.store }))
    const state = await Spaces.open(store)
    const pinset = new Pinset({ state })
    await pinset.start()
    const peer = new StoppedPeer({ store, state, pinset }, settings)
    peer.#log = await StoppedLog.open({ store, state, machine: pinset }, settings.self.id)
    await peer.#log?.catchUp()
    opened.move()
    return peer
  }

  /** @throws ClusterError `refused` where the folder belongs to no cluster */
  async contents(): Promise<FolderContents> {
    const { identity, position, members } = this.#requireLog()
    const { count, hash } = this.#pinset
    const notes = await readNotes(this.#state)
    return { clusterId: identity.clusterId, log: position, members, pins: count, stateHash: hash, notes }
  }

  /**
   * Makes this peer the only member of a new cluster, when the majority of the old one is lost.
   * @throws ClusterError `refused` where there is nothing to recover from
   */
  async recover(): Promise<void> {
    const log = this.#requireLog()
    const { clusterId } = log.identity
    const lost = log.members.filter(({ id, isVoter }) => isVoter && id !== this.#settings.self.id).map(({ id, name }) => name || id)
    if (lost.length === 0) throw new ClusterError({ code: 'refused' }, 'nobody else has a vote: this peer needs no recovery, start it')
    const { lastTerm, lastIndex, commit } = log.position
    const text =
      `recovered from cluster ${clusterId} at term ${lastTerm}, index ${lastIndex} (${commit} known to be committed) ` +
      `by ${this.#settings.self.id}, without ${lost.join(', ')}`
    const operation = encodeOperation({ type: 'note', note: { at: systemClock.wallMs(), text } })
    await log.recover({ clusterId: randomBytes(16).toString('hex'), operation })
  }

  /** Export, and import as far as this peer alone may decide. @throws ClusterError `refused` where the folder belongs to no cluster */
  get transfer(): Transfer {
    const log = this.#requireLog()
    const { id } = this.#settings.self
    return new Transfer(
      {
        consensus: {
          propose: data => log.propose(data),
          readBarrier: async () => {}
        },
        pinset: this.#pinset,
        clock: systemClock,
        candidates: () => [{ id, isAlive: true, freeBytes: null }],
        requireState: () => {}
      },
      this.#settings.factors
    )
  }

  /** Makes an empty folder that of a new cluster with this peer alone; one that belongs to a cluster stays as it is. */
  async found(): Promise<void> {
    if (this.#log !== undefined) return
    const clusterId = randomBytes(16).toString('hex')
    this.#log = await StoppedLog.found(
      { store: this.#store, state: this.#state, machine: this.#pinset },
      { clusterId, self: { ...this.#settings.self, addresses: [] } }
    )
  }

  #requireLog(): StoppedLog {
    if (this.#log === undefined) throw new ClusterError({ code: 'refused' }, 'the folder is empty: there is nothing in it')
    return this.#log
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]()
  }
}
