/**
 * What is to be done beyond the window in memory. It is not kept: it is the difference between what is agreed and what Kubo holds, both on disk,
 * walked in rounds, each going on where the window was full. Whatever did not fit since a round began is found by the next one.
 */
import type { Cid } from '../../src/types.ts'

export class Backlog {
  #cursor: Cid | null = null
  #isMissed = false
  // Nothing is known before the first comparison.
  #isBehind = true
  #pins = 0
  #unpins = 0
  /** Dropped since a full comparison began. */
  #late = { pins: 0, unpins: 0 }

  /** There may be more to do than the window shows. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  /** Estimates: a CID that changes several times counts so often until the round is over. */
  get pins(): number {
    return this.#pins
  }

  get unpins(): number {
    return this.#unpins
  }

  /** Something did not fit. */
  drop(kind: 'pin' | 'unpin'): void {
    this.#isBehind = true
    this.#isMissed = true
    if (kind === 'pin') {
      this.#pins++
      this.#late.pins++
    } else {
      this.#unpins++
      this.#late.unpins++
    }
  }

  /** A full comparison begins. */
  beginCount(): void {
    this.#isMissed = false
    this.#late = { pins: 0, unpins: 0 }
  }

  /** The full comparison has seen everything, and so much did not fit. */
  endCount(beyond: { readonly pins: number; readonly unpins: number }): void {
    this.#cursor = null
    this.#isBehind = this.#isMissed || beyond.pins + beyond.unpins > 0
    this.#pins = beyond.pins + this.#late.pins
    this.#unpins = beyond.unpins + this.#late.unpins
  }

  /** @returns where the round goes on; `null`: at the beginning */
  goOn(): Cid | null {
    if (this.#cursor === null) this.#isMissed = false
    return this.#cursor
  }

  took(kind: 'pin' | 'unpin'): void {
    if (kind === 'pin') this.#pins = Math.max(0, this.#pins - 1)
    else this.#unpins = Math.max(0, this.#unpins - 1)
  }

  /** @param cursor where the walk stopped; `null`: the round is over */
  stopped(cursor: Cid | null): void {
    this.#cursor = cursor
    if (cursor !== null || this.#isMissed) return
    this.#isBehind = false
    this.#pins = 0
    this.#unpins = 0
  }
}
