/**
 * Whether this peer is a member no more. Nobody sends the entry that removes a peer to that peer, so it asks those who are left when it misses
 * its leader (`introductions.ts`), and stands by: it looks for no votes, takes nothing, and keeps its data. Where it is added again, its log says so.
 */
import { ClusterError } from '../../src/errors.ts'
import type { Placed } from '../raft/membership.ts'
import type { NodeId } from '../raft/types.ts'

export class Removal {
  readonly #self: NodeId
  /** A newcomer's log begins without it, and that is no removal. */
  #wasMember = false
  #latest: Placed | undefined
  /** By its own log. */
  #logged: number | null = null
  /** By the word of others. */
  #heard: number | null = null

  constructor(self: NodeId) {
    this.#self = self
  }

  /** Told where the log may be cut so short that it does not say so any more. */
  wasMember(): void {
    this.#wasMember = true
  }

  /** The entry that removed it; `null` for a member, and for one that is not a member yet. */
  get at(): number | null {
    return this.#logged ?? this.#heard
  }

  /** @param configurations of the own log: the latest one that is known to be committed, and those behind it */
  follow(configurations: readonly Placed[]): void {
    const [settled] = configurations
    this.#latest = configurations.at(-1)
    const isMember = configurations.some(placed => this.#isIn(placed))
    this.#wasMember ||= isMember
    this.#logged = !isMember && this.#wasMember && settled !== undefined ? settled.index : null
    if ((this.#latest?.index ?? 0) >= (this.#heard ?? 0)) this.#heard = null
  }

  /** A peer of this cluster says what the members are; committed, so it is true, but it may be long ago. @returns whether it changes anything */
  introduced(placed: Placed): boolean {
    if (placed.index <= Math.max(this.#latest?.index ?? 0, this.#heard ?? 0)) return false
    const before = this.#heard
    if (this.#isIn(placed)) this.#heard = null
    else if (this.#wasMember) this.#heard = placed.index
    return this.#heard !== before
  }

  #isIn({ configuration }: Placed): boolean {
    return configuration.members.some(({ id }) => id === this.#self)
  }
}

export function removedError(at: number): ClusterError {
  return new ClusterError({ code: 'not_ready' }, `this peer was removed from the cluster by entry ${at} and stands by: ask another one`)
}
