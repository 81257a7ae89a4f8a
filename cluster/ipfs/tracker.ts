/**
 * Makes this peer's Kubo hold what the cluster wants. It does not know who leads. The newest wish for a CID wins, whatever was under way for it.
 * In memory is a bounded window on what waits, runs or failed; what does not fit is found again by comparing wishes with rows (`backlog.ts`).
 */
import type { Clock } from '../../src/clock.ts'
import { isFault, messageOf } from '../../src/errors.ts'
import { type Abortable, logFailures, Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { Cid, FetchProgress } from '../../src/types.ts'
import type { Store } from '../state/store.ts'
import { Comparison } from './comparison.ts'
import { type Holding, type HoldingChange, Holdings } from './holdings.ts'
import { isPinnedRecursively, type Kubo } from './kubo.ts'
import { isFailed, type Operation, Operations, shown } from './operations.ts'
import { PinBatches } from './pin-batches.ts'
import { Queue } from './queue.ts'
import type { LocalStatus, Tracker, TrackerCounts, Wanted } from './tracker-api.ts'

export interface TrackerParts {
  readonly kubo: Kubo
  readonly store: Store
  /** The pins this peer should hold, in the order of CID bytes, behind `after`. */
  readonly wanted: (options: { after?: Cid | undefined }) => AsyncIterable<Wanted>
  /** What this peer should hold of a CID now. */
  readonly wish: (cid: Cid) => Promise<Wanted | undefined>
  readonly clock: Clock
  readonly log: Log
}

export interface TrackerSettings {
  readonly concurrentPins: number
  /** Between two comparisons of what is wanted with what Kubo has. */
  readonly recoverIntervalMs: number
  /** Pins younger than this, with few attempts, go first. */
  readonly priorityMaxAgeMs: number
  readonly priorityMaxRetries: number
  /** Operations in memory; for tests. */
  readonly windowMax?: number
}

const windowMax = 10_000
const unpinsMax = 4
const retryMinMs = 5_000
/** Between two questions whether Kubo is back. */
const probeMs = 1_000
/** So often in a row may Kubo go away under a pin before that counts as a failure of the pin: it may be what kills Kubo. */
const interruptionsMax = 3

export class KuboTracker implements Tracker {
  readonly #parts: TrackerParts
  readonly #settings: TrackerSettings
  readonly #holdings: Holdings
  readonly #queue: Queue
  readonly #batches: PinBatches
  readonly #tasks: Tasks
  readonly #operations = new Operations()
  readonly #comparison: Comparison
  readonly #windowMax: number
  #kuboError = ''

  constructor(parts: TrackerParts, settings: TrackerSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#windowMax = settings.windowMax ?? windowMax
    this.#holdings = new Holdings(parts.store)
    this.#queue = new Queue({ pins: settings.concurrentPins, unpins: unpinsMax })
    this.#batches = new PinBatches(parts, settings)
    this.#tasks = new Tasks(logFailures(parts.log))
    this.#comparison = new Comparison(
      {
        ...parts,
        holdings: this.#holdings,
        isOwned: cid => this.#operations.has(cid),
        // Half of the window is for what is asked for now: it must not wait behind everything there is.
        hasRoom: () => this.#operations.size < this.#windowMax / 2,
        put: (cid, pin) => this.#put(cid, pin),
        onUnreachable: reason => this.#kuboIsGone(reason)
      },
      settings
    )
  }

  get kuboError(): string {
    return this.#kuboError
  }

  get isPartial(): boolean {
    return this.#comparison.isPartial
  }

  start(): void {
    this.#tasks.run('comparison', stop => this.#comparison.run(stop))
    this.#tasks.run('retry', stop => this.#keepRetrying(stop))
  }

  want(pin: Wanted): void {
    const running = this.#operations.get(pin.cid)
    if (running?.pin && running.pin.version >= pin.version) return
    this.#putOrDrop(pin.cid, pin)
  }

  release(cid: Cid, version: number): void {
    const running = this.#operations.get(cid)
    if (running?.pin && running.pin.version > version) return
    if (running && running.pin === null && running.status !== 'unpin_error') return
    this.#putOrDrop(cid, null)
  }

  async status(cid: Cid, wish: Pick<Wanted, 'version'> | null): Promise<LocalStatus> {
    const operation = this.#operations.get(cid)
    if (operation) return shown(operation)
    const holding = await this.#holdings.get(cid)
    // It may have begun while the row was read.
    const late = this.#operations.get(cid)
    if (late) return shown(late)
    const now = { isBehind: this.#comparison.isBehind, nowMs: this.#parts.clock.wallMs(), fetched: this.#operations.fetched(cid) }
    return settled(holding, wish, now)
  }

  *operations(): Iterable<readonly [Cid, LocalStatus]> {
    for (const operation of this.#operations.all()) yield [operation.cid, shown(operation)]
  }

  onChange(cid: Cid, listener: () => void, { isBlind = false }: { readonly isBlind?: boolean } = {}): Disposable {
    this.#batches.hurry(cid, isBlind)
    if (this.#operations.areFew && this.#operations.has(cid)) this.#holdings.hurry()
    return this.#operations.onChange(cid, listener, isBlind)
  }

  async recover({ cid }: { cid?: Cid } & Abortable = {}): Promise<number> {
    if (cid !== undefined) return (await this.#recoverOne(cid)) ? 1 : 0
    const failed = [...this.#operations.all()].filter(isFailed)
    for (const operation of failed) this.#enqueue(operation)
    this.#comparison.ask()
    return failed.length
  }

  counts(): TrackerCounts {
    const { pinning, failed, unpinning } = this.#operations.tally
    const { pins, unpins, failures } = this.#comparison.beyond
    return {
      queued: this.#queue.queued + pins,
      pinning,
      failed: failed + failures,
      unpinning: unpinning + unpins,
      pinned: this.#holdings.held
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tasks = this.#tasks[Symbol.asyncDispose]()
    for (const { abort } of this.#operations.all()) abort?.abort(new Error('this peer stops'))
    await Promise.all([tasks, this.#queue.stop()])
  }

  // ---- operations ----

  #putOrDrop(cid: Cid, pin: Wanted | null): void {
    if (this.#operations.size < this.#windowMax || this.#operations.has(cid)) this.#put(cid, pin)
    else this.#comparison.drop(cid, pin ? 'pin' : 'unpin')
  }

  #put(cid: Cid, pin: Wanted | null): void {
    const old = this.#operations.get(cid)
    old?.abort?.abort(new Error('a newer wish took over'))
    const operation: Operation = {
      cid,
      pin: pin && only(pin),
      followsPin: old !== undefined && (old.followsPin || old.status === 'pinning' || old.interruptions > 0),
      abort: null,
      status: pin ? 'pin_queued' : 'unpin_queued',
      error: '',
      attempts: 0,
      interruptions: 0,
      timestamp: this.#parts.clock.wallMs(),
      isPriority: false,
      progress: null,
      retryAtMs: 0
    }
    this.#operations.set(operation)
    this.#enqueue(operation)
  }

  #enqueue(operation: Operation): void {
    const { cid, pin } = operation
    const isYoung = pin !== null && this.#parts.clock.wallMs() - pin.timestamp < this.#settings.priorityMaxAgeMs
    operation.isPriority = isYoung && operation.attempts <= this.#settings.priorityMaxRetries
    this.#become(operation, pin ? 'pin_queued' : 'unpin_queued')
    this.#queue.add({ cid, kind: pin ? 'pin' : 'unpin', isPriority: operation.isPriority, run: () => this.#run(operation) })
  }

  async #run(operation: Operation): Promise<void> {
    if (!this.#operations.isCurrent(operation)) return
    operation.abort = new AbortController()
    try {
      if (operation.pin) await this.#pin(operation, operation.pin, operation.abort.signal)
      else await this.#unpin(operation, operation.abort.signal)
    } catch (error) {
      if (this.#operations.isCurrent(operation)) await this.#failed(operation, error)
    } finally {
      operation.abort = null
    }
  }

  async #pin(operation: Operation, pin: Wanted, signal: AbortSignal): Promise<void> {
    const { kubo } = this.#parts
    const { cid, mode, name, version } = pin
    this.#become(operation, 'pinning')
    let before = await this.#holdings.get(cid)
    signal.throwIfAborted()
    if (!before?.isOurs) {
      // On record before Kubo is asked: a crash in between must not leave a pin that nobody knows to be ours.
      const ours = { ...(before ?? { ...this.#row(pin), isPinned: false, version: 0 }), isOurs: true }
      await this.#write({ cid, before, after: ours })
      before = ours
    }
    // Only a help to find the content: without it Kubo asks the network.
    await Promise.all(pin.origins.slice(0, 10).map(origin => kubo.connect(origin, { signal }).catch(() => {})))
    if (pin.pinUpdate && pin.pinUpdate !== cid && mode === 'recursive') {
      const source = await this.#holdings.get(pin.pinUpdate)
      if (source?.isPinned && source.mode === 'recursive') await kubo.update(pin.pinUpdate, cid, { signal }).catch(() => {})
    }
    const onProgress = (progress: FetchProgress) => this.#progress(operation, progress)
    try {
      await this.#batches.pin({ cid, mode, name }, { signal, onProgress, awaited: this.#operations.awaited(cid) })
    } catch (error) {
      if (mode === 'recursive' || !isPinnedRecursively(error)) throw error
      // The cluster wants less than Kubo has, by an older wish or by hand; the whole holds the root as well, and taking it away first would
      // leave a moment without any pin. It goes when the cluster lets go of it.
      await this.#pinned(operation, before, { ...this.#row(pin), mode: 'recursive', version })
      return
    }
    await this.#pinned(operation, before, this.#row(pin))
  }

  async #pinned(operation: Operation, before: Holding, after: Holding): Promise<void> {
    if (!this.#operations.isCurrent(operation)) return
    await this.#write({ cid: operation.cid, before, after })
    this.#done(operation)
  }

  async #unpin(operation: Operation, signal: AbortSignal): Promise<void> {
    const { cid } = operation
    const before = await this.#holdings.get(cid)
    signal.throwIfAborted()
    // What was never ours was pinned by somebody for himself.
    if (before?.isOurs) {
      this.#become(operation, 'unpinning')
      await this.#parts.kubo.unpin(cid, { signal })
      if (!this.#operations.isCurrent(operation)) return
      // A pin that was cut off may still be finished by Kubo: it stays ours until the next comparison. And the row stays as well, for a list
      // of Kubo's that is on its way may still have the pin.
      const { generation } = this.#holdings
      const after = {
        ...before,
        isOurs: operation.followsPin,
        isPinned: false,
        version: 0,
        generation,
        timestamp: this.#parts.clock.wallMs()
      }
      await this.#write({ cid, before, after })
    }
    this.#done(operation)
  }

  #write(change: HoldingChange): Promise<void> {
    return this.#holdings.write([change], { isHurried: this.#operations.areFew && this.#operations.awaited(change.cid) !== null })
  }

  /** The row of a pin that Kubo holds now. */
  #row({ mode, version }: Wanted): Holding {
    const { generation } = this.#holdings
    return { isOurs: true, isPinned: true, mode, version, generation, timestamp: this.#parts.clock.wallMs(), error: '' }
  }

  async #failed(operation: Operation, error: unknown): Promise<void> {
    const { log, clock } = this.#parts
    if (this.#tasks.signal.aborted) return
    let reason = messageOf(error)
    if (isFault(error, 'kubo_unreachable')) {
      this.#kuboIsGone(reason)
      // Nothing is wrong with this pin, as far as we know: it waits for Kubo with all the others, and no attempt is counted.
      if (++operation.interruptions < interruptionsMax) {
        this.#enqueue(operation)
        return
      }
      reason = `Kubo went away ${interruptionsMax} times while it worked on this: ${reason}`
    }
    operation.interruptions = 0
    operation.attempts++
    operation.error = reason
    const waitMs = Math.min(this.#settings.recoverIntervalMs, retryMinMs * 2 ** (operation.attempts - 1))
    operation.retryAtMs = clock.monotonicMs() + waitMs * (0.75 + Math.random() / 2)
    log.warn({ cid: operation.cid, attempt: operation.attempts, reason }, operation.pin ? 'pin failed' : 'unpin failed')
    this.#become(operation, operation.pin ? 'pin_error' : 'unpin_error')
    // Failures must not fill the window: the others would not get in. Those beyond their share are tried again after the next sweep.
    if (this.#operations.tally.failed > this.#windowMax / 8) await this.#setAside(operation, reason)
  }

  async #setAside(operation: Operation, error: string): Promise<void> {
    const { cid } = operation
    const before = await this.#holdings.get(cid)
    if (before === undefined || !this.#operations.isCurrent(operation) || !isFailed(operation)) return
    await this.#holdings.write([{ cid, before, after: { ...before, error, generation: this.#holdings.generation } }])
    if (!isFailed(operation)) return
    this.#comparison.setAside()
    this.#done(operation)
  }

  #done(operation: Operation): void {
    this.#operations.delete(operation)
    if (this.#operations.size < this.#windowMax / 4) this.#comparison.wake()
  }

  #progress(operation: Operation, progress: FetchProgress): void {
    operation.progress = progress
    if (this.#operations.isCurrent(operation)) this.#operations.notify(operation.cid)
  }

  #become(operation: Operation, status: LocalStatus['status']): void {
    this.#operations.become(operation, status, this.#parts.clock.wallMs())
  }

  async #recoverOne(cid: Cid): Promise<boolean> {
    const running = this.#operations.get(cid)
    if (running) {
      if (isFailed(running)) this.#enqueue(running)
      return isFailed(running)
    }
    const wish = await this.#parts.wish(cid)
    if (wish === undefined || this.#operations.has(cid)) return false
    this.#putOrDrop(cid, wish)
    return true
  }

  // ---- background ----

  async #keepRetrying(stop: AbortSignal): Promise<void> {
    for (;;) {
      await this.#parts.clock.sleep(1_000, { signal: stop })
      const nowMs = this.#parts.clock.monotonicMs()
      for (const operation of this.#operations.all()) if (isFailed(operation) && operation.retryAtMs <= nowMs) this.#enqueue(operation)
    }
  }

  #kuboIsGone(reason: string): void {
    if (this.#kuboError !== '') return
    this.#kuboError = reason
    this.#queue.pause()
    this.#tasks.run('probe', async stop => {
      for (let probes = 0; ; probes++) {
        try {
          await this.#parts.kubo.id({ signal: stop })
          this.#kuboError = ''
          this.#queue.resume()
          // A connection that broke, and nothing more.
          if (probes === 0) return
          this.#parts.log.info({}, 'kubo answers again')
          // It may be another Kubo, or have lost what it had.
          this.#comparison.ask()
          return
        } catch (error) {
          stop.throwIfAborted()
          this.#kuboError = messageOf(error)
          if (probes === 0) this.#parts.log.warn({ reason: this.#kuboError }, 'kubo does not answer')
        }
        await this.#parts.clock.sleep(probeMs, { signal: stop })
      }
    })
  }
}

/** What is kept of a wish: the agreed pin has more. */
function only({ cid, mode, name, origins, pinUpdate, timestamp, version }: Wanted): Wanted {
  return { cid, mode, name, origins, pinUpdate, timestamp, version }
}

/** The status of a CID that nothing is under way for. */
function settled(
  holding: Holding | undefined,
  wish: Pick<Wanted, 'version'> | null,
  { isBehind, nowMs, fetched }: { readonly isBehind: boolean; readonly nowMs: number; readonly fetched: FetchProgress | null }
): LocalStatus {
  const rest = { error: '', attemptCount: 0, priorityPin: false, timestamp: holding?.timestamp ?? nowMs, progress: null }
  if (wish === null) {
    if (!holding?.isOurs || !holding.isPinned) return { ...rest, status: 'unpinned' }
    if (holding.error) return { ...rest, status: 'unpin_error', error: holding.error, attemptCount: 1 }
    return { ...rest, status: isBehind ? 'unpin_queued' : 'unpinned' }
  }
  if (holding?.isPinned && (holding.version >= wish.version || !isBehind)) return { ...rest, status: 'pinned', progress: fetched }
  if (holding?.error) return { ...rest, status: 'pin_error', error: holding.error, attemptCount: 1 }
  if (isBehind) return { ...rest, status: 'pin_queued' }
  return { ...rest, status: 'unexpectedly_unpinned', error: 'the item should be pinned but it is not' }
}
