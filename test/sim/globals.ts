/**
 * Deadlines and the turns of the event loop are asked for without a port (`AbortSignal.timeout`, `setImmediate`). In a simulated world they belong
 * to its time, so they are taken over while it runs.
 */
import type { Agenda } from './agenda.ts'
import type { Random } from './random.ts'

export function takeOver(agenda: Agenda, random: Random): Disposable {
  const { setImmediate } = globalThis
  const { timeout } = AbortSignal
  globalThis.setImmediate = ((work: () => void) => agenda.after(random.below(2), work)) as unknown as typeof setImmediate
  AbortSignal.timeout = ms => {
    const controller = new AbortController()
    agenda.after(ms, () => controller.abort(new DOMException('the time is over', 'TimeoutError')))
    return controller.signal
  }
  return {
    [Symbol.dispose]: () => {
      globalThis.setImmediate = setImmediate
      AbortSignal.timeout = timeout
    }
  }
}
