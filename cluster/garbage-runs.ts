/**
 * Garbage collections of this peer's Kubo that other peers have asked for. A call between peers has one answer, and a collection may last for hours:
 * the asker comes again and again, each time for what was removed meanwhile. What waits for him is bounded, and Kubo is held back; a run that nobody
 * asks for is given up.
 */
import type { Clock } from '../src/clock.ts'
import { ClusterError, messageOf } from '../src/errors.ts'
import type { Tasks } from '../src/lifetime.ts'
import type { Collected } from '../src/types.ts'
import type { Kubo } from './ipfs/kubo.ts'
import { decodeGarbageQuestion, encodeGarbage, type GarbagePage, type GarbageQuestion, methods } from './messages.ts'
import type { Rpc } from './net/rpc.ts'

export interface GarbageRunsParts {
  readonly kubo: Pick<Kubo, 'collect'>
  readonly clock: Clock
  readonly tasks: Pick<Tasks, 'run'>
}

const runsMax = 4
const itemsMax = 1_000
/** Nobody has asked for so long. */
const forgottenMs = 20_000

interface Run {
  items: Omit<Collected, 'peer'>[]
  isOver: boolean
  askedMs: number
  readonly abort: AbortController
  /** Of the asker, and of the collection that waits for room. */
  changed: PromiseWithResolvers<void>
}

export class GarbageRuns {
  readonly #parts: GarbageRunsParts
  readonly #runs = new Map<string, Run>()

  constructor(parts: GarbageRunsParts) {
    this.#parts = parts
  }

  serve(rpc: Pick<Rpc, 'handle'>): void {
    rpc.handle(methods.garbage, async (from, payload, { signal }) => {
      const question = decodeGarbageQuestion(payload)
      return encodeGarbage(await this.answer({ ...question, run: `${from} ${question.run}` }, signal))
    })
  }

  /** @throws ClusterError `overloaded` for one run too many, `not_ready` for a run that is not known */
  async answer({ run: id, isFirst, waitMs }: GarbageQuestion, signal: AbortSignal): Promise<GarbagePage> {
    const run = isFirst ? this.#begin(id) : this.#runs.get(id)
    if (run === undefined) throw new ClusterError({ code: 'not_ready' }, 'the garbage collection was given up there')
    run.askedMs = this.#parts.clock.monotonicMs()
    if (run.items.length === 0 && !run.isOver) await Promise.race([run.changed.promise, this.#nap(waitMs, signal)])
    const items = run.items
    run.items = []
    this.#change(run)
    if (run.isOver) this.#runs.delete(id)
    return { items, isOver: run.isOver }
  }

  #begin(id: string): Run {
    const { clock, tasks } = this.#parts
    if (this.#runs.size >= runsMax) {
      throw new ClusterError({ code: 'overloaded', retryAfterMs: forgottenMs }, 'several garbage collections are under way already')
    }
    const run: Run = {
      items: [],
      isOver: false,
      askedMs: clock.monotonicMs(),
      abort: new AbortController(),
      changed: Promise.withResolvers()
    }
    this.#runs.set(id, run)
    tasks.run('garbage collection', stop => this.#collect(id, run, stop))
    return run
  }

  async #collect(id: string, run: Run, stop: AbortSignal): Promise<void> {
    const { kubo, clock } = this.#parts
    const signal = AbortSignal.any([stop, run.abort.signal])
    using _watch = clock.every(forgottenMs / 4, () => {
      if (clock.monotonicMs() - run.askedMs < forgottenMs) return
      this.#runs.delete(id)
      run.abort.abort(new Error('nobody asks any more'))
      this.#change(run)
    })
    try {
      for await (const item of kubo.collect({ signal })) {
        run.items.push(item)
        this.#change(run)
        while (run.items.length >= itemsMax && !signal.aborted) await run.changed.promise
        signal.throwIfAborted()
      }
    } catch (error) {
      run.items.push({ cid: null, error: messageOf(error) })
    }
    run.isOver = true
    this.#change(run)
    // The asker comes for the end of it, or never.
    await this.#nap(forgottenMs, signal)
    this.#runs.delete(id)
  }

  #change(run: Run): void {
    run.changed.resolve()
    run.changed = Promise.withResolvers()
  }

  #nap(ms: number, signal: AbortSignal): Promise<void> {
    return this.#parts.clock.sleep(ms, { signal }).catch(() => {})
  }
}
