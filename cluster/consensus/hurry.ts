/**
 * The connection to the leader broke: votes are looked for before the election timeout is over. Not by all at once; and if the leader is alive, it is
 * heard again, or the others refuse. Repeated, for the others may notice the loss later than this peer.
 */
import type { Clock } from '../../src/clock.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { RaftCore } from '../raft/types.ts'

/** Longest wait before the votes are asked for, and again. */
const hurryMs = 100

export interface HurryParts {
  readonly rpc: Pick<Rpc, 'isConnected'>
  readonly clock: Clock
  readonly random: (below: number) => number
  readonly core: () => Pick<RaftCore, 'leader' | 'role' | 'term'>
  readonly campaign: () => void
}

/** Never rejects. @param options.forMs by then the election timeout does it */
export async function hurry(
  { rpc, clock, random, core, campaign }: HurryParts,
  lost: PeerId,
  { forMs, signal }: { readonly forMs: number; readonly signal: AbortSignal }
): Promise<void> {
  let candidacy = 0
  for (let leftMs = forMs; leftMs > 0; ) {
    const waitMs = 10 + random(hurryMs)
    leftMs -= waitMs
    await clock.sleep(waitMs, { signal }).catch(() => {})
    if (signal.aborted) return
    const { leader, role, term } = core()
    if (leader !== null || rpc.isConnected(lost)) return
    // A candidate of this very moment gets time for its votes.
    if (role !== 'candidate' || candidacy === term) campaign()
    candidacy = role === 'candidate' ? term : 0
  }
}
