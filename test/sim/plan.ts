/** What one seed is about: a random subset of troubles, sizes and limits, so that rare combinations get their turn (swarm testing). */

import type { SnapshotLimits } from '../../cluster/consensus/snapshots.ts'
import type { RaftSettings } from '../../cluster/raft/types.ts'
import type { Weather } from './network.ts'
import type { Random } from './random.ts'

export const tickMs = 100
export const electionMs = 1_000

export const troubles = [
  'partition',
  'isolate',
  'usurp',
  'one_way',
  'bridge',
  'flap',
  'crash',
  'crash_all',
  'pause',
  'slow_disk',
  'broken_disk',
  'elect_now',
  'transfer',
  'stop',
  'forget_leader',
  'unreachable',
  'change_members',
  'remove',
  'renew'
] as const
export type Trouble = (typeof troubles)[number]

/** Subsets of the troubles, to look at one kind closely. */
export const profiles: Readonly<Record<string, readonly Trouble[]>> = {
  all: troubles,
  calm: [],
  network: ['partition', 'isolate', 'usurp', 'one_way', 'bridge', 'flap', 'unreachable'],
  process: ['crash', 'crash_all', 'pause', 'elect_now', 'transfer', 'stop', 'forget_leader'],
  disk: ['slow_disk', 'broken_disk', 'crash', 'crash_all'],
  membership: ['change_members', 'remove', 'renew', 'crash', 'isolate', 'elect_now', 'transfer']
}

export interface Plan {
  readonly founders: number
  /** Peers that join later. */
  readonly joiners: number
  /** Length of the safety phase. */
  readonly lengthMs: number
  readonly troubles: readonly Trouble[]
  /** Time between two troubles, at most. */
  readonly calmMax: number
  readonly weather: Weather
  readonly diskDelayMax: number
  /** Time between two questions of clients, at most. */
  readonly askEvery: number
  /** How far from exact a clock may be, as a factor both ways. */
  readonly clockSkew: number
  readonly heartbeatMs: number
  readonly proposalsMax: number
  readonly limits: Pick<RaftSettings, 'appendBytesMax' | 'inflightMax' | 'inflightBytesMax' | 'uncommittedBytesMax' | 'cacheBytesMax'>
  readonly snapshots: SnapshotLimits
}

export function drawPlan(random: Random, { profile, ticks }: { readonly profile: string; readonly ticks: number | undefined }): Plan {
  const chosen = profiles[profile]
  if (chosen === undefined) throw new Error(`there is no profile ${profile}: choose one of ${Object.keys(profiles).join(', ')}`)
  const drawnMs = random.between(4_000, 14_000)
  return {
    founders: random.pick([1, 2, 3, 3, 3, 4, 5, 5]),
    joiners: random.pick([0, 0, 1, 2]),
    lengthMs: ticks === undefined ? drawnMs : ticks * tickMs,
    troubles: chosen.filter(() => random.chance(profile === 'all' ? 0.4 : 0.7)),
    calmMax: random.pick([150, 600, 2_000]),
    weather: {
      dropChance: random.pick([0, 0, 0.02, 0.1, 0.3]),
      duplicateChance: random.pick([0, 0, 0.05, 0.3]),
      delayMax: random.pick([5, 30, 100]),
      spikeChance: random.pick([0, 0, 0.02, 0.1]),
      spikeMax: random.pick([300, 3_000, 7_000]),
      isOrdered: random.chance(0.5)
    },
    diskDelayMax: random.pick([3, 20, 100, 400]),
    askEvery: random.pick([20, 60, 300]),
    clockSkew: random.pick([1, 1.2, 2]),
    heartbeatMs: random.pick([100, 200, 300]),
    proposalsMax: random.pick([4, 1_000]),
    limits: {
      appendBytesMax: random.pick([1, 200, 100_000]),
      inflightMax: random.pick([1, 2, 16]),
      inflightBytesMax: random.pick([1, 300, 100_000]),
      uncommittedBytesMax: random.pick([200, 1_000_000]),
      cacheBytesMax: random.pick([0, 500, 1_000_000])
    },
    snapshots: {
      log: {
        entriesMax: random.pick([1, 5, 40, 1_000_000]),
        bytesMax: random.pick([500, 5_000, 1_000_000]),
        ageMsMax: random.pick([300, 3_000, 1_000_000])
      },
      transfer: {
        chunkBytes: random.pick([1, 60, 200, 100_000]),
        bytesPerSecond: random.pick([10_000, 100_000_000]),
        idleMs: random.pick([1_000, 5_000])
      }
    }
  }
}
