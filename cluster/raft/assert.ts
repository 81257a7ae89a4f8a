/** A broken invariant stops the peer: going on could lose what was acknowledged. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Error(`raft invariant broken: ${invariant}`)
}
