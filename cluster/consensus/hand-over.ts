/** Leadership is given to another voter before its holder stops, so that nobody has to miss it first. */
import type { Clock } from '../../src/clock.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { FollowerProgress, NodeId, RaftStatus, Refusal } from '../raft/types.ts'

export interface HandOverParts {
  readonly rpc: Pick<Rpc, 'isConnected'>
  readonly clock: Clock
  readonly log: Log
  readonly core: () => RaftStatus
  readonly transfer: (to: NodeId) => Refusal | null
}

/** Between two looks at how far it is. */
const lookMs = 5

/**
 * Tries one voter after the other, the one that has most of the log first.
 *
 * @returns whether this peer leads no more, and knows who does; `false` where there is nobody to take over, or on abort
 */
export async function handOver(
  { rpc, clock, log, core, transfer }: HandOverParts,
  { signal }: { readonly signal: AbortSignal }
): Promise<boolean> {
  const tried = new Set<NodeId>()
  while (!signal.aborted) {
    const status = core()
    if (status.role !== 'leader' && (status.leader !== null || tried.size === 0)) return true
    if (status.role === 'leader' && status.transferTo === null) {
      const successor = successorOf(status, id => !tried.has(id) && rpc.isConnected(id as PeerId))
      if (successor === undefined) return false
      tried.add(successor)
      log.info({ to: successor, refused: transfer(successor) }, 'handing leadership over')
    }
    await clock.sleep(lookMs, { signal }).catch(() => {})
  }
  return false
}

/**
 * Whether one was heard of is forgotten at every check of the quorum, so it only tells whom to prefer. One that needs the whole state comes last: it would
 * not have it before the leader gives up.
 */
function successorOf({ followers }: RaftStatus, mayBe: (id: NodeId) => boolean): NodeId | undefined {
  const rank = ({ state, isActive }: FollowerProgress) => Number(state !== 'snapshot') * 2 + Number(isActive)
  return followers.filter(({ id, isVoter }) => isVoter && mayBe(id)).toSorted((a, b) => rank(b) - rank(a) || b.match - a.match)[0]?.id
}
