/**
 * Consensus by Raft: founding a cluster, joining one through any member, promotion, and the verbs of the interface over the driver.
 *
 * A newcomer is a learner first: it gets the log and has no vote, so adding it never lowers availability. It asks for its vote itself, once it has
 * caught up, for as long as it takes.
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import type { Clock } from '../../src/clock.ts'
import { ClusterError, isFault, messageOf } from '../../src/errors.ts'
import { type Abortable, deadline, logFailures, Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Configuration, Refusal } from '../raft/types.ts'
import type { Store } from '../state/store.ts'
import type { Consensus, ConsensusStatus, Proposed, StateMachine } from './consensus.ts'
import { Driver, type DriverSettings } from './driver.ts'
import {
  decodeNewcomer,
  decodeWelcome,
  encodeNewcomer,
  encodeWelcome,
  type Newcomer,
  toMember,
  type Welcome,
  withNewcomer,
  withVoter
} from './members.ts'
import { LogStorage } from './storage.ts'

export interface RaftConsensusParts {
  readonly store: Store
  readonly rpc: Rpc
  readonly machine: StateMachine
  readonly clock: Clock
  readonly log: Log
  readonly random: (below: number) => number
  /** 8 bytes as hexadecimal text, new at every start. */
  readonly origin: string
  /** The peer cannot go on and must be stopped. */
  readonly onFatal: (error: unknown) => void
}

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

const methods = { propose: 'consensus/propose', join: 'consensus/join', renew: 'consensus/renew', promote: 'consensus/promote' } as const
const proposalList = z.array(z.custom<Uint8Array>(value => value instanceof Uint8Array))
const acceptance = z.tuple([z.number(), z.string().nullable()])

/** A newcomer gets its vote when it is this close to what is committed; the rest comes while the vote is agreed. */
const promotionLag = 256
const retryMs = 250
const changeMs = 15_000
/** From one member to another at most this often, in search of the leader. */
const hopsMax = 3

export class RaftConsensus implements Consensus {
  readonly #parts: RaftConsensusParts
  readonly #settings: RaftConsensusSettings
  readonly #storage: LogStorage
  readonly #driver: Driver
  readonly #tasks: Tasks
  readonly #listeners = new Set<(status: ConsensusStatus) => void>()
  /** Membership changes of this leader, one after the other. */
  #changes: Promise<unknown> = Promise.resolve()
  #clusterId = ''
  #isReady = false
  #shown = ''

  constructor(parts: RaftConsensusParts, settings: RaftConsensusSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#storage = new LogStorage(parts.store)
    this.#tasks = new Tasks(logFailures(parts.log))
    this.#driver = new Driver(
      {
        ...parts,
        storage: this.#storage,
        forward: async (leader, proposals) => {
          const answer = await parts.rpc.call(leader, methods.propose, encode([...proposals]), { signal: deadline(3_000) })
          const [accepted, refused] = acceptance.parse(decode(answer))
          return { accepted, refused: refused as Refusal | null }
        }
      },
      settings
    )
  }

  /** The cluster this folder belongs to, before anything is started; `undefined` where it is empty. @throws ClusterError `cannot_start` */
  static async clusterIdOf(store: Store, self: PeerId): Promise<string | undefined> {
    const identity = await new LogStorage(store).identity()
    if (identity !== undefined && identity.nodeId !== self) {
      throw new ClusterError(
        { code: 'cannot_start' },
        `the data folder belongs to peer ${identity.nodeId}, but identity.json says ${self}: a peer and its data go together; restore the identity, or start with an empty data folder and join as a new peer`
      )
    }
    return identity?.clusterId
  }

  /** @throws ClusterError when the folder does not fit, or nobody could be joined before `signal` */
  async start(beginning: Beginning, { signal }: Abortable = {}): Promise<void> {
    const { store, rpc } = this.#parts
    const known = await RaftConsensus.clusterIdOf(store, rpc.self)
    this.#clusterId = known ?? (await this.#begin(beginning, { signal }))
    this.#isReady = await this.#storage.isReady()
    this.#serve()
    await this.#driver.start(() => this.#changed())
    this.#tasks.run('membership', stop => this.#keepMembership(stop))
  }

  propose(data: Uint8Array, options: Abortable = {}): Promise<Proposed> {
    return this.#driver.propose(data, options)
  }

  /** An empty operation through the log: correct without further proof, at the price of a write. */
  async readBarrier(options: Abortable = {}): Promise<void> {
    await this.#driver.propose(new Uint8Array(), options)
  }

  async addMember(member: Newcomer, { signal }: Abortable = {}): Promise<void> {
    await this.#atLeader(methods.renew, encodeNewcomer(member), 0, deadline(changeMs, signal))
  }

  status(): ConsensusStatus {
    return { ...this.#driver.status(), clusterId: this.#clusterId, isReady: this.#isReady }
  }

  onChange(listener: (status: ConsensusStatus) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
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
      await this.#storage.found({ clusterId, nodeId }, configuration, { isReady: true, present: configuration })
      return clusterId
    }
    const { contact, welcome } = await this.#askToJoin(beginning.contacts({ signal }), { signal })
    await this.#storage.found({ clusterId: welcome.clusterId, nodeId }, welcome.founding, { isReady: false, present: welcome.present })
    this.#parts.log.info({ cluster: welcome.clusterId, through: contact, members: welcome.present.members.length }, 'joined')
    return welcome.clusterId
  }

  async #askToJoin(contacts: AsyncIterable<PeerId>, { signal }: Abortable): Promise<{ contact: PeerId; welcome: Welcome }> {
    for await (const contact of contacts) {
      try {
        const answer = await this.#parts.rpc.call(contact, methods.join, encodeNewcomer(this.#settings.self), {
          signal: deadline(changeMs, signal)
        })
        return { contact, welcome: decodeWelcome(answer) }
      } catch (error) {
        signal?.throwIfAborted()
        if (isFault(error, 'wrong_cluster')) throw error
        // It may be joining itself, or have no leader: neither lasts.
        this.#parts.log.info({ peer: contact, reason: messageOf(error) }, 'not let in yet')
      }
    }
    throw new ClusterError({ code: 'cannot_start' }, 'there is nobody to join')
  }

  // ---- serving other peers ----

  #serve(): void {
    const { rpc } = this.#parts
    rpc.handle(methods.propose, async (_from, payload) => {
      const { accepted, refused } = this.#driver.accept(proposalList.parse(decode(payload)))
      return encode([accepted, refused])
    })
    const served = [
      [methods.join, true],
      [methods.renew, false],
      [methods.promote, false]
    ] as const
    for (const [method, open] of served) {
      rpc.handle(method, (_from, payload, { signal }) => this.#atLeader(method, unhop(payload).payload, unhop(payload).hops, signal), {
        open
      })
    }
  }

  /** Does it here if this peer leads, else passes it on, until somebody did it or nobody can. */
  async #atLeader(method: string, payload: Uint8Array, hops: number, signal: AbortSignal): Promise<Uint8Array> {
    for (;;) {
      signal.throwIfAborted()
      const { leader } = this.#driver.status()
      try {
        if (leader === this.#parts.rpc.self) return await this.#do(method, payload, signal)
        if (leader !== null && hops < hopsMax) return await this.#parts.rpc.call(leader, method, hop(payload, hops + 1), { signal })
      } catch (error) {
        // The leader may have changed or died under the call: what is asked for can be asked for again.
        if (!isFault(error, 'no_leader') && !isFault(error, 'peer_unreachable') && !isFault(error, 'not_a_member')) throw error
      }
      await this.#parts.clock.sleep(retryMs, { signal })
    }
  }

  async #do(method: string, payload: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const newcomer = decodeNewcomer(payload)
    await this.#change(
      present => (method === methods.promote ? this.#promotion(present, newcomer.id) : withNewcomer(present, newcomer)),
      signal
    )
    if (method !== methods.join) return new Uint8Array()
    return encodeWelcome({
      clusterId: this.#clusterId,
      founding: await this.#storage.founding(),
      present: this.#driver.raft.status().configuration
    })
  }

  #promotion(present: Configuration, id: PeerId): Configuration | undefined {
    const { commit, followers } = this.#driver.raft.status()
    const follower = followers.find(follower => follower.id === id)
    if (follower !== undefined && !follower.isVoter && commit - follower.match > promotionLag) {
      throw new ClusterError(
        { code: 'refused' },
        `${id} is ${commit - follower.match} entries behind: it gets its vote when it has caught up`
      )
    }
    return withVoter(present, id)
  }

  /** One change after the other; a change that is refused because another one is under way is tried again. */
  #change(next: (present: Configuration) => Configuration | undefined, signal: AbortSignal): Promise<void> {
    const change = this.#changes.then(async () => {
      for (;;) {
        signal.throwIfAborted()
        const wanted = next(this.#driver.raft.status().configuration)
        const refused = wanted === undefined ? null : await this.#driver.change(wanted, { signal })
        if (refused === null) return
        if (refused === 'not_leader') throw new ClusterError({ code: 'no_leader', voters: 0, reached: 0 }, 'the leader changed meanwhile')
        await this.#parts.clock.sleep(20, { signal })
      }
    })
    this.#changes = change.catch(() => {})
    return change
  }

  // ---- this peer's own membership ----

  /** Asks for the vote once caught up, and tells the others a new name or address. */
  async #keepMembership(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      try {
        await this.#parts.clock.sleep(retryMs, { signal: stop })
        if (await this.#isSettled(stop)) return
      } catch (error) {
        if (stop.aborted) return
        this.#parts.log.debug({ reason: messageOf(error) }, 'membership not settled yet')
      }
    }
  }

  async #isSettled(stop: AbortSignal): Promise<boolean> {
    const { self } = this.#settings
    const { leader, members, applied, commit } = this.#driver.status()
    const present = members.find(({ id }) => id === self.id)
    if (leader === null || present === undefined) return false
    const signal = deadline(changeMs, stop)
    if (present.name !== self.name || present.addresses.join() !== self.addresses.join()) {
      await this.#atLeader(methods.renew, encodeNewcomer(self), 0, signal)
    }
    if (!present.isVoter) {
      if (applied < commit) return false
      await this.#atLeader(methods.promote, encodeNewcomer(self), 0, signal)
    }
    if (!this.#isReady) {
      // What was committed before this barrier is applied behind it: from here on an answer is not an empty one.
      await this.readBarrier({ signal })
      await this.#parts.store.write([this.#storage.markReady()], { sync: true })
      this.#isReady = true
      this.#changed()
    }
    return this.#driver.status().members.some(({ id, isVoter }) => id === self.id && isVoter)
  }

  #changed(): void {
    const status = this.status()
    const shown = JSON.stringify([status.role, status.leader, status.term, status.members, status.isReady])
    if (shown === this.#shown) return
    this.#shown = shown
    for (const listener of this.#listeners) listener(status)
  }
}

/** Requests that travel from member to member count their hops in the first byte, if they have travelled at all. */
const travelled = 0xff

function hop(payload: Uint8Array, hops: number): Uint8Array {
  return new Uint8Array([travelled, hops, ...payload])
}

function unhop(payload: Uint8Array): { payload: Uint8Array; hops: number } {
  // CBOR lists never begin with this byte.
  return payload[0] === travelled ? { payload: payload.subarray(2), hops: payload[1] ?? hopsMax } : { payload, hops: 0 }
}
