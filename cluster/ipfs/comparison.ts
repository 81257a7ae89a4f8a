/**
 * Keeps comparing: with Kubo at intervals and when asked (a sweep), and with the rows alone while there is more to do than fits in memory (a
 * refill). What differs is looked at once more before anything is done about it, for the lists are older than the moment.
 */
import type { Clock } from '../../src/clock.ts'
import { isFault, messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { Cid } from '../../src/types.ts'
import { Backlog } from './backlog.ts'
import type { Kubo } from './kubo.ts'
import { type Difference, hasFailed, meets, record, type SweepParts, walk } from './sweep.ts'
import type { Wanted } from './tracker-api.ts'

export interface ComparisonParts extends Omit<SweepParts, 'nowMs'> {
  readonly kubo: Pick<Kubo, 'pins'>
  readonly wish: (cid: Cid) => Promise<Wanted | undefined>
  readonly hasRoom: () => boolean
  /** `null`: let it go. */
  readonly put: (cid: Cid, pin: Wanted | null) => void
  readonly onUnreachable: (reason: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** After a sweep that failed. */
const retryMs = 10_000

export class Comparison {
  readonly #parts: ComparisonParts
  readonly #intervalMs: number
  readonly #backlog = new Backlog()
  /** Failures that were put aside and are tried again at the next sweep. */
  #failures = 0
  #isAsked = false
  #wake = Promise.withResolvers<void>()
  /** The CID that is being looked at; `null` when a wish for it was dropped meanwhile. */
  #looking: Cid | null = null

  constructor(parts: ComparisonParts, { recoverIntervalMs }: { recoverIntervalMs: number }) {
    this.#parts = parts
    this.#intervalMs = recoverIntervalMs
  }

  get isBehind(): boolean {
    return this.#backlog.isBehind
  }

  /** Some of what is under way is not in memory. */
  get isPartial(): boolean {
    return this.#backlog.isBehind || this.#failures > 0
  }

  /** What is not in memory, by kind. */
  get beyond(): { readonly pins: number; readonly unpins: number; readonly failures: number } {
    return { pins: this.#backlog.pins, unpins: this.#backlog.unpins, failures: this.#failures }
  }

  /** A change did not fit: it is found on disk later. */
  drop(cid: Cid, kind: 'pin' | 'unpin'): void {
    if (this.#looking === cid) this.#looking = null
    this.#backlog.drop(kind)
  }

  setAside(): void {
    this.#failures++
  }

  /** Compare with Kubo soon. */
  ask(): void {
    this.#isAsked = true
    this.#wake.resolve()
  }

  /** There may be room again. */
  wake(): void {
    if (this.#backlog.isBehind) this.#wake.resolve()
  }

  async run(stop: AbortSignal): Promise<void> {
    const { clock, holdings, hasRoom } = this.#parts
    await holdings.start()
    let dueMs = Number.NEGATIVE_INFINITY
    let restedMs = Number.NEGATIVE_INFINITY
    for (;;) {
      this.#wake = Promise.withResolvers()
      const beganMs = clock.monotonicMs()
      if (beganMs >= dueMs || (this.#isAsked && beganMs >= restedMs)) {
        this.#isAsked = false
        const isDone = await this.#attempt(() => this.#sweep(stop), stop)
        const endedMs = clock.monotonicMs()
        // However often it is asked for: Kubo has at least as much rest as work.
        restedMs = endedMs + (endedMs - beganMs)
        dueMs = isDone ? endedMs + this.#intervalMs : Math.max(restedMs, endedMs + Math.min(this.#intervalMs, retryMs))
      }
      // Again where a round is over but something did not fit since it began: with nothing under way, nobody would call for the next one.
      let goesOn = true
      while (goesOn && this.#backlog.isBehind && hasRoom()) goesOn = await this.#attempt(() => this.#refill(stop), stop)
      const nextMs = (this.#isAsked ? Math.min(dueMs, restedMs) : dueMs) - clock.monotonicMs()
      const nap = new AbortController()
      const pause = clock.sleep(Math.max(0, nextMs), { signal: AbortSignal.any([stop, nap.signal]) }).catch(() => {})
      await Promise.race([pause, this.#wake.promise])
      nap.abort()
      stop.throwIfAborted()
    }
  }

  async #attempt(work: () => Promise<void>, stop: AbortSignal): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      stop.throwIfAborted()
      if (isFault(error, 'kubo_unreachable')) this.#parts.onUnreachable(error.message)
      else this.#parts.log.warn({ reason: messageOf(error) }, 'comparison with kubo failed')
      return false
    }
  }

  async #sweep(stop: AbortSignal): Promise<void> {
    const parts = this.#walkParts()
    const sweep = await parts.holdings.nextSweep()
    await record({ ...parts, kubo: this.#parts.kubo }, sweep, { signal: stop })
    this.#backlog.beginCount()
    // Until everything was seen, the old numbers are the better ones.
    const beyond = { pins: 0, unpins: 0, failures: 0 }
    const failuresBefore = this.#failures
    await walk(parts, {
      sweep,
      signal: stop,
      onDifference: async (cid, difference) => {
        if (difference === 'failed') beyond.failures++
        else if (this.#parts.hasRoom()) await this.#reconcile(cid)
        else if (difference === 'surplus') beyond.unpins++
        else beyond.pins++
        return true
      }
    })
    this.#backlog.endCount(beyond)
    // What was put aside meanwhile is not in the rows as the walk saw them.
    this.#failures = beyond.failures + this.#failures - failuresBefore
  }

  async #refill(stop: AbortSignal): Promise<void> {
    const after = this.#backlog.goOn()
    const onDifference = async (cid: Cid, difference: Difference) => {
      // Once between two sweeps is enough.
      if (difference === 'failed') return true
      this.#backlog.took(difference === 'surplus' ? 'unpin' : 'pin')
      await this.#reconcile(cid)
      return this.#parts.hasRoom()
    }
    this.#backlog.stopped(await walk(this.#walkParts(), { after, signal: stop, onDifference }))
  }

  /** Does what is to be done about `cid` now. */
  async #reconcile(cid: Cid): Promise<void> {
    this.#looking = cid
    const [wish, row] = await Promise.all([this.#parts.wish(cid), this.#parts.holdings.get(cid)])
    // Somebody wants something newer of it: it is under way, or the next round finds it.
    if (this.#looking !== cid || this.#parts.isOwned(cid)) return
    this.#looking = null
    // It has failed and was put aside since the rows were read: that counts already.
    if (row && hasFailed(this.#parts, row)) return
    if (wish ? row && meets(row, wish) : !(row?.isOurs && row.isPinned)) return
    this.#parts.put(cid, wish ?? null)
  }

  #walkParts(): SweepParts {
    return { ...this.#parts, nowMs: () => this.#parts.clock.wallMs() }
  }
}
