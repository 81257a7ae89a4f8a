/** One peer's tracker between a fake Kubo and wishes in memory, on a real store, by a clock that runs fast. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Holdings } from '../../cluster/ipfs/holdings.ts'
import type { Kubo, KuboSettings } from '../../cluster/ipfs/kubo.ts'
import { KuboTracker, type TrackerSettings } from '../../cluster/ipfs/tracker.ts'
import type { LocalStatus, Wanted } from '../../cluster/ipfs/tracker-api.ts'
import { openStore } from '../../cluster/state/open-store.ts'
import type { Store } from '../../cluster/state/store.ts'
import type { Clock } from '../../src/clock.ts'
import { cidBytes } from '../../src/codec.ts'
import { type Log, openLog } from '../../src/log.ts'
import type { Cid } from '../../src/types.ts'
import { FakeKubo } from './fake-kubo.ts'
import { until } from './until.ts'

/** A second lasts 5 ms: what waits for minutes is seen, and nothing sleeps. */
export function fastClock(factor = 200): Clock {
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now() * factor,
    sleep: async (ms, { signal } = {}) => {
      try {
        await sleep(Math.min(2 ** 31 - 1, ms / factor), undefined, { ref: false, ...(signal && { signal }) })
      } catch (error) {
        throw signal?.aborted ? signal.reason : error
      }
    },
    every: (ms, run) => {
      const timer = setInterval(run, ms / factor)
      return { [Symbol.dispose]: () => clearInterval(timer) }
    }
  }
}

export interface WorldOptions {
  readonly kubo?: Partial<KuboSettings>
  readonly tracker?: Partial<TrackerSettings>
  /** How many times faster than time its clock runs: 200, by which a shared call to Kubo is given up after 5 ms. Tests that count calls need more. */
  readonly pace?: number
}

const daysMs = 86_400_000

export class TrackerWorld implements AsyncDisposable {
  readonly fake: FakeKubo
  readonly store: Store
  readonly wishes = new Map<Cid, Wanted>()
  readonly log: Log = openLog({ level: 'silent', name: 'test' })
  /** Called before each wish that is listed. */
  onWished: (() => Promise<void> | void) | undefined
  tracker: KuboTracker
  readonly #folder: string
  readonly #options: WorldOptions
  #client: Kubo
  #version = 0
  /** Sorted anew when a CID was added or removed. */
  #names: readonly (readonly [Cid, Uint8Array])[] | undefined

  private constructor(folder: string, fake: FakeKubo, store: Store, options: WorldOptions) {
    this.#folder = folder
    this.fake = fake
    this.store = store
    this.#options = options
    this.#client = fake.client(options.kubo)
    this.tracker = this.#make()
  }

  static async open(options: WorldOptions = {}): Promise<TrackerWorld> {
    const folder = await mkdtemp(join(tmpdir(), 'flotilla-tracker-'))
    const store = await openStore(folder, { engine: 'leveldb' })
    return new TrackerWorld(folder, await FakeKubo.start(), store, options)
  }

  /** As the applied log does it. */
  want(cid: Cid, options: Partial<Wanted> = {}): Wanted {
    const pin = this.agree(cid, options)
    this.tracker.want(pin)
    return pin
  }

  /** Agreed, and the tracker is not told: as while this peer is down. */
  agree(cid: Cid, options: Partial<Wanted> = {}): Wanted {
    const pin: Wanted = {
      cid,
      mode: 'recursive',
      name: '',
      origins: [],
      pinUpdate: null,
      timestamp: Date.now(),
      version: ++this.#version,
      ...options
    }
    if (!this.wishes.has(cid)) this.#names = undefined
    this.wishes.set(cid, pin)
    return pin
  }

  release(cid: Cid): void {
    this.disagree(cid)
    this.tracker.release(cid, this.#version)
  }

  disagree(cid: Cid): void {
    this.wishes.delete(cid)
    this.#names = undefined
    this.#version++
  }

  status(cid: Cid): Promise<LocalStatus> {
    return this.tracker.status(cid, this.wishes.get(cid) ?? null)
  }

  async untilStatus(cid: Cid, status: LocalStatus['status']): Promise<LocalStatus> {
    return until(`${cid} to become ${status}`, async () => {
      const now = await this.status(cid)
      return now.status === status ? now : undefined
    })
  }

  /** Nothing is queued, running or failed. */
  idle(): Promise<unknown> {
    return until(
      'the tracker to be idle',
      () => {
        const { queued, pinning, unpinning, failed } = this.tracker.counts()
        return queued + pinning + unpinning + failed === 0 && !this.tracker.isPartial
      },
      60_000
    )
  }

  /** Rows as they are on disk. */
  holdings(): Holdings {
    return new Holdings(this.store)
  }

  /** Ends this tracker, as a stop does; `before` runs while none is there. */
  async restart(before: () => Promise<void> | void = () => {}): Promise<void> {
    await this.tracker[Symbol.asyncDispose]()
    await this.#client[Symbol.asyncDispose]()
    await before()
    this.#client = this.fake.client(this.#options.kubo)
    this.tracker = this.#make()
    this.tracker.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tracker[Symbol.asyncDispose]()
    await this.#client[Symbol.asyncDispose]()
    await this.fake[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #make(): KuboTracker {
    const settings = { concurrentPins: 4, recoverIntervalMs: 300_000, priorityMaxAgeMs: daysMs, priorityMaxRetries: 5 }
    return new KuboTracker(
      {
        kubo: this.#client,
        store: this.store,
        wanted: options => this.#wanted(options),
        wish: async cid => this.wishes.get(cid),
        clock: fastClock(this.#options.pace),
        log: this.log
      },
      { ...settings, ...this.#options.tracker }
    )
  }

  /** As of the first step, like the store's. */
  async *#wanted({ after }: { after?: Cid | undefined }): AsyncIterable<Wanted> {
    this.#names ??= [...this.wishes.keys()].map(cid => [cid, cidBytes(cid)] as const).sort(([, a], [, b]) => Buffer.compare(a, b))
    const start = after === undefined ? undefined : cidBytes(after)
    const listed = this.#names
      .filter(([, name]) => start === undefined || Buffer.compare(name, start) > 0)
      .flatMap(([cid]) => this.wishes.get(cid) ?? [])
    for (const pin of listed) {
      await this.onWished?.()
      yield pin
    }
  }
}
