/** The core with the limits that a peer runs it with. */
import { Raft } from '../raft/raft.ts'
import type { NodeId, RaftSettings, Restored } from '../raft/types.ts'

/** Looked at whenever it is needed: whoever made it may change it while the peer runs. The promises of Raft hold at any pace. */
export interface Pace {
  readonly tickMs: number
  /** A follower looks for votes after this time without its leader, plus a random share of as much again. At least three heartbeats. */
  readonly electionMs: number
  readonly heartbeatMs: number
}

/** Another core than the usual one: for a simulation, which looks into it. */
export type CreateCore = (settings: RaftSettings, restored: Restored) => Raft

const limits: Omit<RaftSettings, 'id' | 'electionTicks' | 'heartbeatTicks' | 'random'> = {
  appendBytesMax: 512 << 10,
  inflightMax: 64,
  inflightBytesMax: 8 << 20,
  uncommittedBytesMax: 32 << 20,
  cacheBytesMax: 4 << 20
}

export function coreOf(
  id: NodeId,
  restored: Restored,
  pace: Pace,
  {
    random,
    createCore = (settings, restored) => new Raft(settings, restored)
  }: Pick<RaftSettings, 'random'> & { createCore?: CreateCore | undefined }
): Raft {
  const settings: RaftSettings = {
    id,
    random,
    ...limits,
    get electionTicks() {
      return Math.ceil(pace.electionMs / pace.tickMs)
    },
    get heartbeatTicks() {
      return Math.ceil(pace.heartbeatMs / pace.tickMs)
    }
  }
  return createCore(settings, restored)
}
