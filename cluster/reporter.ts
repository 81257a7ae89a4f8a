/** Tells the members how this peer is: at intervals, soon after a change, and at once to a member whose connection came up. */
import type { Clock } from '../src/clock.ts'
import { messageOf } from '../src/errors.ts'
import type { Log } from '../src/log.ts'
import type { PeerId } from '../src/types.ts'
import type { Monitor } from './health/monitor.ts'
import { decodeReport, encodeReport, type Report } from './health/report.ts'
import type { Rpc } from './net/rpc.ts'

export interface ReporterParts {
  readonly rpc: Pick<Rpc, 'self' | 'send' | 'receive' | 'onConnection'>
  /** Forgets who is no member. */
  readonly monitor: Pick<Monitor, 'keep'>
  readonly clock: Clock
  readonly log: Log
  readonly report: () => Report
  readonly heard: (peer: PeerId, report: Report) => void
  readonly members: () => readonly PeerId[]
}

const channel = 'health'
/** Changes within this time are told together. */
const debounceMs = 200

export class Reporter implements Disposable {
  readonly #parts: ReporterParts
  readonly #intervalMs: number
  readonly #subscriptions = new DisposableStack()
  #isDue = true
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(parts: ReporterParts, { intervalMs }: { intervalMs: number }) {
    this.#parts = parts
    this.#intervalMs = intervalMs
  }

  start(): void {
    const { rpc, clock, heard, log } = this.#parts
    rpc.receive(channel, (from, payload) => {
      try {
        heard(from, decodeReport(payload))
      } catch (error) {
        log.warn({ peer: from, reason: messageOf(error) }, 'report refused')
      }
    })
    this.#subscriptions.use(rpc.onConnection((peer, isUp) => isUp && rpc.send(peer, channel, this.#word())))
    this.#subscriptions.use(clock.every(debounceMs, () => this.#tell()))
  }

  /** Something changed: tell it soon. */
  touch(): void {
    this.#isDue = true
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose()
  }

  #tell(): void {
    const { rpc, clock, monitor, members } = this.#parts
    if (!this.#isDue && clock.monotonicMs() - this.#lastMs < this.#intervalMs) return
    this.#isDue = false
    this.#lastMs = clock.monotonicMs()
    const word = this.#word()
    monitor.keep(new Set(members()))
    for (const peer of members()) if (peer !== rpc.self) rpc.send(peer, channel, word)
  }

  #word(): Uint8Array {
    return encodeReport(this.#parts.report())
  }
}
