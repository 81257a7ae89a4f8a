/**
 * What waits for Kubo, and what runs: pins a few at a time, young ones first (but one start in four is for those that are not, for new pins may
 * never end), and unpins beside them, so that neither waits behind the other. One CID has one job at a time.
 */
import type { Cid } from '../../src/types.ts'

export interface Job {
  readonly cid: Cid
  readonly kind: 'pin' | 'unpin'
  /** Goes before those that are not. */
  readonly isPriority: boolean
  /** Ends when the job has ended, one way or the other; never rejects. */
  readonly run: () => Promise<void>
}

export interface QueueLimits {
  readonly pins: number
  readonly unpins: number
}

/** Every so many starts one is for a pin without priority. */
const fairShare = 4

export class Queue {
  readonly #limits: QueueLimits
  readonly #waiting = { first: new Map<Cid, Job>(), pins: new Map<Cid, Job>(), unpins: new Map<Cid, Job>() }
  readonly #running = new Map<Cid, Job>()
  readonly #ends = new Set<Promise<void>>()
  #runningPins = 0
  #starts = 0
  #isPaused = false
  #isStopped = false

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  /** Waiting pins. */
  get queued(): number {
    return this.#waiting.first.size + this.#waiting.pins.size
  }

  /** Takes the place of whatever waited for the same CID. */
  add(job: Job): void {
    this.remove(job.cid)
    const { first, pins, unpins } = this.#waiting
    const line = job.kind === 'unpin' ? unpins : job.isPriority ? first : pins
    line.set(job.cid, job)
    this.#next()
  }

  remove(cid: Cid): void {
    for (const line of Object.values(this.#waiting)) line.delete(cid)
  }

  /** Starts nothing until `resume`. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#next()
  }

  /** Starts nothing more, and waits for what runs. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#ends)
  }

  #next(): void {
    if (this.#isPaused || this.#isStopped) return
    const { first, pins, unpins } = this.#waiting
    while (this.#runningPins < this.#limits.pins) {
      const [one, other] = this.#starts % fairShare === fairShare - 1 ? [pins, first] : [first, pins]
      const job = this.#take(one) ?? this.#take(other)
      if (job === undefined) break
      this.#starts++
      this.#start(job)
    }
    while (this.#running.size - this.#runningPins < this.#limits.unpins) {
      const job = this.#take(unpins)
      if (job === undefined) break
      this.#start(job)
    }
  }

  /** The oldest job whose CID is free. */
  #take(line: Map<Cid, Job>): Job | undefined {
    for (const [cid, job] of line) {
      if (this.#running.has(cid)) continue
      line.delete(cid)
      return job
    }
    return undefined
  }

  #start(job: Job): void {
    this.#running.set(job.cid, job)
    if (job.kind === 'pin') this.#runningPins++
    const end = job.run().finally(() => {
      this.#ends.delete(end)
      this.#running.delete(job.cid)
      if (job.kind === 'pin') this.#runningPins--
      this.#next()
    })
    this.#ends.add(end)
  }
}
