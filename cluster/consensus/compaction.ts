/**
 * How much of the log is kept, and the removal of the rest. What is applied is in the state, so the log is only for peers that are a little behind:
 * it is cut where it has become too long, too large or too old. The rows go later, in small pieces, so that no commit waits for them.
 */
import type { Clock } from '../../src/clock.ts'
import type { Tasks } from '../../src/lifetime.ts'
import type { Store } from '../state/store.ts'
import type { LogStorage } from './storage.ts'

export interface LogLimits {
  readonly entriesMax: number
  /** Counted from the start of this process. */
  readonly bytesMax: number
  readonly ageMsMax: number
}

export interface CompactionParts {
  readonly store: Pick<Store, 'write' | 'rows'>
  readonly storage: LogStorage
  readonly clock: Clock
  readonly tasks: Tasks
  readonly onFatal: (error: unknown) => void
}

/** How long and large the log was at some time. */
interface Mark {
  readonly index: number
  readonly bytes: number
  readonly atMs: number
}

const marksMax = 128
/** A limit may be passed by this part of it: cutting a little all the time is more work than cutting now and then. */
const slack = 0.1
/** Rows removed at once, and the pause behind them. */
const pieceRows = 500
const pauseMs = 5

export class Compaction {
  readonly #parts: CompactionParts
  readonly #limits: LogLimits
  #marks: Mark[] = []
  /** Rows up to here are gone. */
  #forgotten = 0
  #isForgetting = false

  constructor(parts: CompactionParts, limits: LogLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  /** A crash may have left rows of entries that were cut away. */
  async load(): Promise<void> {
    this.#forgotten = (await this.#parts.storage.firstRow()) - 1
    this.#mark()
    this.forget()
  }

  /** Where the log should be cut; 0 for nowhere. */
  target(): number {
    const { lastIndex, truncated, writtenBytes } = this.#parts.storage
    const { entriesMax, bytesMax, ageMsMax } = this.#limits
    this.#mark()
    const isPassed = (value: number, limit: number) => value > limit * (1 + slack)
    const byEntries = isPassed(lastIndex - truncated.index, entriesMax) ? lastIndex - entriesMax : 0
    const behind = this.#marks.findLast(({ index }) => index <= truncated.index)?.bytes ?? 0
    const byBytes = isPassed(writtenBytes - behind, bytesMax)
      ? (this.#marks.find(({ bytes }) => writtenBytes - bytes <= bytesMax)?.index ?? 0)
      : 0
    const ageOf = ({ atMs }: Mark) => this.#parts.clock.monotonicMs() - atMs
    const oldest = this.#marks.find(({ index }) => index > truncated.index)
    const byAge = oldest && isPassed(ageOf(oldest), ageMsMax) ? (this.#marks.findLast(mark => ageOf(mark) >= ageMsMax)?.index ?? 0) : 0
    return Math.max(byEntries, byBytes, byAge)
  }

  /** Removes the rows of what is cut away, in the background. */
  forget(): void {
    const { storage, store, clock, tasks, onFatal } = this.#parts
    if (this.#isForgetting || this.#forgotten >= storage.truncated.index) return
    this.#isForgetting = true
    tasks.run('compaction', async stop => {
      try {
        while (!stop.aborted && this.#forgotten < storage.truncated.index) {
          const to = Math.min(this.#forgotten + pieceRows, storage.truncated.index)
          await store.write(storage.forget(this.#forgotten + 1, to), { sync: false, canWait: true })
          this.#forgotten = to
          await clock.sleep(pauseMs, { signal: stop })
        }
      } catch (error) {
        if (!stop.aborted) onFatal(error)
      } finally {
        this.#isForgetting = false
      }
    })
  }

  #mark(): void {
    const { lastIndex, writtenBytes } = this.#parts.storage
    const last = this.#marks.at(-1)
    if (last !== undefined && last.index >= lastIndex) return
    this.#marks.push({ index: lastIndex, bytes: writtenBytes, atMs: this.#parts.clock.monotonicMs() })
    // The older half is seen less sharply: one of two is enough.
    if (this.#marks.length > marksMax) this.#marks = this.#marks.filter((_, place) => place % 2 === 0 || place > marksMax / 2)
  }
}
