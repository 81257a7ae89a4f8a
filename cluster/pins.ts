/** Pin and unpin: check, allocate, encode the operation, have it agreed. Changes the pinset and nothing else; Kubo follows on its own. */
import type { Clock } from '../src/clock.ts'
import { isPath } from '../src/codec.ts'
import { ClusterError, isFault } from '../src/errors.ts'
import type { Abortable } from '../src/lifetime.ts'
import type { Cid, IpfsPath, PeerId, Pin, PinOptions } from '../src/types.ts'
import { allocate, type Candidate } from './allocator.ts'
import type { Consensus } from './consensus/consensus.ts'
import { factorsOf } from './factors.ts'
import { decodeResult, encodeOperation, type PinOperation } from './state/operations.ts'
import type { Pinset } from './state/pinset.ts'

export interface PinsParts {
  readonly consensus: Pick<Consensus, 'propose' | 'isReady'>
  readonly pinset: Pick<Pinset, 'get' | 'expired'>
  readonly clock: Clock
  /** Asks this peer's Kubo what a path names now. */
  readonly resolve: (path: IpfsPath, options: Abortable) => Promise<Cid>
  /** Every member, as the monitor sees it. */
  readonly candidates: () => readonly Candidate[]
}

export interface PinsSettings {
  /** Used where a pin asks for 0 or nothing. */
  readonly replicationMin: number
  readonly replicationMax: number
}

/** Somebody else may change the pin between our look and our entry; each retry looks again. */
const attemptsMax = 8

export class Pins {
  readonly #parts: PinsParts
  readonly #settings: PinsSettings

  constructor(parts: PinsParts, settings: PinsSettings) {
    this.#parts = parts
    this.#settings = settings
  }

  async pin(target: Cid | IpfsPath, options: PinOptions & Abortable = {}): Promise<Pin> {
    const { signal } = options
    const cid = await this.#resolve(target, { signal })
    return this.#change(cid, { signal }, async before => {
      const pin = await this.#compose(cid, options, before)
      return { operation: { type: 'pin', pin, basedOn: before?.version ?? 0 }, answer: index => ({ ...pin, version: index }) }
    })
  }

  async unpin(target: Cid | IpfsPath, { version, signal }: { version?: number | undefined } & Abortable = {}): Promise<Pin> {
    const cid = await this.#resolve(target, { signal })
    return this.#change(cid, { signal }, async before => {
      if (before === undefined) throw new ClusterError({ code: 'not_pinned', cid }, 'pin is not part of the pinset')
      if (version !== undefined && version !== before.version) {
        throw new ClusterError({ code: 'conflict' }, `pin ${cid} has been changed meanwhile`)
      }
      if (before.type === 'shard-pin') refuse('cannot unpin a shard directly. Unpin content root CID instead')
      return { operation: { type: 'unpin', cid, basedOn: before.version }, answer: () => before }
    })
  }

  /** Gives the place of `peer` at this pin to another one; where too few are left, to nobody, unless it is the only one. */
  async vacate(cid: Cid, peer: PeerId, { signal }: Abortable): Promise<void> {
    try {
      await this.#change(cid, { signal }, async before => {
        if (before === undefined) throw new ClusterError({ code: 'not_pinned', cid }, 'pin is not part of the pinset')
        const pin = { ...before, allocations: this.#without(peer, before) }
        return { operation: { type: 'pin', pin, basedOn: before.version }, answer: () => pin }
      })
    } catch (error) {
      // Somebody unpinned it meanwhile.
      if (!isFault(error, 'not_pinned')) throw error
    }
  }

  #without(peer: PeerId, { cid, allocations, replicationMin, replicationMax }: Pin): readonly PeerId[] {
    const current = allocations.filter(id => id !== peer)
    const candidates = this.#parts.candidates().filter(({ id }) => id !== peer)
    try {
      return allocate({ cid, replicationMin, replicationMax, current, isUnchanged: false, preferred: [], candidates })
    } catch (error) {
      if (!isFault(error, 'not_enough_peers')) throw error
      return current.length > 0 ? current : allocations
    }
  }

  /**
   * Unpins what has expired; what cannot be agreed now is left for the next look. The leader does this for all.
   * @returns how many are gone
   */
  async expire({ signal }: Abortable = {}): Promise<number> {
    let gone = 0
    for await (const cid of this.#parts.pinset.expired(this.#parts.clock.wallMs())) {
      signal?.throwIfAborted()
      const pin = await this.#parts.pinset.get(cid)
      if (pin?.expireAt == null || pin.expireAt > this.#parts.clock.wallMs()) continue
      const operation: PinOperation = { type: 'unpin', cid, basedOn: pin.version }
      try {
        const { result } = await this.#parts.consensus.propose(encodeOperation(operation), { signal })
        // A conflict means that the pin was renewed meanwhile, and then it has not expired.
        if (decodeResult(result).status === 'done') gone++
      } catch (error) {
        if (error instanceof ClusterError) return gone
        throw error
      }
    }
    return gone
  }

  /** Looks at the pin, decides, has it agreed; where the pin changed in between, looks again. */
  async #change(cid: Cid, { signal }: Abortable, decide: (before: Pin | undefined) => Promise<Decision>): Promise<Pin> {
    this.#requireState()
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const { operation, answer } = await decide(await this.#parts.pinset.get(cid))
      const { index, result } = await this.#parts.consensus.propose(encodeOperation(operation), { signal })
      if (decodeResult(result).status === 'done') return answer(index)
    }
    throw new ClusterError({ code: 'conflict' }, `pin ${cid} was changed by others ${attemptsMax} times while this change was tried`)
  }

  #requireState(): void {
    if (!this.#parts.consensus.isReady) {
      throw new ClusterError(
        { code: 'not_ready' },
        'this peer is joining, or catching up after its start: ask another peer, or ask again shortly'
      )
    }
  }

  #resolve(target: Cid | IpfsPath, options: Abortable): Promise<Cid> | Cid {
    return isPath(target) ? this.#parts.resolve(target, options) : target
  }

  async #compose(cid: Cid, options: PinOptions, before: Pin | undefined): Promise<Pin> {
    const nowMs = this.#parts.clock.wallMs()
    const source = options.pinUpdate && options.pinUpdate !== cid ? await this.#source(options.pinUpdate) : undefined
    const wanted = source ? { ...source, ...newName(options) } : options
    const { min, max } = factorsOf(wanted, { min: this.#settings.replicationMin, max: this.#settings.replicationMax })
    const mode = wanted.mode ?? 'recursive'
    const expireAt = (source ? options.expireAt : wanted.expireAt) ?? null
    if (expireAt !== null && expireAt <= nowMs) {
      throw new ClusterError({ code: 'invalid' }, 'pin.ExpireAt set before current time: expected a time in the future')
    }
    if (before !== undefined && before.type !== 'pin')
      refuse('cannot repin CID with different tracking method, clear state with pin rm to proceed')
    if (before?.mode === 'recursive' && mode === 'direct') {
      refuse('cannot repin a CID which is already pinned in recursive mode (new pin is pinned as direct). Unpin it first.')
    }
    const allocations = source
      ? source.allocations
      : allocate({
          cid,
          replicationMin: min,
          replicationMax: max,
          current: before?.allocations ?? [],
          isUnchanged: before !== undefined && before.replicationMin === min && before.replicationMax === max,
          preferred: options.userAllocations ?? [],
          candidates: this.#parts.candidates()
        })
    return {
      cid,
      type: 'pin',
      name: wanted.name ?? '',
      mode,
      replicationMin: min,
      replicationMax: max,
      allocations,
      expireAt,
      metadata: wanted.metadata ?? {},
      pinUpdate: options.pinUpdate ?? null,
      origins: wanted.origins ?? [],
      maxDepth: mode === 'direct' ? 0 : -1,
      reference: null,
      shardSize: 0,
      timestamp: nowMs,
      version: 0
    }
  }

  /** The pin whose options `pin-update` copies. */
  async #source(cid: Cid): Promise<Pin> {
    const pin = await this.#parts.pinset.get(cid)
    if (pin === undefined) throw new ClusterError({ code: 'not_pinned', cid }, 'pin is not part of the pinset')
    if (pin.type !== 'pin') refuse('this pin type cannot be updated')
    return pin
  }
}

interface Decision {
  readonly operation: PinOperation
  /** What the caller gets once the operation was applied at `index`. */
  readonly answer: (index: number) => Pin
}

function newName({ name }: PinOptions): { name?: string } {
  return name === undefined || name === '' ? {} : { name }
}

function refuse(message: string): never {
  throw new ClusterError({ code: 'refused' }, message)
}
