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

export interface Abortable {
  readonly signal?: AbortSignal | undefined
}
