/** What the floors above ask of the tracker: it makes this peer's Kubo hold what the cluster wants, and says how far it is. */
import type { Abortable } from '../../src/lifetime.ts'
import type { Cid, FetchProgress, Multiaddr, PinMode, Status } from '../../src/types.ts'

/** A pin that this peer should hold. */
export interface Wanted {
  readonly cid: Cid
  readonly mode: PinMode
  /** Passed to Kubo as the pin's name. */
  readonly name: string
  readonly origins: readonly Multiaddr[]
  readonly pinUpdate: Cid | null
  /** When it was asked for, Unix milliseconds: young pins go first. */
  readonly timestamp: number
  /** Log index that last wrote it: a newer version cancels work for an older one. */
  readonly version: number
}

export interface LocalStatus {
  readonly status: Extract<
    Status,
    'pin_queued' | 'pinning' | 'pinned' | 'pin_error' | 'unpin_queued' | 'unpinning' | 'unpin_error' | 'unpinned' | 'unexpectedly_unpinned'
  >
  readonly error: string
  readonly attemptCount: number
  readonly priorityPin: boolean
  /** Unix milliseconds of the last change of status. */
  readonly timestamp: number
  readonly progress: FetchProgress | null
}

export interface TrackerCounts {
  readonly queued: number
  readonly pinning: number
  readonly failed: number
  readonly unpinning: number
  /** Wanted pins this peer's Kubo holds. */
  readonly pinned: number
}

export interface Tracker extends AsyncDisposable {
  /** Compares what is wanted with what Kubo has, then serves. Returns at once; a Kubo that does not answer is waited for. */
  start(): void
  /** Hold it from now on; a repeated call with a newer version asks Kubo again. Returns at once. */
  want(pin: Wanted): void
  /** Let go of it. Only what this peer pinned, or was told to want, is removed from Kubo. Returns at once. */
  release(cid: Cid, version: number): void
  /** `wish`: what the state says this peer should hold of it; `null`: nothing. */
  status(cid: Cid, wish: Pick<Wanted, 'version'> | null): Promise<LocalStatus>
  /** What is queued, running or failed, in no order, as far as it is in memory: {@link isPartial} says whether there is more. */
  operations(): Iterable<readonly [Cid, LocalStatus]>
  readonly isPartial: boolean
  /** Called after any change of `cid`'s status or progress; `isBlind`: of progress there may be none. Returns what ends it. */
  onChange(cid: Cid, listener: () => void, options?: { readonly isBlind?: boolean }): Disposable
  /** Queues what failed again, and compares with Kubo soon; `cid`: only this one, which is asked of Kubo in any case. Returns how many. */
  recover(options?: { cid?: Cid } & Abortable): Promise<number>
  counts(): TrackerCounts
  /** Empty while Kubo answers. */
  readonly kuboError: string
}
