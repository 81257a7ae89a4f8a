/** What a leader knows of one follower, and how much it may send before the next answer. */
import type { NodeId } from './types.ts'

/**
 * `probe`: the place where the logs agree is being looked for, one message at a time. `replicate`: messages follow each other without
 * waiting. `snapshot`: the follower needs entries that are compacted away.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

export class Progress {
  readonly id: NodeId
  match = 0
  next: number
  state: ProgressState = 'probe'
  /** Heard of since the last check of the quorum. */
  isActive: boolean
  /** Highest commit index it was told of. */
  sentCommit = 0
  /** Last round of heartbeats that it answered. */
  round = 0
  /** A probe is unanswered. */
  isWaiting = false
  /** Entries are being read from disk for it. */
  isFetching = false
  #inflight: { readonly last: number; readonly bytes: number }[] = []
  #inflightBytes = 0

  constructor(id: NodeId, next: number, isActive: boolean) {
    this.id = id
    this.next = next
    this.isActive = isActive
  }

  isPaused(limits: { readonly inflightMax: number; readonly inflightBytesMax: number }): boolean {
    switch (this.state) {
      case 'probe':
        return this.isWaiting
      case 'replicate':
        return this.#inflight.length >= limits.inflightMax || this.#inflightBytes >= limits.inflightBytesMax
      case 'snapshot':
        return true
    }
  }

  /** Entries up to `last` are on their way. */
  sent(last: number, bytes: number): void {
    if (this.state === 'probe') {
      this.isWaiting = true
      return
    }
    this.next = last + 1
    this.#inflight.push({ last, bytes })
    this.#inflightBytes += bytes
  }

  /** It has everything up to `index`. Returns whether that is news. */
  acknowledge(index: number): boolean {
    const isNews = index > this.match
    if (isNews) this.match = index
    this.next = Math.max(this.next, index + 1)
    this.isWaiting = false
    if (this.state !== 'replicate' && index >= this.match) this.#become('replicate', this.match + 1)
    while (this.#inflight[0] !== undefined && this.#inflight[0].last <= index) this.#free()
    return isNews
  }

  /** It refused an append behind `refused`; the logs may agree at `hint`. Returns whether the answer is of use (it may be late). */
  reject(refused: number, hint: number): boolean {
    if (this.state === 'replicate') {
      if (refused <= this.match) return false
      this.probe()
      return true
    }
    if (this.next - 1 !== refused) return false
    this.next = Math.max(Math.min(refused, hint + 1), this.match + 1)
    this.isWaiting = false
    return true
  }

  /** Messages may have been lost: look again from the last known place. */
  probe(): void {
    this.#become('probe', this.match + 1)
  }

  /** It needs a snapshot: nothing is sent until it acknowledges one. */
  needSnapshot(): void {
    this.#become('snapshot', this.match + 1)
  }

  /** A sign of life: a probe that may be lost is repeated. */
  resume(): void {
    this.isActive = true
    this.isWaiting = false
  }

  #free(): void {
    const oldest = this.#inflight.shift()
    this.#inflightBytes -= oldest?.bytes ?? 0
  }

  #become(state: ProgressState, next: number): void {
    this.state = state
    this.next = next
    this.isWaiting = false
    this.#inflight = []
    this.#inflightBytes = 0
  }
}
