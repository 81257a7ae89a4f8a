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
export async function walk({ holdings, wanted, isOwned }: SweepParts, options: WalkOptions): Promise<Cid | null> {
  const { sweep, onDifference, signal } = options
  const after = options.after ?? undefined
  const hasFailed = ({ error, generation }: Holding) => error !== '' && generation >= holdings.generation
  const rows = holdings.all({ after: after && cidBytes(after) })[Symbol.asyncIterator]()
  let changes: Change[] = []
  const change = async (next: Change) => {
    if (changes.push(next) < batchMax) return
    await settle(holdings, isOwned, changes)
    changes = []
  }
  try {
    let row = await rows.next()
    /** Rows of what nobody wants, up to a CID. */
    const passUnwanted = async (until: Uint8Array | null): Promise<Cid | null> => {
      for (; !row.done; row = await rows.next()) {
        const [name, holding] = row.value
        if (until !== null && Buffer.compare(name, until) >= 0) return null
        if (sweep !== undefined && holding.generation < sweep) await change({ cid: cidFromBytes(name), seen: holding, after: null })
        else if (holding.isOurs && holding.isPinned) {
          const cid = cidFromBytes(name)
          if (!isOwned(cid) && !(await onDifference(cid, hasFailed(holding) ? 'failed' : 'surplus'))) return cid
        }
      }
      return null
    }
    for await (const pin of wanted({ after })) {
      signal?.throwIfAborted()
      const name = cidBytes(pin.cid)
      const stop = await passUnwanted(name)
      if (stop !== null) return stop
      let found: Holding | undefined
      if (!row.done && Buffer.compare(row.value[0], name) === 0) {
        found = row.value[1]
        row = await rows.next()
      }
      if (isOwned(pin.cid)) continue
      if (sweep !== undefined && found && found.generation < sweep && found.isPinned) {
        await change({ cid: pin.cid, seen: found, after: { ...found, isPinned: false } })
        found = { ...found, isPinned: false }
      }
      if (found && meets(found, pin)) continue
      if (sweep !== undefined && found && found.generation === sweep && !found.isOurs && hasMode(found, pin)) {
        // Kubo has it already: by another cluster's work, or by hand. Now it is ours as well.
        await change({ cid: pin.cid, seen: found, after: { ...found, isOurs: true, version: pin.version } })
        continue
      }
      if (!(await onDifference(pin.cid, found && hasFailed(found) ? 'failed' : 'missing'))) return pin.cid
    }
    return await passUnwanted(null)
  } finally {
    await settle(holdings, isOwned, changes)
    await rows.return?.()
  }
}

interface Change {
  readonly cid: Cid
  readonly seen: Holding
  readonly after: Holding | null
}

/** Changes the rows that still are as the walk saw them. */
async function settle(holdings: Holdings, isOwned: (cid: Cid) => boolean, changes: readonly Change[]): Promise<void> {
  const byCid = new Map(changes.map(change => [change.cid, change]))
  await holdings.update([...byCid.keys()], (cid, now) => {
    const change = byCid.get(cid)
    if (change === undefined || now === undefined || isOwned(cid)) return undefined
    return now.generation === change.seen.generation && now.version === change.seen.version ? change.after : undefined
  })
}

function meets(holding: Holding, pin: Wanted): boolean {
  return hasMode(holding, pin) && holding.version >= pin.version
}

function hasMode({ isPinned, mode }: Holding, pin: Wanted): boolean {
  return isPinned && (mode === pin.mode || mode === 'recursive')
}
