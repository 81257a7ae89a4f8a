/**
 * Compares what is wanted with what Kubo has, in flat memory: Kubo's list is written into rows under a new generation, then rows and wishes are
 * walked side by side in the order of CID bytes.
 */
import { cidBytes } from '../../src/codec.ts'
import type { Abortable } from '../../src/lifetime.ts'
import type { Cid, PinMode } from '../../src/types.ts'
import type { Holding, Holdings } from './holdings.ts'
import type { Kubo } from './kubo.ts'
import type { Wanted } from './tracker-api.ts'

export interface SweepParts {
  readonly kubo: Pick<Kubo, 'pins'>
  readonly holdings: Holdings
  readonly wanted: () => AsyncIterable<Wanted>
  /** The CID is being worked on, or was since the sweep began: leave it alone. */
  readonly isTouched: (cid: Cid) => boolean
  readonly nowMs: () => number
}

export interface SweepFindings {
  /** Wanted, and not there. */
  readonly onMissing: (pin: Wanted) => void
  /** Ours, there, and not wanted. */
  readonly onSurplus: (cid: Cid) => void
}

/** Rows written in one go. */
const batchMax = 500

/** @returns how many wanted pins are there @throws ClusterError of Kubo's list: then nothing is concluded */
export async function sweep(parts: SweepParts, findings: SweepFindings, { signal }: Abortable): Promise<number> {
  const generation = parts.nowMs()
  for (const mode of ['recursive', 'direct'] as const) await record(parts, mode, generation, { signal })
  return compare(parts, findings, generation, { signal })
}

async function record(
  { kubo, holdings, isTouched, nowMs }: SweepParts,
  mode: PinMode,
  generation: number,
  { signal }: Abortable
): Promise<void> {
  let batch: Cid[] = []
  const flush = async () => {
    const free = batch.filter(cid => !isTouched(cid))
    const known = await Promise.all(free.map(cid => holdings.get(cid)))
    const rows = free.map((cid, index): [Cid, Holding] => {
      const before = known[index]
      const isSame = before?.isPinned && before.mode === mode
      return [cid, { isOurs: before?.isOurs ?? false, isPinned: true, mode, generation, timestamp: isSame ? before.timestamp : nowMs() }]
    })
    // Touched while the rows were read: what the tracker writes is newer.
    await holdings.write(rows.filter(([cid]) => !isTouched(cid)))
    batch = []
  }
  for await (const cid of kubo.pins(mode, { signal })) {
    batch.push(cid)
    if (batch.length >= batchMax) await flush()
  }
  await flush()
}

async function compare(
  { holdings, wanted, isTouched }: SweepParts,
  { onMissing, onSurplus }: SweepFindings,
  generation: number,
  { signal }: Abortable
): Promise<number> {
  const rows = holdings.all()[Symbol.asyncIterator]()
  let held = 0
  let changes: [Cid, Holding | null][] = []
  const change = async (cid: Cid, holding: Holding | null) => {
    changes.push([cid, holding])
    if (changes.length < batchMax) return
    await holdings.write(changes.filter(([cid]) => !isTouched(cid)))
    changes = []
  }
  try {
    let row = await rows.next()
    const passUnwanted = async (until: Uint8Array | null) => {
      for (; !row.done; row = await rows.next()) {
        const [cid, holding] = row.value
        if (until !== null && Buffer.compare(cidBytes(cid), until) >= 0) return
        if (isTouched(cid)) continue
        const isThere = holding.isPinned && holding.generation === generation
        if (!isThere) await change(cid, null)
        else if (holding.isOurs) onSurplus(cid)
      }
    }
    for await (const pin of wanted()) {
      signal?.throwIfAborted()
      const name = cidBytes(pin.cid)
      await passUnwanted(name)
      const found: Holding | undefined = !row.done && Buffer.compare(cidBytes(row.value[0]), name) === 0 ? row.value[1] : undefined
      if (found) row = await rows.next()
      if (isTouched(pin.cid)) continue
      const isThere = found?.isPinned && found.generation === generation && (found.mode === pin.mode || found.mode === 'recursive')
      if (!isThere) {
        onMissing(pin)
        continue
      }
      held++
      if (!found.isOurs) await change(pin.cid, { ...found, isOurs: true })
    }
    await passUnwanted(null)
    await holdings.write(changes.filter(([cid]) => !isTouched(cid)))
    return held
  } finally {
    await rows.return?.()
  }
}
