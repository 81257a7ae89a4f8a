/** Which of the voters this peer reaches: whether it can hope for a majority, and what to tell clients where it cannot. */
import { ClusterError } from '../../src/errors.ts'
import type { Rpc } from '../net/rpc.ts'
import { majority } from '../raft/quorum.ts'
import type { NodeId } from '../raft/types.ts'
import type { ClusterMember } from './consensus.ts'

/**
 * Nobody waits longer than this at a peer that is cut off. As long as it takes to notice a silent link: who asks in the moment of the cut, and who asks
 * in the middle of it, are told after about the same time; a link that is back at once does not make errors.
 */
const cutOffMs = 1_500

export class Reach {
  readonly #rpc: Pick<Rpc, 'self' | 'isConnected'>
  readonly #members: () => readonly ClusterMember[]
  #cutOffSinceMs: number | null = null

  constructor(rpc: Pick<Rpc, 'self' | 'isConnected'>, members: () => readonly ClusterMember[]) {
    this.#rpc = rpc
    this.#members = members
  }

  /** How long a proposal may wait now. Somebody else who leads may reach the majority that this peer does not. */
  patienceMs(leader: NodeId | null, timeoutMs: number): number {
    const isLed = leader !== null && leader !== this.#rpc.self
    if (isLed) return timeoutMs
    return this.#hasMajority() ? timeoutMs : Math.min(cutOffMs, timeoutMs)
  }

  /** For so long already that nobody should wait any more. To be asked every now and then. */
  isCutOff(nowMs: number): boolean {
    if (this.#hasMajority()) this.#cutOffSinceMs = null
    else this.#cutOffSinceMs ??= nowMs
    return this.#cutOffSinceMs !== null && nowMs - this.#cutOffSinceMs >= cutOffMs
  }

  noLeader(): ClusterError {
    const voters = this.#voters()
    const missing = this.#missing(voters).map(({ name, id }) => name || id)
    const reached = voters.length - missing.length
    const names = missing.length === 0 ? '' : `, not reached: ${missing.join(', ')}`
    const message = `no leader: ${reached} of ${voters.length} voters are reached${names}`
    return new ClusterError({ code: 'no_leader', voters: voters.length, reached }, message)
  }

  #hasMajority(): boolean {
    const voters = this.#voters()
    return voters.length - this.#missing(voters).length >= majority(voters.length)
  }

  #voters(): readonly ClusterMember[] {
    return this.#members().filter(({ isVoter }) => isVoter)
  }

  #missing(voters: readonly ClusterMember[]): readonly ClusterMember[] {
    return voters.filter(({ id }) => id !== this.#rpc.self && !this.#rpc.isConnected(id))
  }
}
