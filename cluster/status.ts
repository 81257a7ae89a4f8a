/** What the cluster's peers hold of a pin, now: statuses of one and of many, and following one until enough peers hold it. */
import type { FollowOptions, StatusesOptions, WaitLevel } from '../src/api.ts'
import type { Clock } from '../src/clock.ts'
import { ClusterError } from '../src/errors.ts'
import { type Abortable, Limit } from '../src/lifetime.ts'
import type { Cid, PeerId, PeerStatus, Pin, PinProgress, PinStatus, Status } from '../src/types.ts'
import { type Copies, type Copy, holds } from './copies.ts'
import type { LocalStatus, Tracker } from './ipfs/tracker-api.ts'
import { fingerprint, pageMax, underWay } from './messages.ts'
import type { Pinset } from './state/pinset.ts'

/** A member as the monitor knows it. */
export interface KnownPeer {
  readonly id: PeerId
  readonly name: string
  readonly ipfsId: string | null
  readonly ipfsAddresses: readonly string[]
  readonly isAlive: boolean
}

export interface StatusParts {
  readonly self: PeerId
  readonly pinset: Pick<Pinset, 'get' | 'list' | 'watch'>
  readonly copies: Pick<Copies, 'of' | 'ofMany' | 'remote' | 'silent'>
  readonly tracker: Pick<Tracker, 'operations' | 'isPartial'>
  readonly clock: Clock
  /** Every member, sorted by id. */
  readonly members: () => readonly KnownPeer[]
  /** Throws `not_ready` while this peer has no state. */
  readonly requireState: () => void
}

/** A silent follower is told at least this often that nothing happened. */
const followMs = 500

const unfollowed = new Error('nobody follows any more')

const noPin = { name: '', allocations: [], origins: [], metadata: {}, version: 0 } as const

export class PinStatuses {
  readonly #parts: StatusParts

  constructor(parts: StatusParts) {
    this.#parts = parts
  }

  async one(cid: Cid, { local = false, signal }: { local?: boolean | undefined } & Abortable = {}): Promise<PinStatus> {
    this.#parts.requireState()
    const pin = await this.#parts.pinset.get(cid)
    const members = this.#members(local)
    const copies = await Promise.all(
      members.map(({ id }) => {
        if (pin !== undefined && !holds(id, pin)) return this.#parts.copies.remote()
        // An unpinned CID is nobody's duty: only this peer is asked for what it may still be undoing.
        if (pin === undefined && id !== this.#parts.self) return unpinned(this.#parts.clock.wallMs())
        return this.#parts.copies.of(id, pin ?? { cid, version: 0 }, { signal })
      })
    )
    return this.#status(cid, pin, members, copies)
  }

  async *many(options: StatusesOptions = {}): AsyncIterable<PinStatus> {
    this.#parts.requireState()
    const { cids, filter, local, signal } = options
    if (cids !== undefined) {
      for (const cid of cids) yield await this.one(cid, { local, signal })
      return
    }
    const wanted = filter === undefined ? undefined : new Set(filter)
    const isInMemory = local && !this.#parts.tracker.isPartial
    if (wanted !== undefined && isInMemory && !settled.some(status => wanted.has(status))) yield* this.#operations(wanted)
    else yield* this.#listed(wanted, local ?? false, { signal })
  }

  async *follow(cid: Cid, { until = 'min', isBlind = false, signal }: FollowOptions = {}): AsyncIterable<PinProgress> {
    this.#parts.requireState()
    using limit = new Limit([signal])
    const followed = new Followed()
    const wake = () => followed.wake()
    using _agreed = this.#parts.pinset.watch(cid, wake)
    using _silence = this.#parts.clock.every(followMs, wake)
    signal?.addEventListener('abort', wake)
    const watches: Promise<void>[] = []
    const watched = new Set<PeerId>()
    try {
      for (;;) {
        signal?.throwIfAborted()
        const woken = followed.next()
        const pin = await this.#parts.pinset.get(cid)
        if (pin === undefined) throw new ClusterError({ code: 'not_pinned', cid }, `${cid} was unpinned`)
        const members = this.#parts.members().filter(({ id }) => holds(id, pin))
        for (const { id } of members) {
          if (watched.has(id)) continue
          watched.add(id)
          watches.push(this.#watch(id, pin, followed, { isBlind, signal: limit.signal }))
        }
        const progress = judge(pin, members, followed.copies, until)
        yield progress
        if (progress.done) return
        followed.judged()
        await woken
      }
    } finally {
      signal?.removeEventListener('abort', wake)
      limit.abort(unfollowed)
      followed.judged()
      await Promise.all(watches)
    }
  }

  /** Keeps `followed` told of one peer's copy until the follower ends. */
  async #watch(peer: PeerId, pin: Pin, followed: Followed, { isBlind, signal }: { isBlind: boolean; signal: AbortSignal }): Promise<void> {
    // A new pin is under way everywhere: the first word that is worth a message is often the last.
    let known = underWay
    while (!signal.aborted) {
      try {
        const copy = await this.#parts.copies.of(peer, pin, { known, waitMs: followMs, isBlind, signal })
        const now = fingerprint(copy as LocalStatus)
        // The next question only where this was not the last word.
        if (now !== known) await followed.set(peer, copy)
        known = now
        // A peer that does not answer fails at once: ask again at the pace of the follower.
        if (copy.status === 'cluster_error') await this.#parts.clock.sleep(followMs, { signal })
      } catch {
        // Only the end of the follower gets here: `of` turns every other failure into a copy.
        return
      }
    }
  }

  async *#listed(wanted: ReadonlySet<Status> | undefined, local: boolean, { signal }: Abortable): AsyncIterable<PinStatus> {
    const members = this.#members(local)
    let page: Pin[] = []
    for await (const pin of this.#parts.pinset.list()) {
      page.push(pin)
      if (page.length < pageMax) continue
      yield* await this.#page(page, members, wanted, { signal })
      page = []
    }
    yield* await this.#page(page, members, wanted, { signal })
  }

  /** One question a peer for a whole page of pins. */
  async #page(
    pins: readonly Pin[],
    members: readonly KnownPeer[],
    wanted: ReadonlySet<Status> | undefined,
    { signal }: Abortable
  ): Promise<PinStatus[]> {
    if (pins.length === 0) return []
    const columns = await Promise.all(
      members.map(async ({ id }) => {
        const held = pins.filter(pin => holds(id, pin))
        const copies =
          held.length === 0
            ? []
            : await this.#parts.copies.ofMany(
                id,
                held.map(({ cid }) => cid),
                { signal }
              )
        return new Map(held.map(({ cid }, index) => [cid, copies[index] ?? this.#parts.copies.silent('gave a short answer')]))
      })
    )
    return pins.flatMap(pin => {
      const copies = columns.map(column => column.get(pin.cid) ?? this.#parts.copies.remote())
      const status = this.#status(pin.cid, pin, members, copies, wanted)
      return status.peers.size === 0 ? [] : [status]
    })
  }

  /** Pins that are under way here, pinned or not by agreement. */
  async *#operations(wanted: ReadonlySet<Status>): AsyncIterable<PinStatus> {
    const members = this.#members(true)
    for (const [cid, status] of this.#parts.tracker.operations()) {
      if (wanted.has(status.status)) yield this.#status(cid, await this.#parts.pinset.get(cid), members, [status])
    }
  }

  #members(local: boolean): readonly KnownPeer[] {
    return local ? this.#parts.members().filter(({ id }) => id === this.#parts.self) : this.#parts.members()
  }

  #status(cid: Cid, pin: Pin | undefined, members: readonly KnownPeer[], copies: readonly Copy[], wanted?: ReadonlySet<Status>): PinStatus {
    const { name, allocations, origins, metadata } = pin ?? noPin
    const peers = members.flatMap((member, index) => {
      const copy = copies[index]
      return copy === undefined || (wanted && !wanted.has(copy.status)) ? [] : [[member.id, peerStatus(member, copy)] as const]
    })
    return { cid, name, allocations, origins, metadata, created: pin?.timestamp ?? this.#parts.clock.wallMs(), peers: new Map(peers) }
  }
}

/** Statuses that pins have when nothing is under way. */
const settled = ['pinned', 'unexpectedly_unpinned', 'sharded', 'remote'] as const satisfies readonly Status[]

function peerStatus({ name, ipfsId, ipfsAddresses }: KnownPeer, copy: Copy): PeerStatus {
  return { peerName: name, ipfsId, ipfsAddresses, ...copy }
}

function unpinned(timestamp: number): LocalStatus {
  return { status: 'unpinned', error: '', attemptCount: 0, priorityPin: false, timestamp, progress: null }
}

/** The copies a follower knows of, and its alarm clock. */
class Followed {
  readonly copies = new Map<PeerId, Copy>()
  #woken = Promise.withResolvers<void>()
  #judged = Promise.withResolvers<void>()

  /** Resolves when the follower has looked at it. */
  set(peer: PeerId, copy: Copy): Promise<void> {
    this.copies.set(peer, copy)
    this.wake()
    return this.#judged.promise
  }

  judged(): void {
    this.#judged.resolve()
    this.#judged = Promise.withResolvers()
  }

  wake(): void {
    this.#woken.resolve()
  }

  /** Resolves at the next wake-up after this call. */
  next(): Promise<void> {
    this.#woken = Promise.withResolvers<void>()
    return this.#woken.promise
  }
}

/**
 * How far the copies are. A pin on every peer waits for the living ones only, and for one at least: a peer that is down gets its copy when it
 * is back.
 * @throws ClusterError `pin_failed` when too few peers are left that could still hold it
 */
export function judge(pin: Pin, holders: readonly KnownPeer[], copies: ReadonlyMap<PeerId, Copy>, until: WaitLevel): PinProgress {
  const isEverywhere = pin.allocations.length === 0
  const living = holders.filter(({ id, isAlive }) => isAlive && copies.get(id)?.status !== 'cluster_error')
  const wanted = isEverywhere ? Math.max(1, living.length) : until === 'all' ? holders.length : Math.min(pin.replicationMin, holders.length)
  // Only those that hold it count: a peer that held it before the pin was allocated anew has a copy as well.
  const held = holders.flatMap(({ id }) => {
    const copy = copies.get(id)
    return copy ? [{ id, copy }] : []
  })
  const pinned = held.filter(({ copy }) => copy.status === 'pinned').length
  const failed = held.filter(({ copy }) => copy.status === 'pin_error')
  if (failed.length > 0 && pinned < wanted) {
    const isFailed = new Set(failed.map(({ id }) => id))
    const left = living.filter(({ id }) => !isFailed.has(id)).length
    if (left < wanted) throw new ClusterError({ code: 'pin_failed', peers: [...isFailed] }, failed[0]?.copy.error ?? 'pin failed')
  }
  const fetched = held.flatMap(({ copy: { progress } }) => (progress ? [progress] : []))
  return {
    // Peers fetch the same nodes: the furthest one tells how far the pin is.
    nodes: Math.max(0, ...fetched.map(({ nodes }) => nodes)),
    bytes: fetched.reduce<number | null>((most, { bytes }) => (bytes === null ? most : Math.max(most ?? 0, bytes)), null),
    pinned,
    wanted,
    done: pinned >= wanted
  }
}
