/**
 * Whether the disk of this peer takes what is to be kept. A leader whose disk stands still holds up everybody, and is heard of all the same, so that
 * nobody else stands for election: it gives leadership away.
 */
import type { Pace } from './core.ts'

/** Election timeouts for which a disk is waited for. */
const patience = 2

export class DiskWatch {
  readonly #pace: Pace
  /** Since the write under way began. Ticks and no time: a pause of this process is none of the disk. */
  #ticks = 0

  constructor(pace: Pace) {
    this.#pace = pace
  }

  /** Something is to be written. */
  began(): void {
    this.#ticks = 0
  }

  /** To be called with every tick during a write. @returns how long it has taken, each time that patience is over; else `null` */
  tick(): number | null {
    const { electionMs, tickMs } = this.#pace
    const isOver = ++this.#ticks % Math.ceil((patience * electionMs) / tickMs) === 0
    return isOver ? this.#ticks * tickMs : null
  }
}
