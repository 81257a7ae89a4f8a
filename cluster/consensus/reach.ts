/** Which voters this peer reaches: what a client is told where there is no leader. */
import { ClusterError } from '../../src/errors.ts'
import type { Rpc } from '../net/rpc.ts'
import type { ClusterMember } from './consensus.ts'

export interface Reach {
  readonly voters: number
  /** With this peer itself. */
  readonly reached: number
  /** The others, by name where they have one. */
  readonly missing: readonly string[]
}

export function reachOf(members: readonly ClusterMember[], rpc: Pick<Rpc, 'self' | 'isConnected'>): Reach {
  const voters = members.filter(({ isVoter }) => isVoter)
  const missing = voters.filter(({ id }) => id !== rpc.self && !rpc.isConnected(id)).map(({ name, id }) => name || id)
  return { voters: voters.length, reached: voters.length - missing.length, missing }
}

export function noLeader({ voters, reached, missing }: Reach): ClusterError {
  const names = missing.length === 0 ? '' : `, not reached: ${missing.join(', ')}`
  return new ClusterError({ code: 'no_leader', voters, reached }, `no leader: ${reached} of ${voters} voters are reached${names}`)
}
