/**
 * Makes this peer's Kubo hold what the cluster wants. It does not know who leads. In memory is only what waits, runs or failed; the newest wish for
 * a CID wins, whatever was under way for it.
 */
import type { Clock } from '../../src/clock.ts'
import { isFault, messageOf } from '../../src/errors.ts'
import { type Abortable, logFailures, Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { Cid, FetchProgress } from '../../src/types.ts'
import type { Store } from '../state/store.ts'
import { Holdings } from './holdings.ts'
import type { Kubo } from './kubo.ts'
import { Queue } from './queue.ts'
import { sweep } from './sweep.ts'
import type { LocalStatus, Tracker, TrackerCounts, Wanted } from './tracker-api.ts'

export interface TrackerParts {
  readonly kubo: Kubo
  readonly store: Store
  /** The pins this peer should hold, in the order of CID bytes. */
  readonly wanted: () => AsyncIterable<Wanted>
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
}

interface Operation {
  readonly cid: Cid
  /** `null`: to be let go. */
  readonly pin: Wanted | null
  readonly abort: AbortController
  status: LocalStatus['status']
  error: string
  attempts: number
  timestamp: number
  isPriority: boolean
  progress: FetchProgress | null
  /** When a failed one is tried again, on the monotonic clock. */
  retryAtMs: number
}

const unpinsMax = 4
const retryMinMs = 5_000
/** Between two questions whether Kubo is back. */
const probeMs = 1_000

export class KuboTracker implements Tracker {
  readonly #parts: TrackerParts
  readonly #settings: TrackerSettings
  readonly #holdings: Holdings
  readonly #queue: Queue
  readonly #tasks: Tasks
  readonly #operations = new Map<Cid, Operation>()
  readonly #listeners = new Map<Cid, Set<() => void>>()
  /** CIDs that were wanted or released since the running sweep began. */
  #touched: Set<Cid> | undefined
  #tally = { pinning: 0, failed: 0, unpinning: 0, pinned: 0 }
  #kuboError = ''
  #sweepNow = Promise.withResolvers<void>()

  constructor(parts: TrackerParts, settings: TrackerSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#holdings = new Holdings(parts.store)
    this.#queue = new Queue({ pins: settings.concurrentPins, unpins: unpinsMax })
    this.#tasks = new Tasks(logFailures(parts.log))
  }

  get kuboError(): string {
    return this.#kuboError
  }

  start(): void {
    this.#tasks.run('sweep', stop => this.#keepSweeping(stop))
    this.#tasks.run('retry', stop => this.#keepRetrying(stop))
  }

  want(pin: Wanted): void {
    const running = this.#operations.get(pin.cid)
    if (running?.pin && running.pin.version >= pin.version) return
    this.#replace(pin.cid, pin, 0)
  }

  release(cid: Cid, version: number): void {
    const running = this.#operations.get(cid)
    if (running?.pin && running.pin.version > version) return
    if (running && running.pin === null && running.status !== 'unpin_error') return
    this.#replace(cid, null, 0)
  }

  async status(cid: Cid, isWanted: boolean): Promise<LocalStatus> {
    const operation = this.#operations.get(cid)
    if (operation) return shown(operation)
    const holding = await this.#holdings.get(cid)
    // It may have begun while the row was read.
    const late = this.#operations.get(cid)
    if (late) return shown(late)
    const timestamp = holding?.timestamp ?? this.#parts.clock.wallMs()
    const settled = { error: '', attemptCount: 0, priorityPin: false, timestamp, progress: null }
    if (!isWanted) return { ...settled, status: 'unpinned' }
    if (holding?.isPinned) return { ...settled, status: 'pinned' }
    return { ...settled, status: 'unexpectedly_unpinned', error: 'the item should be pinned but it is not' }
  }

  *operations(): Iterable<readonly [Cid, LocalStatus]> {
    for (const [cid, operation] of this.#operations) yield [cid, shown(operation)]
  }

  onChange(cid: Cid, listener: () => void): Disposable {
    const listeners = this.#listeners.get(cid) ?? new Set()
    this.#listeners.set(cid, listeners)
    listeners.add(listener)
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener)
        if (listeners.size === 0 && this.#listeners.get(cid) === listeners) this.#listeners.delete(cid)
      }
    }
  }

  async recover({ cid }: { cid?: Cid } & Abortable = {}): Promise<number> {
    let queued = 0
    for (const operation of cid === undefined ? [...this.#operations.values()] : [this.#operations.get(cid)]) {
      if (operation?.status !== 'pin_error' && operation?.status !== 'unpin_error') continue
      this.#enqueue(operation)
      queued++
    }
    this.#sweepNow.resolve()
    return queued
  }

  counts(): TrackerCounts {
    return { queued: this.#queue.queued, ...this.#tally }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tasks = this.#tasks[Symbol.asyncDispose]()
    for (const { abort } of this.#operations.values()) abort.abort(new Error('this peer stops'))
    await Promise.all([tasks, this.#queue.stop()])
  }

  // ---- operations ----

  #replace(cid: Cid, pin: Wanted | null, attempts: number): void {
    this.#touched?.add(cid)
    const old = this.#operations.get(cid)
    old?.abort.abort(new Error('a newer wish took over'))
    const operation: Operation = {
      cid,
      pin,
      abort: new AbortController(),
      status: pin ? 'pin_queued' : 'unpin_queued',
      error: '',
      attempts,
      timestamp: this.#parts.clock.wallMs(),
      isPriority: false,
      progress: null,
      retryAtMs: 0
    }
    this.#tell(old, -1)
    this.#operations.set(cid, operation)
    this.#tell(operation, 1)
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
    if (!this.#isCurrent(operation)) return
    try {
      if (operation.pin) await this.#pin(operation, operation.pin)
      else await this.#unpin(operation)
    } catch (error) {
      if (this.#isCurrent(operation)) this.#failed(operation, error)
    }
  }

  async #pin(operation: Operation, pin: Wanted): Promise<void> {
    const { kubo, clock } = this.#parts
    const { cid, mode, name } = pin
    const { signal } = operation.abort
    this.#become(operation, 'pinning')
    const before = await this.#holdings.get(cid)
    const holding = { isOurs: true, isPinned: false, mode, generation: clock.wallMs(), timestamp: clock.wallMs() }
    // On record before Kubo is asked: a crash in between must not leave a pin that nobody knows to be ours.
    if (!before?.isOurs) await this.#holdings.write([[cid, before ? { ...before, isOurs: true } : holding]])
    for (const origin of pin.origins.slice(0, 10)) {
      // Only a help to find the content: without it Kubo asks the network.
      await kubo.connect(origin, { signal }).catch(() => {})
    }
    const source = pin.pinUpdate && mode === 'recursive' ? await this.#holdings.get(pin.pinUpdate) : undefined
    if (pin.pinUpdate && source?.isPinned) await kubo.update(pin.pinUpdate, cid, { signal }).catch(() => {})
    await kubo.pin({ cid, mode, name }, { signal, onProgress: progress => this.#progress(operation, progress) })
    if (!this.#isCurrent(operation)) return
    await this.#holdings.write([[cid, { ...holding, isPinned: true, generation: clock.wallMs(), timestamp: clock.wallMs() }]])
    if (!before?.isPinned) this.#tally.pinned++
    this.#done(operation)
  }

  async #unpin(operation: Operation): Promise<void> {
    const { cid } = operation
    const holding = await this.#holdings.get(cid)
    // What was never ours was pinned by somebody for himself.
    if (holding?.isOurs) {
      this.#become(operation, 'unpinning')
      await this.#parts.kubo.unpin(cid, { signal: operation.abort.signal })
      if (!this.#isCurrent(operation)) return
      await this.#holdings.write([[cid, null]])
      if (holding.isPinned) this.#tally.pinned = Math.max(0, this.#tally.pinned - 1)
    }
    this.#done(operation)
  }

  #failed(operation: Operation, error: unknown): void {
    const { log, clock } = this.#parts
    if (isFault(error, 'kubo_unreachable')) {
      // Nothing is wrong with this pin: it waits for Kubo with all the others, and no attempt is counted.
      this.#kuboIsGone(error.message)
      this.#enqueue(operation)
      return
    }
    if (this.#tasks.signal.aborted) return
    operation.attempts++
    operation.error = messageOf(error)
    const waitMs = Math.min(this.#settings.recoverIntervalMs, retryMinMs * 2 ** (operation.attempts - 1))
    operation.retryAtMs = clock.monotonicMs() + waitMs * (0.75 + Math.random() / 2)
    this.#become(operation, operation.pin ? 'pin_error' : 'unpin_error')
    log.warn({ cid: operation.cid, attempt: operation.attempts, reason: operation.error }, operation.pin ? 'pin failed' : 'unpin failed')
  }

  #done(operation: Operation): void {
    if (!this.#isCurrent(operation)) return
    this.#operations.delete(operation.cid)
    this.#tell(operation, -1)
    this.#notify(operation.cid)
  }

  #isCurrent(operation: Operation): boolean {
    return this.#operations.get(operation.cid) === operation
  }

  #progress(operation: Operation, progress: FetchProgress): void {
    operation.progress = progress
    this.#notify(operation.cid)
  }

  #become(operation: Operation, status: LocalStatus['status']): void {
    this.#tell(operation, -1)
    operation.status = status
    operation.timestamp = this.#parts.clock.wallMs()
    if (status === 'pin_queued' || status === 'unpin_queued') operation.progress = null
    this.#tell(operation, 1)
    this.#notify(operation.cid)
  }

  /** Keeps the numbers by status. */
  #tell(operation: Operation | undefined, step: 1 | -1): void {
    switch (operation?.status) {
      case 'pinning':
        this.#tally.pinning += step
        break
      case 'pin_error':
      case 'unpin_error':
        this.#tally.failed += step
        break
      case 'unpinning':
      case 'unpin_queued':
        this.#tally.unpinning += step
        break
      default:
    }
  }

  #notify(cid: Cid): void {
    for (const listener of this.#listeners.get(cid) ?? []) listener()
  }

  // ---- background ----

  async #keepRetrying(stop: AbortSignal): Promise<void> {
    for (;;) {
      await this.#parts.clock.sleep(1_000, { signal: stop })
      const nowMs = this.#parts.clock.monotonicMs()
      for (const operation of this.#operations.values()) {
        const isFailed = operation.status === 'pin_error' || operation.status === 'unpin_error'
        if (isFailed && operation.retryAtMs <= nowMs) this.#enqueue(operation)
      }
    }
  }

  #kuboIsGone(reason: string): void {
    if (this.#kuboError !== '') return
    this.#kuboError = reason
    this.#queue.pause()
    this.#parts.log.warn({ reason }, 'kubo does not answer')
    this.#tasks.run('probe', async stop => {
      for (;;) {
        await this.#parts.clock.sleep(probeMs, { signal: stop })
        try {
          await this.#parts.kubo.id({ signal: stop })
          break
        } catch (error) {
          this.#kuboError = messageOf(error)
        }
      }
      this.#kuboError = ''
      this.#parts.log.info({}, 'kubo answers again')
      this.#queue.resume()
      // It may be another Kubo, or have lost what it had.
      this.#sweepNow.resolve()
    })
  }

  async #keepSweeping(stop: AbortSignal): Promise<void> {
    for (;;) {
      this.#sweepNow = Promise.withResolvers()
      this.#touched = new Set()
      const touched = this.#touched
      try {
        this.#tally.pinned = await sweep(
          {
            ...this.#parts,
            holdings: this.#holdings,
            isTouched: cid => touched.has(cid) || this.#operations.has(cid),
            nowMs: () => this.#parts.clock.wallMs()
          },
          { onMissing: pin => this.want(pin), onSurplus: cid => this.release(cid, Number.POSITIVE_INFINITY) },
          { signal: stop }
        )
      } catch (error) {
        if (stop.aborted) return
        if (isFault(error, 'kubo_unreachable')) this.#kuboIsGone(error.message)
        else this.#parts.log.warn({ reason: messageOf(error) }, 'comparison with kubo failed')
      } finally {
        this.#touched = undefined
      }
      const nap = new AbortController()
      const pause = this.#parts.clock
        .sleep(this.#settings.recoverIntervalMs, { signal: AbortSignal.any([stop, nap.signal]) })
        .catch(() => {})
      await Promise.race([pause, this.#sweepNow.promise])
      nap.abort()
      stop.throwIfAborted()
    }
  }
}

function shown({ status, error, attempts, isPriority, timestamp, progress }: Operation): LocalStatus {
  return {
    status,
    error: status === 'pin_error' || status === 'unpin_error' ? error : '',
    attemptCount: attempts,
    priorityPin: isPriority,
    timestamp,
    progress
  }
}
