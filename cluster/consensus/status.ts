/** The status of the core in the words of consensus. */
import type { PeerId } from '../../src/types.ts'
import type { RaftStatus } from '../raft/types.ts'
import type { ClusterMember, ConsensusStatus } from './consensus.ts'

export interface Surroundings {
  readonly self: PeerId
  readonly applied: number
  readonly members: readonly ClusterMember[]
  readonly removedAt: number | null
}

/** @param core `undefined` before the start: there is no cluster to speak of */
export function statusOf(
  core: RaftStatus | undefined,
  { self, applied, members, removedAt }: Surroundings
): Omit<ConsensusStatus, 'clusterId' | 'isReady'> {
  if (core === undefined)
    return { role: 'learner', term: 0, leader: null, commit: 0, applied: 0, members: [], behind: new Map(), removedAt }
  const { role, term, leader, commit, followers } = core
  const isVoter = members.some(({ id, isVoter }) => id === self && isVoter)
  return {
    role: role === 'pre_candidate' ? 'candidate' : role === 'follower' && !isVoter ? 'learner' : role,
    term,
    leader: leader as PeerId | null,
    commit,
    applied,
    members,
    removedAt,
    behind: new Map(followers.map(({ id, match }) => [id as PeerId, Math.max(0, commit - match)]))
  }
}
