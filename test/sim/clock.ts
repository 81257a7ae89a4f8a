/** The clock of one life of a process: too fast or too slow, and silent while the process is paused. */
import type { Clock } from '../../src/clock.ts'

export interface ClockLife {
  /** Runs `work` in this life after `delay`, later if it is paused then, never if it has ended. */
  later(delay: number, work: () => void): void
  /** How fast its clock goes: 2 is twice too fast. */
  readonly pace: number
  readonly now: number
}

export function clockOf(life: ClockLife): Clock {
  const sleep = (ms: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const abort = () => reject(signal?.reason)
      signal?.addEventListener('abort', abort, { once: true })
      life.later(Math.max(1, Math.round(ms / life.pace)), () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
    })
  return {
    wallMs: () => life.now,
    monotonicMs: () => life.now * life.pace,
    sleep,
    every(ms, run) {
      let isOver = false
      // A pause of any length is followed by one call, as with a timer of the platform.
      const again = (): void => {
        life.later(Math.max(1, Math.round(ms / life.pace)), () => {
          if (isOver) return
          again()
          run()
        })
      }
      again()
      return {
        [Symbol.dispose]: () => {
          isOver = true
        }
      }
    }
  }
}
