/** What waits, runs or failed for this peer's Kubo, by CID: a bounded window on everything there is to do, its sums, and who listens. */
import { Recent } from '../../src/recent.ts'
import type { Cid, FetchProgress } from '../../src/types.ts'
import { Watchers } from '../../src/watchers.ts'
import type { Awaited } from './pin-batches.ts'
import type { LocalStatus, Wanted } from './tracker-api.ts'

export interface Operation {
  readonly cid: Cid
  /** `null`: to be let go. */
  readonly pin: Wanted | null
  /** A pin was cut off before it, which Kubo may still be about to finish. */
  readonly followsPin: boolean
  /** While it runs. */
  abort: AbortController | null
  status: LocalStatus['status']
  error: string
  attempts: number
  /** Times in a row that Kubo went away under it. */
  interruptions: number
  timestamp: number
  isPriority: boolean
  progress: FetchProgress | null
  /** When a failed one is tried again, on the monotonic clock. */
  retryAtMs: number
}

const fetchedMax = 1_000
const fewMax = 2

export class Operations {
  readonly #byCid = new Map<Cid, Operation>()
  readonly #watchers = new Watchers<Cid>()
  /** Those that do not look at progress. */
  readonly #blind = new Watchers<Cid>()
  /** What the last pins had fetched when they were done: who waits for one hears the last figures after it has ended. */
  readonly #fetched = new Recent<Cid, FetchProgress>(fetchedMax)
  #tally = { pinning: 0, failed: 0, unpinning: 0 }

  get size(): number {
    return this.#byCid.size
  }

  /** So that a row would wait for the company of others in vain. */
  get areFew(): boolean {
    return this.size <= fewMax
  }

  get tally(): { readonly pinning: number; readonly failed: number; readonly unpinning: number } {
    return this.#tally
  }

  get(cid: Cid): Operation | undefined {
    return this.#byCid.get(cid)
  }

  has(cid: Cid): boolean {
    return this.#byCid.has(cid)
  }

  all(): Iterable<Operation> {
    return this.#byCid.values()
  }

  isCurrent(operation: Operation): boolean {
    return this.#byCid.get(operation.cid) === operation
  }

  /** Takes the place of the one before. */
  set(operation: Operation): void {
    this.#count(this.#byCid.get(operation.cid), -1)
    this.#byCid.set(operation.cid, operation)
    this.#count(operation, 1)
  }

  become(operation: Operation, status: LocalStatus['status'], nowMs: number): void {
    const isCurrent = this.isCurrent(operation)
    if (isCurrent) this.#count(operation, -1)
    operation.status = status
    operation.timestamp = nowMs
    if (status === 'pin_queued' || status === 'unpin_queued') operation.progress = null
    if (!isCurrent) return
    this.#count(operation, 1)
    this.notify(operation.cid)
  }

  /** It has ended, if it still counts. */
  delete(operation: Operation): void {
    if (!this.isCurrent(operation)) return
    this.#byCid.delete(operation.cid)
    this.#count(operation, -1)
    if (operation.status === 'pinning' && operation.progress) this.#fetched.set(operation.cid, operation.progress)
    else this.#fetched.delete(operation.cid)
    this.notify(operation.cid)
  }

  fetched(cid: Cid): FetchProgress | null {
    return this.#fetched.get(cid) ?? null
  }

  onChange(cid: Cid, listener: () => void, isBlind: boolean): Disposable {
    return (isBlind ? this.#blind : this.#watchers).watch(cid, listener)
  }

  /** Who waits for `cid`: somebody who wants to see its progress, or does not, or nobody. */
  awaited(cid: Cid): Awaited {
    return this.#watchers.has(cid) ? 'seeing' : this.#blind.has(cid) ? 'blind' : null
  }

  notify(cid: Cid): void {
    this.#watchers.notify(cid)
    this.#blind.notify(cid)
  }

  #count(operation: Operation | undefined, step: 1 | -1): void {
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
}

export function isFailed({ status }: Operation): boolean {
  return status === 'pin_error' || status === 'unpin_error'
}

export function shown(operation: Operation): LocalStatus {
  const { status, error, attempts, isPriority, timestamp, progress } = operation
  return { status, error: isFailed(operation) ? error : '', attemptCount: attempts, priorityPin: isPriority, timestamp, progress }
}
