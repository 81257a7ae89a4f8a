/**
 * Pins whose content Kubo has already are asked for several to a call: a call costs Kubo and us as much as the pin itself. Only while single pins have
 * been quick lately, as Kubo takes the pins of a call one after the other, and one that must be fetched would hold up the rest.
 *
 * A pin that nobody waits for is kept for a moment, for company; one that somebody waits for leaves with those that are there, as soon as the last
 * shared call has ended. Where somebody looks at its progress it has a call of its own, at once, for a shared one shows none.
 */
import type { Clock } from '../../src/clock.ts'
import type { Cid, FetchProgress } from '../../src/types.ts'
import type { Kubo, KuboPin } from './kubo.ts'

export interface PinBatchesParts {
  readonly kubo: Pick<Kubo, 'pin' | 'pinTogether'>
  readonly clock: Clock
}

export interface PinBatchesSettings {
  /** Pins that are under way at a time, whoever waits for them: with all of them here there is no more company to come. */
  readonly concurrentPins: number
}

export interface NamedPin extends KuboPin {
  readonly name: string
}

export interface PinningOptions {
  readonly signal: AbortSignal
  readonly onProgress: (progress: FetchProgress) => void
  readonly awaited: Awaited
}

/** Who waits for a pin: somebody who looks at its progress, somebody who does not, nobody. */
export type Awaited = 'seeing' | 'blind' | null

/** Together for about as long as it takes Kubo to pin a few. */
const companyMs = 20
const countMax = 16
/** A pin that took no longer had nothing to fetch. */
const quickMs = 250
/** So many quick ones in a row. */
const quickMin = 10
/** A batch that takes longer has a pin in it that must be fetched: each of them is then asked for alone, which shows its progress and its failure. */
const batchMs = 1_000

interface Member {
  readonly cid: Cid
  readonly signal: AbortSignal
  readonly settle: (isPinned: boolean) => void
}

export class PinBatches {
  readonly #parts: PinBatchesParts
  readonly #concurrentPins: number
  readonly #gathered = new Map<Cid, Member>()
  /** Quick ones in a row. */
  #quick = 0
  #running = 0
  /** Kubo pins one at a time: a second call would wait for the first, and gather nobody meanwhile. */
  #isCalling = false
  /** Those that are gathered leave as soon as they may. */
  #isDue = false
  #isTimed = false

  constructor(parts: PinBatchesParts, { concurrentPins }: PinBatchesSettings) {
    this.#parts = parts
    this.#concurrentPins = concurrentPins
  }

  /** Pins `pin` in Kubo. One CID at a time. @throws what `Kubo.pin` throws, or the signal's reason */
  async pin(pin: NamedPin, { signal, onProgress, awaited }: PinningOptions): Promise<void> {
    this.#running++
    try {
      // A call has one name and one mode for all its pins.
      const canShare = this.#quick >= quickMin && awaited !== 'seeing' && pin.mode === 'recursive' && pin.name === ''
      if (canShare && (await this.#withOthers(pin.cid, signal, awaited !== null))) return
      signal.throwIfAborted()
      await this.#alone(pin, { signal, onProgress })
    } finally {
      this.#running--
    }
  }

  /** Somebody has begun to wait for `cid`. */
  hurry(cid: Cid, isBlind: boolean): void {
    const member = this.#gathered.get(cid)
    if (member === undefined) return
    if (isBlind) return this.#leave()
    this.#gathered.delete(cid)
    member.settle(false)
  }

  async #alone(pin: NamedPin, options: { signal: AbortSignal; onProgress: (progress: FetchProgress) => void }): Promise<void> {
    const { kubo, clock } = this.#parts
    const sinceMs = clock.monotonicMs()
    let isQuick = false
    try {
      await kubo.pin(pin, options)
      isQuick = clock.monotonicMs() - sinceMs <= quickMs
    } finally {
      this.#quick = isQuick ? this.#quick + 1 : 0
    }
  }

  /** @returns whether it is pinned; if not, it may be for the sake of another one */
  #withOthers(cid: Cid, signal: AbortSignal, isAwaited: boolean): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.#gathered.set(cid, { cid, signal, settle: resolve })
    if (isAwaited || this.#gathered.size >= countMax || this.#running >= this.#concurrentPins) this.#leave()
    else this.#keepForCompany()
    return promise
  }

  #keepForCompany(): void {
    if (this.#isTimed) return
    this.#isTimed = true
    void this.#parts.clock.sleep(companyMs).then(() => {
      this.#isTimed = false
      this.#leave()
    })
  }

  #leave(): void {
    this.#isDue = true
    if (this.#isCalling) return
    const members = [...this.#gathered.values()].slice(0, countMax)
    for (const { cid } of members) this.#gathered.delete(cid)
    this.#isDue = this.#gathered.size > 0
    if (members.length > 0) void this.#call(members)
  }

  /** Who is told to stop waits for the end of the call all the same, unless all are: Kubo may have pinned it by then, and what follows must come later. */
  async #call(members: readonly Member[]): Promise<void> {
    this.#isCalling = true
    const end = new AbortController()
    const endIfNobodyIsLeft = () => {
      if (members.every(({ signal }) => signal.aborted)) end.abort(members[0]?.signal.reason)
    }
    for (const { signal } of members) signal.addEventListener('abort', endIfNobodyIsLeft)
    endIfNobodyIsLeft()
    const { kubo, clock } = this.#parts
    const tooLong = clock.every(batchMs, () => end.abort(new Error('one of the pins must be fetched')))
    let isPinned = false
    try {
      const cids = members.map(({ cid }) => cid)
      await kubo.pinTogether(cids, { signal: end.signal })
      isPinned = true
    } catch {
      // Each of them, asked for alone, says what is wrong with it.
      this.#quick = 0
    } finally {
      tooLong[Symbol.dispose]()
      for (const { signal } of members) signal.removeEventListener('abort', endIfNobodyIsLeft)
      this.#isCalling = false
      for (const { settle } of members) settle(isPinned)
      if (this.#isDue) this.#leave()
    }
  }
}
