/**
 * Consensus by Raft: founding a cluster, joining one through any member, promotion, and the verbs of the interface over the driver.
 *
 * A newcomer is a learner first: it gets the log and has no vote, so adding it never lowers availability. It asks for its vote itself, once it has
 * caught up, for as long as it takes.
 */
import { ClusterError, isFault, messageOf } from '../../src/errors.ts'
import { type Abortable, deadline, logFailures, Tasks } from '../../src/lifetime.ts'
import type { PeerId } from '../../src/types.ts'
import type { Store } from '../state/store.ts'
import type { ClusterMember, Consensus, ConsensusStatus, Proposed } from './consensus.ts'
import { Driver } from './driver.ts'
import { Introductions } from './introductions.ts'
import { foundingState } from './marker.ts'
import { decodeWelcome, encodeRequest, type Newcomer, toMember, type Welcome } from './members.ts'
import { changeMs, Membership, methods } from './membership.ts'
import type { DriverParts, DriverSettings } from './parts.ts'
import { removedError } from './removal.ts'
import { LogStorage } from './storage.ts'

export type RaftConsensusParts = Omit<DriverParts, 'storage'>

export type RaftConsensusSettings = DriverSettings & {
  /** This peer as the others should know it. */
  readonly self: Newcomer
}

/** How an empty folder begins. A folder that has a cluster already goes on with it, whatever is said here. */
export type Beginning =
  /** These peers, all voters, all started with the same list. */
  | { readonly type: 'found'; readonly clusterId: string; readonly members: readonly Newcomer[] }
  /** Ask these, one after the other and again, until one of them is a member that lets this peer in. Without end; paced by whoever makes it. */
  | { readonly type: 'join'; readonly contacts: (options: Abortable) => AsyncIterable<PeerId> }

/** One operation has to fit into a message between peers, with room to spare. */
const operationBytesMax = 4 << 20
/** Between two looks at this peer's own membership, until it is settled. */
const settleMs = 250

export class RaftConsensus implements Consensus {
  readonly #parts: RaftConsensusParts
  readonly #settings: RaftConsensusSettings
  readonly #storage: LogStorage
  readonly #driver: Driver
  readonly #membership: Membership
  readonly #introductions: Introductions
  readonly #subscriptions = new DisposableStack()
  readonly #tasks: Tasks
  readonly #listeners = new Set<(status: ConsensusStatus) => void>()
  #clusterId = ''
  #isReady = false
  #hasBegun = false
  #isSettling = false

  constructor(parts: RaftConsensusParts, settings: RaftConsensusSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#storage = new LogStorage(parts.store)
    this.#tasks = new Tasks(logFailures(parts.log))
    this.#driver = new Driver({ ...parts, storage: this.#storage }, settings)
    this.#membership = new Membership({ ...parts, driver: this.#driver, storage: this.#storage, clusterId: () => this.#clusterId })
    this.#introductions = new Introductions({ ...parts, driver: this.#driver, tasks: this.#tasks })
  }

  /** The cluster this folder belongs to, before anything is started; `undefined` where it is empty. @throws ClusterError `cannot_start` */
  static async clusterIdOf(store: Store, self: PeerId): Promise<string | undefined> {
    const identity = await new LogStorage(store).identityOf(self)
    return identity?.clusterId
  }

  /**
   * Call it once. Whatever it acquired is given back by the disposal, also where it fails.
   * @throws ClusterError `cannot_start` when the folder does not fit; `wrong_cluster`; `signal.reason` when nobody could be joined before it aborts
   */
  async start(beginning: Beginning, { signal }: Abortable = {}): Promise<void> {
    const { store, rpc } = this.#parts
    const known = await RaftConsensus.clusterIdOf(store, rpc.self)
    this.#clusterId = known ?? (await this.#begin(beginning, { signal }))
    this.#isReady = await this.#storage.isReady()
    await this.#driver.start(() => this.#changed())
    this.#membership.serve()
    this.#subscriptions.use(this.#introductions.start())
    this.#hasBegun = true
    this.#settle()
  }

  propose(data: Uint8Array, options: Abortable = {}): Promise<Proposed> {
    const { removedAt } = this
    if (removedAt !== null) return Promise.reject(removedError(removedAt))
    if (!this.#isReady) {
      return Promise.reject(new ClusterError({ code: 'not_ready' }, 'this peer is joining and has no state yet: ask another one'))
    }
    if (data.length > operationBytesMax) {
      const message = `a change of ${data.length} bytes is too large: at most ${operationBytesMax}`
      return Promise.reject(new ClusterError({ code: 'invalid' }, message))
    }
    return this.#driver.propose(data, options)
  }

  async readBarrier(options: Abortable = {}): Promise<void> {
    const { removedAt } = this
    if (removedAt !== null) throw removedError(removedAt)
    return this.#driver.readBarrier(options)
  }

  async addMember(member: Newcomer, options: Abortable = {}): Promise<void> {
    await this.#membership.renew(member, options)
  }

  async removeMember(id: PeerId, options: Abortable = {}): Promise<void> {
    await this.#membership.remove(id, options)
  }

  async handOver({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#driver.status().role === 'leader') await this.#driver.handOver(signal)
  }

  async caughtUp({ withinMs, signal }: { readonly withinMs: number } & Abortable): Promise<void> {
    await Promise.race([this.#driver.catchUp.done, this.#parts.clock.sleep(withinMs, { signal })])
  }

  status(): ConsensusStatus {
    return { ...this.#driver.status(), clusterId: this.#clusterId, isReady: this.isReady }
  }

  get members(): readonly ClusterMember[] {
    return this.#driver.members
  }

  get removedAt(): number | null {
    return this.#driver.removedAt
  }

  get isReady(): boolean {
    return this.#isReady && this.#driver.catchUp.isDone && this.removedAt === null
  }

  onChange(listener: (status: ConsensusStatus) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.dispose()
    const tasks = this.#tasks[Symbol.asyncDispose]()
    await this.#driver[Symbol.asyncDispose]()
    await tasks
  }

  // ---- beginning ----

  async #begin(beginning: Beginning, { signal }: Abortable): Promise<string> {
    const nodeId = this.#parts.rpc.self
    if (beginning.type === 'found') {
      const { clusterId, members } = beginning
      const configuration = { members: members.map(member => toMember(member, true)).toSorted((a, b) => (a.id < b.id ? -1 : 1)) }
      await this.#storage.found({ clusterId, nodeId }, configuration, {
        isReady: true,
        present: configuration,
        state: foundingState(this.#parts.state, configuration)
      })
      return clusterId
    }
    const { contact, welcome } = await this.#askToJoin(beginning.contacts({ signal }), { signal })
    const { founding, present } = welcome
    const state = foundingState(this.#parts.state, founding)
    await this.#storage.found({ clusterId: welcome.clusterId, nodeId }, founding, { isReady: false, present, state })
    this.#parts.log.info({ cluster: welcome.clusterId, through: contact, members: welcome.present.members.length }, 'joined')
    return welcome.clusterId
  }

  async #askToJoin(contacts: AsyncIterable<PeerId>, { signal }: Abortable): Promise<{ contact: PeerId; welcome: Welcome }> {
    for await (const contact of contacts) {
      try {
        const request = encodeRequest({ hops: 0, member: this.#settings.self })
        const answer = await this.#parts.rpc.call(contact, methods.join, request, { signal: deadline(changeMs, signal) })
        return { contact, welcome: decodeWelcome(answer) }
      } catch (error) {
        signal?.throwIfAborted()
        if (isFault(error, 'wrong_cluster') || isFault(error, 'cannot_start')) throw error
        // It may be joining itself, or have no leader: neither lasts.
        this.#parts.log.info({ peer: contact, reason: messageOf(error) }, 'not let in yet')
      }
    }
    throw new ClusterError({ code: 'cannot_start' }, 'there is nobody to join')
  }

  // ---- this peer's own membership ----

  /** Also for a peer that was a member once, was removed, and is added again. */
  #settle(): void {
    if (this.#isSettling) return
    this.#isSettling = true
    this.#tasks.run('membership', async stop => {
      try {
        await this.#keepMembership(stop)
      } finally {
        this.#isSettling = false
      }
    })
  }

  /** Asks for the vote once caught up, and tells the others a new name or address. */
  async #keepMembership(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      try {
        await this.#parts.clock.sleep(settleMs, { signal: stop })
        if (await this.#isSettled(stop)) return
      } catch (error) {
        if (stop.aborted) return
        this.#parts.log.debug({ reason: messageOf(error) }, 'membership not settled yet')
      }
    }
  }

  async #isSettled(stop: AbortSignal): Promise<boolean> {
    const { self } = this.#settings
    const { leader, members } = this.#driver.status()
    const present = members.find(({ id }) => id === self.id)
    if (leader === null || present === undefined) return false
    if (present.name !== self.name || present.addresses.join() !== self.addresses.join()) {
      await this.#membership.renew(self, { signal: stop })
    }
    if (!this.#isReady) await this.#becomeReady(stop)
    if (present.isVoter) return true
    await this.#membership.promote(self, { signal: stop })
    return this.#driver.status().members.some(({ id, isVoter }) => id === self.id && isVoter)
  }

  /** What was committed before the barrier is applied behind it: from here on an answer is not an empty one. */
  async #becomeReady(stop: AbortSignal): Promise<void> {
    await this.readBarrier({ signal: stop })
    await this.#parts.store.write([this.#storage.markReady()], { sync: true })
    this.#isReady = true
    this.#changed()
  }

  #changed(): void {
    const status = this.status()
    if (this.#hasBegun) {
      this.#introductions.spread()
      if (status.role === 'learner') this.#settle()
    }
    for (const listener of this.#listeners) listener(status)
  }
}
