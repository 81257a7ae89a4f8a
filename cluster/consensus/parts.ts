/** What a driver is built of. */
import type { Clock } from '../../src/clock.ts'
import type { Log } from '../../src/log.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Spaces } from '../state/spaces.ts'
import type { Store } from '../state/store.ts'
import type { StateMachine } from './consensus.ts'
import type { CreateCore, Pace } from './core.ts'
import type { ProposalLimits } from './proposals.ts'
import type { SnapshotLimits } from './snapshots.ts'
import type { LogStorage } from './storage.ts'

export interface DriverParts {
  readonly store: Store
  readonly storage: LogStorage
  /** Of the same store. */
  readonly state: Spaces
  readonly rpc: Rpc
  readonly machine: StateMachine
  readonly clock: Clock
  readonly log: Log
  /** A whole number from 0 to `below` - 1. */
  readonly random: (below: number) => number
  /** 8 bytes as hexadecimal text, new at every start. */
  readonly origin: string
  /** The peer cannot go on: the store failed, or an invariant broke. Called once. */
  readonly onFatal: (error: unknown) => void
  readonly createCore?: CreateCore | undefined
}

export interface DriverSettings {
  readonly pace: Pace
  readonly proposals: ProposalLimits
  readonly snapshots: SnapshotLimits
}
