/** Who creates, disposes. Helpers for parts that own background work. */
import { messageOf } from './errors.ts'
import type { Log } from './log.ts'

/**
 * Owns promises that nobody awaits: background loops and late clean-ups. Disposal aborts them and waits for their end, so no work
 * outlives its owner. A loop that fails is reported to `onFailure`, never swallowed.
 */
export class Tasks implements AsyncDisposable {
  readonly #abort = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #onFailure: (name: string, error: unknown) => void

  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure
  }

  /** Tells every task to stop; aborted by disposal. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  run(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    if (this.signal.aborted) return
    const running = task(this.signal)
      .catch(error => {
        // Being told to stop is not a failure.
        if (!this.signal.aborted) this.#onFailure(name, error)
      })
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new Error('stopped'))
    await Promise.all(this.#running)
  }
}

/** A failing background task is logged; the owner goes on. For tasks whose end would leave the peer half alive, stop the peer instead. */
export function logFailures(log: Log): (name: string, error: unknown) => void {
  return (task, error) => log.error({ task, err: error, reason: messageOf(error) }, 'background task failed')
}

/** Resolves when `signal` aborts; never rejects. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** The outcome of `work`, or the reason of `signal` if that comes first; the work goes on then, and its failure is nobody's. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/** `signal` or a deadline, whichever comes first. */
export function deadline(ms: number, signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(ms)
  return signal ? AbortSignal.any([signal, timeout]) : timeout
}

/**
 * A signal that aborts with the first of others, or when its time is over, until it is disposed of. For calls that are made thousands of times a
 * second: `AbortSignal.any` leaves its signals to the garbage collector, which then has more to do than the call.
 */
export class Limit implements Disposable {
  readonly #abort = new AbortController()
  readonly #others: readonly AbortSignal[]
  readonly #timer: NodeJS.Timeout | undefined
  readonly #follow = ({ target }: Event): void => this.#abort.abort((target as AbortSignal).reason) // listens to signals only

  /** @param options.ms none, and what a timer of 32 bits cannot hold, is no limit. `reason`: default a `TimeoutError`, as of `AbortSignal.timeout` */
  constructor(others: readonly (AbortSignal | undefined)[], { ms = null, reason }: { ms?: number | null; reason?: () => Error } = {}) {
    this.#others = others.filter(other => other !== undefined)
    for (const other of this.#others) {
      if (other.aborted) this.#abort.abort(other.reason)
      else other.addEventListener('abort', this.#follow)
    }
    if (ms === null || ms >= 2 ** 31) return
    this.#timer = setTimeout(() => this.#abort.abort(reason?.() ?? new DOMException('no answer came in time', 'TimeoutError')), ms)
    this.#timer.unref()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    for (const other of this.#others) other.removeEventListener('abort', this.#follow)
  }
}

export interface Abortable {
  readonly signal?: AbortSignal | undefined
}
