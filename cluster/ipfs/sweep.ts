/**
 * Compares what is wanted with what Kubo has, in flat memory: Kubo's list is written into rows under a new generation, then rows and wishes are
 * walked side by side in the order of CID bytes. Both lists are as of the walk's beginning: what they show is a hint, to be checked by whoever
 * acts on it.
 */
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { Abortable } from '../../src/lifetime.ts'
import type { Cid } from '../../src/types.ts'
import type { Holding, Holdings } from './holdings.ts'
import type { Kubo } from './kubo.ts'
import type { Wanted } from './tracker-api.ts'

export interface SweepParts {
  readonly holdings: Holdings
  readonly wanted: (options: { after?: Cid | undefined }) => AsyncIterable<Wanted>
  /** An operation owns its row: leave it alone. */
  readonly isOwned: (cid: Cid) => boolean
  readonly nowMs: () => number
}

/** What differs: a wish that is not met, a pin of ours that nobody wants, or one of them that was tried since the last sweep and `failed`. */
export type Difference = 'missing' | 'failed' | 'surplus'

export interface WalkOptions extends Abortable {
  /** Goes on behind it. */
  readonly after?: Cid | null
  /** Rows of this sweep are what Kubo has; without it every row is taken at its word. */
  readonly sweep?: number
  /** Whether to go on. */
  readonly onDifference: (cid: Cid, difference: Difference) => Promise<boolean> | boolean
}

/** Rows written in one go. */
const batchMax = 500

/** Writes what Kubo has now into rows of `sweep`. @throws ClusterError of Kubo's list: then nothing can be concluded */
export async function record(
  { holdings, isOwned, nowMs, kubo }: SweepParts & { readonly kubo: Pick<Kubo, 'pins'> },
  sweep: number,
  { signal }: Abortable
): Promise<void> {
  for (const mode of ['recursive', 'direct'] as const) {
    let batch: Cid[] = []
    const flush = async () => {
      await holdings.update(batch, (cid, now) => {
        // The list was on its way while an operation ended: its word is newer.
        if (isOwned(cid) || (now && now.generation > sweep)) return undefined
        const isSame = now?.isPinned && now.mode === mode
        const timestamp = isSame ? now.timestamp : nowMs()
        return { isOurs: now?.isOurs ?? false, isPinned: true, mode, version: now?.version ?? 0, generation: sweep, timestamp, error: '' }
      })
      batch = []
    }
    for await (const cid of kubo.pins(mode, { signal })) {
      if (batch.push(cid) >= batchMax) await flush()
    }
    await flush()
  }
}

/** @returns where it was told to stop, or `null` at the end */
export async function walk(parts: SweepParts, options: WalkOptions): Promise<Cid | null> {
  // Rows change together, and before anything is done about them: what is done is based on them.
  const stepsMax = options.sweep === undefined ? 1 : batchMax
  let steps: Step[] = []
  const flush = async (): Promise<Cid | null> => {
    await settle(parts, steps)
    for (const { cid, difference } of steps) {
      if (difference && !parts.isOwned(cid) && !(await options.onDifference(cid, difference))) return cid
    }
    steps = []
    return null
  }
  for await (const step of compare(parts, options)) {
    if (steps.push(step) < stepsMax) continue
    const stop = await flush()
    if (stop !== null) return stop
  }
  return flush()
}

interface Step {
  readonly cid: Cid
  /** What the row should become, if it still is as it was seen. */
  readonly change?: { readonly seen: Holding; readonly after: Holding | null }
  readonly difference?: Difference
}

async function* compare(parts: SweepParts, { after, sweep, signal }: WalkOptions): AsyncIterable<Step> {
  const rows = parts.holdings.all({ after: after ? cidBytes(after) : undefined })[Symbol.asyncIterator]()
  try {
    let row = await rows.next()
    for await (const pin of parts.wanted({ after: after ?? undefined })) {
      signal?.throwIfAborted()
      const name = cidBytes(pin.cid)
      for (; !row.done && Buffer.compare(row.value[0], name) < 0; row = await rows.next()) yield* unwanted(parts, row.value, sweep)
      let found: Holding | undefined
      if (!row.done && Buffer.compare(row.value[0], name) === 0) {
        found = row.value[1]
        row = await rows.next()
      }
      yield* wished(parts, pin, found, sweep)
    }
    for (; !row.done; row = await rows.next()) yield* unwanted(parts, row.value, sweep)
  } finally {
    await rows.return?.()
  }
}

function* unwanted(parts: SweepParts, [name, seen]: readonly [Uint8Array, Holding], sweep: number | undefined): Iterable<Step> {
  if (sweep !== undefined && seen.generation < sweep) yield { cid: cidFromBytes(name), change: { seen, after: null } }
  else if (seen.isOurs && seen.isPinned) yield { cid: cidFromBytes(name), difference: hasFailed(parts, seen) ? 'failed' : 'surplus' }
}

function* wished(parts: SweepParts, pin: Wanted, seen: Holding | undefined, sweep: number | undefined): Iterable<Step> {
  const { cid, version } = pin
  if (parts.isOwned(cid)) return
  if (sweep !== undefined && seen?.isPinned && seen.generation < sweep) {
    yield { cid, change: { seen, after: { ...seen, isPinned: false } }, difference: 'missing' }
  } else if (seen && meets(seen, pin)) {
    return
  } else if (sweep !== undefined && seen && seen.generation === sweep && !seen.isOurs && hasMode(seen, pin)) {
    // Kubo has it already: by another cluster's work, or by hand. Now it is ours as well.
    yield { cid, change: { seen, after: { ...seen, isOurs: true, version } } }
  } else {
    yield { cid, difference: seen && hasFailed(parts, seen) ? 'failed' : 'missing' }
  }
}

/** Changes the rows that still are as the walk saw them. */
async function settle({ holdings, isOwned }: SweepParts, steps: readonly Step[]): Promise<void> {
  const changes = new Map(steps.flatMap(({ cid, change }) => (change ? [[cid, change] as const] : [])))
  await holdings.update([...changes.keys()], (cid, now) => {
    const change = changes.get(cid)
    if (change === undefined || now === undefined || isOwned(cid)) return undefined
    return now.generation === change.seen.generation && now.version === change.seen.version ? change.after : undefined
  })
}

/** Since the last sweep began. */
export function hasFailed({ holdings }: Pick<SweepParts, 'holdings'>, { error, generation }: Holding): boolean {
  return error !== '' && generation >= holdings.generation
}

/** What Kubo holds is what this wish asks for. */
export function meets(holding: Holding, pin: Wanted): boolean {
  return hasMode(holding, pin) && holding.version >= pin.version
}

function hasMode({ isPinned, mode }: Holding, pin: Wanted): boolean {
  return isPinned && (mode === pin.mode || mode === 'recursive')
}
