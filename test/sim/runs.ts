/** Many seeds, on as many threads as the machine has processors; what comes out does not depend on how many those are. */
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { loadWorld } from './mutated.ts'
import type { Outcome } from './world.ts'

export interface Order {
  readonly first: number
  readonly last: number
  readonly profile: string
  readonly ticks: number | undefined
  readonly mutation: string | undefined
  /** End with the first seed that fails. */
  readonly isOneEnough: boolean
}

/** Seeds that a thread takes at a time. */
const portion = 10

/** Outcomes in the order of their seeds; with `isOneEnough` up to and with the first that failed. */
export async function* runSeeds(order: Order, { threads = availableParallelism() } = {}): AsyncGenerator<Outcome> {
  const portions = Array.from({ length: Math.ceil((order.last - order.first + 1) / portion) }, (_, number) => {
    const first = order.first + number * portion
    return { ...order, first, last: Math.min(order.last, first + portion - 1) }
  })
  const results = portions.map(() => Promise.withResolvers<readonly Outcome[]>())
  // A result that nobody waits for any more is no failure of the process.
  for (const { promise } of results) promise.catch(() => {})
  let next = 0
  const workers = Array.from({ length: Math.min(threads, portions.length) }, () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: true })
    let taken = 0
    const take = () => {
      taken = next++
      const work = portions[taken]
      if (work !== undefined) worker.postMessage(work)
    }
    worker.on('message', (outcomes: readonly Outcome[]) => {
      results[taken]?.resolve(outcomes)
      take()
    })
    worker.on('error', error => results[taken]?.reject(error))
    worker.on('exit', code => results[taken]?.reject(new Error(`a thread ended with ${code}`)))
    take()
    return worker
  })
  try {
    for (const { promise } of results) {
      for (const outcome of await promise) {
        yield outcome
        if (order.isOneEnough && outcome.failure) return
      }
    }
  } finally {
    await Promise.all(workers.map(worker => worker.terminate()))
  }
}

/** A digest of digests, in the order of the seeds. */
export function digestOf(outcomes: readonly Outcome[]): string {
  return outcomes
    .reduce((mixed, { digest }) => (Math.imul(mixed ^ digest, 0x85ebca6b) ^ (mixed >>> 13)) >>> 0, 0x9e3779b9)
    .toString(16)
    .padStart(8, '0')
}

if (!isMainThread && workerData === true) {
  parentPort?.on('message', async ({ first, last, profile, ticks, mutation, isOneEnough }: Order) => {
    const { simulate } = await loadWorld(mutation)
    const outcomes: Outcome[] = []
    for (let seed = first; seed <= last; seed++) {
      const outcome = await simulate(seed, { profile, ticks })
      outcomes.push(outcome)
      if (isOneEnough && outcome.failure) break
    }
    parentPort?.postMessage(outcomes)
  })
}
