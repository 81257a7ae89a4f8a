/**
 * Changes of members, through any member: joining, renewing name and addresses, promotion. The peer that leads does them, one after the other;
 * every other passes them on.
 */
import type { Clock } from '../../src/clock.ts'
import { ClusterError, isFault } from '../../src/errors.ts'
import { type Abortable, deadline } from '../../src/lifetime.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Configuration, FollowerProgress } from '../raft/types.ts'
import type { Driver } from './driver.ts'
import {
  decodeRequest,
  encodeRequest,
  encodeWelcome,
  type MemberRequest,
  type Newcomer,
  withNewcomer,
  withoutMember,
  withVoter
} from './members.ts'
import { removedError } from './removal.ts'
import type { LogStorage } from './storage.ts'

export interface MembershipParts {
  readonly driver: Driver
  readonly storage: LogStorage
  readonly rpc: Rpc
  readonly clock: Clock
  readonly clusterId: () => string
}

/** `join` is asked by a peer with an empty folder, the others by members. */
export const methods = {
  join: 'consensus/join',
  renew: 'consensus/renew',
  promote: 'consensus/promote',
  remove: 'consensus/remove'
} as const
type Method = (typeof methods)[keyof typeof methods]

/** A learner gets its vote when it is this close to what is committed; the rest comes while the vote is agreed. */
const promotionLag = 256
/** One request about members, from the peer that asks on. */
export const changeMs = 15_000
const retryMs = 250
/** A change that has to wait for another one is tried again after this. */
const pendingMs = 20
/** A leader that is to be removed waits so long for another one. */
const handOverMs = 2_000
/** From one member to another at most this often, in search of the leader. */
const hopsMax = 3

export class Membership {
  readonly #parts: MembershipParts
  /** The changes of this leader, one after the other. */
  #handedOverMs = Number.NEGATIVE_INFINITY
  #changes: Promise<unknown> = Promise.resolve()

  constructor(parts: MembershipParts) {
    this.#parts = parts
  }

  serve(): void {
    const { rpc } = this.#parts
    for (const method of Object.values(methods)) {
      rpc.handle(
        method,
        (from, payload, { signal }) => {
          const request = decodeRequest(payload)
          this.#requireHonest(from, request)
          return this.#atLeader(method, request, deadline(changeMs, signal))
        },
        { open: method === methods.join }
      )
    }
  }

  /** Adds a learner, or renews its name and addresses. @throws ClusterError `no_leader` */
  async renew(member: Newcomer, { signal }: Abortable): Promise<void> {
    await this.#atLeader(methods.renew, { hops: 0, member }, deadline(changeMs, signal), signal)
  }

  /** Makes a learner a voter. @throws ClusterError `refused` while it is far behind, `no_leader` */
  async promote(member: Newcomer, { signal }: Abortable): Promise<void> {
    await this.#atLeader(methods.promote, { hops: 0, member }, deadline(changeMs, signal), signal)
  }

  /** Takes the place of a member. @throws ClusterError `refused` for the last voter, `no_leader` */
  async remove(id: PeerId, { signal }: Abortable): Promise<void> {
    const member = { id, name: '', addresses: [] }
    await this.#atLeader(methods.remove, { hops: 0, member }, deadline(changeMs, signal), signal)
  }

  /** A stranger speaks for itself only; a member may pass on what another one asked. */
  #requireHonest(from: PeerId, { member }: MemberRequest): void {
    if (from === member.id || this.#parts.driver.status().members.some(({ id }) => id === from)) return
    throw new ClusterError({ code: 'not_a_member' }, `peer ${from} is no member and cannot ask for ${member.id}`)
  }

  /** Does it here if this peer leads, else passes it on, until somebody did it or the time is over. */
  async #atLeader(method: Method, request: MemberRequest, signal: AbortSignal, asked?: AbortSignal): Promise<Uint8Array> {
    try {
      for (;;) {
        signal.throwIfAborted()
        const answer = await this.#attempt(method, request, signal)
        if (answer !== undefined) return answer
        await this.#parts.clock.sleep(retryMs, { signal })
      }
    } catch (error) {
      if (!signal.aborted || error instanceof ClusterError) throw error
      asked?.throwIfAborted()
      throw noLeader('nobody led for long enough to change the members')
    }
  }

  /** `undefined`: ask again. */
  async #attempt(method: Method, request: MemberRequest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { driver, rpc } = this.#parts
    const { leader, removedAt } = driver.status()
    if (removedAt !== null) {
      // The others end their links to a peer that is removed, so the answer to its own wish may get lost: it hears of it from them.
      if (method === methods.remove && request.member.id === rpc.self) return new Uint8Array()
      // Whoever asks should ask somebody else at once.
      throw removedError(removedAt)
    }
    try {
      if (leader === rpc.self) return await this.#do(method, request.member, signal)
      const { hops, member } = request
      if (leader === null || hops >= hopsMax) return undefined
      return await rpc.call(leader, method, encodeRequest({ hops: hops + 1, member }), { signal })
    } catch (error) {
      // The leader may have changed or died under the call, or be starting: what is asked for can be asked for again.
      const isPassing = (['no_leader', 'peer_unreachable', 'not_a_member', 'not_ready'] as const).some(code => isFault(error, code))
      if (!isPassing) throw error
      return undefined
    }
  }

  async #do(method: Method, member: Newcomer, signal: AbortSignal): Promise<Uint8Array> {
    const { driver, storage, clusterId } = this.#parts
    switch (method) {
      case methods.join:
        await this.#change(present => {
          this.#requireNew(present, member.id)
          return withNewcomer(present, member)
        }, signal)
        return encodeWelcome({ clusterId: clusterId(), founding: await storage.founding(), present: driver.core.configuration })
      case methods.renew:
        await this.#change(present => withNewcomer(present, member), signal)
        return new Uint8Array()
      case methods.promote:
        await this.#change(present => {
          this.#requireCaughtUp(member.id)
          return withVoter(present, member.id)
        }, signal)
        return new Uint8Array()
      case methods.remove:
        await this.#remove(member.id, signal)
        return new Uint8Array()
    }
  }

  /**
   * A leader hands over before it goes, so that nobody has to miss it; the next one does the rest. Where nobody can lead, it does it itself; and also
   * where it leads again soon after: two that are to be removed would go on handing over to each other.
   */
  async #remove(id: PeerId, signal: AbortSignal): Promise<void> {
    const { driver, rpc, clock } = this.#parts
    const nowMs = clock.monotonicMs()
    if (id === rpc.self && nowMs - this.#handedOverMs > changeMs) {
      this.#handedOverMs = nowMs
      if (await driver.handOver(deadline(handOverMs, signal))) throw noLeader('the leader handed over, for it is to be removed')
    }
    await this.#change(present => withoutMember(present, id), signal)
  }

  /**
   * Only a peer with an empty folder asks to join. One that had a log and lost it may have acknowledged entries that no majority without it has,
   * so under its old name it could help to elect a leader without them (Raft thesis, 11.7.2).
   */
  #requireNew({ members }: Configuration, id: PeerId): void {
    const isVoter = members.some(member => member.id === id && member.isVoter)
    if (!isVoter && (this.#progress(id)?.match ?? 0) === 0) return
    const way = 'restore its data folder, or give it a new identity and let it join as a new peer'
    throw new ClusterError({ code: 'cannot_start' }, `peer ${id} is a member already, but comes with an empty data folder: ${way}`)
  }

  #requireCaughtUp(id: PeerId): void {
    const follower = this.#progress(id)
    const behind = this.#parts.driver.core.commit - (follower?.match ?? 0)
    if (follower === undefined || follower.isVoter || behind <= promotionLag) return
    throw new ClusterError({ code: 'refused' }, `peer ${id} is ${behind} entries behind: it gets its vote when it has caught up`)
  }

  #progress(id: PeerId): FollowerProgress | undefined {
    return this.#parts.driver.core.followers.find(follower => follower.id === id)
  }

  /** One change after the other; a change that is refused because another one is under way is tried again. */
  #change(next: (present: Configuration) => Configuration | undefined, signal: AbortSignal): Promise<void> {
    const change = this.#changes.then(async () => {
      for (;;) {
        signal.throwIfAborted()
        const { driver, clock } = this.#parts
        const wanted = next(driver.core.configuration)
        const refused = wanted === undefined ? null : await driver.change(wanted, { signal })
        if (refused === null) return
        if (refused === 'not_leader') throw noLeader('the leader changed meanwhile')
        if (refused === 'no_voters') throw new ClusterError({ code: 'refused' }, 'this is the last peer with a vote: it cannot be removed')
        await clock.sleep(pendingMs, { signal })
      }
    })
    this.#changes = change.catch(() => {})
    return change
  }
}

function noLeader(message: string): ClusterError {
  return new ClusterError({ code: 'no_leader', voters: 0, reached: 0 }, message)
}
