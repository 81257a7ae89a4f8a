/** Time, handed in, so that a test owns it. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Clock {
  /** Unix milliseconds: for timestamps that people read, never for durations. */
  wallMs(): number
  /** Milliseconds that only grow, also when the wall clock is set back. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with `signal.reason` on abort. Does not keep the process alive. */
  sleep(ms: number, options?: { signal?: AbortSignal | undefined }): Promise<void>
  /** Calls `run` every `ms` until disposed. Does not keep the process alive. */
  every(ms: number, run: () => void): Disposable
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, { signal } = {}) {
    try {
      await sleep(ms, undefined, { ref: false, ...(signal && { signal }) })
    } catch (error) {
      throw signal?.aborted ? signal.reason : error
    }
  },
  every(ms, run) {
    const timer = setInterval(run, ms)
    timer.unref()
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }
}
