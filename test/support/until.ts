/** Waits for a condition, never for a time. */
import { setTimeout as sleep } from 'node:timers/promises'

/** @throws Error with `what` when the condition does not hold within `timeoutMs` */
export async function until<T>(what: string, condition: () => T | Promise<T>, timeoutMs = 10_000): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value as NonNullable<T>
    if (performance.now() > end) throw new Error(`${what}: did not happen within ${timeoutMs} ms`)
    await sleep(5)
  }
}
