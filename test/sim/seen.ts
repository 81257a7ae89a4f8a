/** What the checks remember of the peers and of what was agreed, and small tools for it. */
import type { Raft } from '../../cluster/raft/raft.ts'
import type { Configuration, Entry, NodeId } from '../../cluster/raft/types.ts'
import type { Disk } from './disk.ts'

/** What the checks see of a peer. */
export interface Watched {
  readonly id: NodeId
  /** For people. */
  readonly name: string
  readonly disk: Disk
  /** Started how often. */
  readonly life: number
  readonly isUp: boolean
  readonly core: Pick<Raft, 'status' | 'termAt'>
}

/** What was seen of one life of a peer. */
export interface Record {
  readonly life: number
  term: number
  commit: number
  applied: number
  /** Commit index of the last `Ready`. */
  handedCommit: number
  /** Digest of every prefix of the log handed out for writing; index 0 is before the first entry. */
  readonly prefixes: number[]
  readonly configurations: { readonly index: number; readonly configuration: Configuration }[]
  /** The term it leads, and its commit index when that was last looked at. */
  leads: number | null
  ledCommit: number
  /** It led that term at the `Ready` before, so nothing may be dropped from its log any more. */
  handedLeads: number | null
}

export interface Committed {
  readonly prefix: number
  readonly term: number
  /** The commit happened in this term at the latest. */
  readonly inTerm: number
}

export function votersOf({ members }: Configuration): readonly NodeId[] {
  return members.filter(({ isVoter }) => isVoter).map(({ id }) => id)
}

export function key(term: number, index: number): number {
  return term * 2 ** 24 + index
}

/** Digest of the log up to and with `entry`: 52 bits, in two halves that are mixed apart. */
export function digest(before: number, entry: Entry): number {
  let low = Math.imul((before | 0) ^ entry.term, 0x85ebca6b) ^ entry.index
  let high = Math.imul(((before / 2 ** 32) | 0) ^ entry.index, 0xc2b2ae35) ^ entry.type.length
  if (entry.type === 'normal') {
    for (const byte of entry.data) {
      low = Math.imul(low ^ byte, 0x01000193)
      high = Math.imul(high + byte, 0x9e3779b1) ^ (high >>> 15)
    }
  }
  return (high & 0xfffff) * 2 ** 32 + ((low ^ (low >>> 13)) >>> 0)
}
