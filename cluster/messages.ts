/** What peers ask each other about pins, as bytes. Peers of one cluster are trusted to mean well, not to be free of faults: shapes are checked. */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { cidBytes, cidFromBytes } from '../src/codec.ts'
import { type Cid, type Collected, type FetchProgress, type PeerInfo, type RepositorySize, statuses } from '../src/types.ts'
import type { LocalStatus } from './ipfs/tracker-api.ts'

/** Method names on the wire. A changed shape gets a new name, so that peers of two versions can work together during an upgrade. */
export const methods = { id: 'peer/id', status: 'pins/copy', page: 'pins/page', size: 'repo/size', garbage: 'repo/garbage' } as const

const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const localStatus = z.object({
  status: z.enum(statuses),
  error: z.string(),
  attemptCount: z.number(),
  priorityPin: z.boolean(),
  timestamp: z.number(),
  progress: z.object({ nodes: z.number(), bytes: z.number().nullable() }).nullable()
})

/** A peer's answer about one pin: its tracker's view, or `not_applied` where it has not heard of that version of the pin yet. */
export type CopyStatus = LocalStatus | 'not_applied'

const copyStatus = z.union([z.literal('not_applied'), localStatus])

/** Asks for the status of `cid` at `version` or later. `known`: answer only when it differs from this, or after `waitMs` (at most 10 s). */
export interface StatusQuestion {
  readonly cid: Cid
  readonly version: number
  readonly known: string
  readonly waitMs: number
  /** Nobody looks at nodes and bytes. */
  readonly isBlind: boolean
}

const statusQuestion = z.tuple([bytes, z.number(), z.string(), z.number().min(0).max(10_000), z.boolean()])

export function encodeStatusQuestion({ cid, version, known, waitMs, isBlind }: StatusQuestion): Uint8Array {
  return encode([cidBytes(cid), version, known, waitMs, isBlind])
}

export function decodeStatusQuestion(payload: Uint8Array): StatusQuestion {
  const [cid, version, known, waitMs, isBlind] = statusQuestion.parse(decode(payload))
  return { cid: cidFromBytes(cid), version, known, waitMs, isBlind }
}

export function encodeCopyStatus(status: CopyStatus): Uint8Array {
  return encode(status)
}

export function decodeCopyStatus(payload: Uint8Array): CopyStatus {
  return copyStatus.parse(decode(payload)) as CopyStatus
}

/**
 * Changes whenever something changes that who follows a pin is told: not which step of its way a copy is at, for a pin that is fetched at once would be
 * worth a message a step.
 */
export function fingerprint(status: CopyStatus): string {
  if (status === 'not_applied' || status.status === 'pin_queued') return underWay
  if (status.status === 'pinning') return `${underWay}${progressText(status.progress)}`
  return `${status.status}|${status.error}|${status.attemptCount}|${progressText(status.progress)}`
}

/** The fingerprint of a copy of which there is nothing to tell yet. */
export const underWay = 'under way|'

function progressText(progress: FetchProgress | null): string {
  return progress === null ? '' : `${progress.nodes}/${progress.bytes ?? ''}`
}

/** CIDs (pinned or wanted there) of which the peer says how they are, in the same order. At most 1,000. */
export function encodePageQuestion(cids: readonly Cid[]): Uint8Array {
  return encode(cids.map(cidBytes))
}

export function decodePageQuestion(payload: Uint8Array): Cid[] {
  return z.array(bytes).max(pageMax).parse(decode(payload)).map(cidFromBytes)
}

/** CIDs in one question. */
export const pageMax = 1_000

/** Most copies are pinned and nothing else: those are a zero on the wire. */
export function encodePage(page: readonly LocalStatus[]): Uint8Array {
  return encode(page.map(status => (status.status === 'pinned' ? status.timestamp : status)))
}

export function decodePage(payload: Uint8Array): LocalStatus[] {
  return z
    .array(z.union([z.number(), localStatus]))
    .parse(decode(payload))
    .map(item =>
      typeof item === 'number'
        ? { status: 'pinned', error: '', attemptCount: 0, priorityPin: false, timestamp: item, progress: null }
        : (item as LocalStatus)
    )
}

const peerInfo = z.object({
  id: z.string(),
  name: z.string(),
  addresses: z.array(z.string()),
  clusterPeers: z.array(z.string()),
  clusterPeersAddresses: z.array(z.string()),
  version: z.string(),
  rpcProtocolVersion: z.string(),
  error: z.string(),
  ipfs: z.object({ id: z.string().nullable(), addresses: z.array(z.string()), error: z.string() })
})

export function encodePeerInfo(info: PeerInfo): Uint8Array {
  return encode(info)
}

export function decodePeerInfo(payload: Uint8Array): PeerInfo {
  // The brands are those the sender had parsed.
  return peerInfo.parse(decode(payload)) as unknown as PeerInfo
}

type Size = Omit<RepositorySize, 'peer' | 'error'>

const size = z.tuple([z.string(), z.string(), z.string()]).transform(([repo, max, objects]) => ({
  repoBytes: BigInt(repo),
  maxBytes: BigInt(max),
  objects: BigInt(objects)
}))

/** Whether objects need not be counted. */
export function encodeSizeQuestion(isSizeOnly: boolean): Uint8Array {
  return encode(isSizeOnly)
}

export function decodeSizeQuestion(payload: Uint8Array): boolean {
  return z.boolean().parse(decode(payload))
}

/** As text: "no limit" is 2^64 - 1. */
export function encodeSize({ repoBytes, maxBytes, objects }: Size): Uint8Array {
  return encode([repoBytes, maxBytes, objects].map(String))
}

export function decodeSize(payload: Uint8Array): Size {
  return size.parse(decode(payload))
}

/** Asks for what a collection has removed since the last question, after `waitMs` at the latest. The first question begins it. */
export interface GarbageQuestion {
  /** Chosen by the asker. */
  readonly run: string
  readonly isFirst: boolean
  readonly waitMs: number
}

export interface GarbagePage {
  readonly items: readonly Omit<Collected, 'peer'>[]
  readonly isOver: boolean
}

const garbageQuestion = z.tuple([z.string().max(64), z.boolean(), z.number().min(0).max(5_000)])
const garbagePage = z.tuple([z.array(z.tuple([bytes.nullable(), z.string()])), z.boolean()])

export function encodeGarbageQuestion({ run, isFirst, waitMs }: GarbageQuestion): Uint8Array {
  return encode([run, isFirst, waitMs])
}

export function decodeGarbageQuestion(payload: Uint8Array): GarbageQuestion {
  const [run, isFirst, waitMs] = garbageQuestion.parse(decode(payload))
  return { run, isFirst, waitMs }
}

export function encodeGarbage({ items, isOver }: GarbagePage): Uint8Array {
  return encode([items.map(({ cid, error }) => [cid === null ? null : cidBytes(cid), error]), isOver])
}

export function decodeGarbage(payload: Uint8Array): GarbagePage {
  const [items, isOver] = garbagePage.parse(decode(payload))
  return { items: items.map(([cid, error]) => ({ cid: cid === null ? null : cidFromBytes(cid), error })), isOver }
}
