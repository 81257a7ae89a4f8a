/**
 * Whom this peer listens to: the members of every configuration that may still be the valid one, and those that others spoke of. A peer whose log is
 * behind may not know its leader yet, and one that would not listen to it would stay behind for ever.
 */
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Placed } from '../raft/membership.ts'
import type { Configuration } from '../raft/types.ts'
import type { ClusterMember } from './consensus.ts'
import { fromConfiguration } from './members.ts'

/** Members known by hearsay, at most. */
const guestsMax = 64

export class ServedMembers {
  readonly #rpc: Pick<Rpc, 'self' | 'setMembers'>
  /** Known by hearsay, until the log says who the members are. */
  readonly #guests = new Map<PeerId, ClusterMember>()
  #settled: Configuration | undefined

  constructor(rpc: Pick<Rpc, 'self' | 'setMembers'>) {
    this.#rpc = rpc
  }

  /** The members when this folder was made. */
  welcome(present: Configuration): void {
    for (const member of fromConfiguration(present)) this.#guests.set(member.id, member)
  }

  /** @param configurations the latest one that is known to be committed, and those behind it */
  follow(configurations: readonly Placed[]): void {
    const settled = configurations[0]?.configuration
    if (settled !== this.#settled && settled?.members.some(({ id }) => id === this.#rpc.self)) this.#guests.clear()
    this.#settled = settled
    this.#serve(configurations)
  }

  /** A peer of this cluster says who its members are. Of what was committed before what this peer knows, nothing is believed. */
  introduced({ index, configuration }: Placed, configurations: readonly Placed[]): void {
    if (index < (configurations[0]?.index ?? 0)) return
    const known = new Set(configurations.flatMap(({ configuration }) => configuration.members.map(({ id }) => id)))
    const guests = fromConfiguration(configuration).filter(({ id }) => !known.has(id) && id !== this.#rpc.self)
    if (guests.length === 0) return
    if (this.#guests.size + guests.length > guestsMax) this.#guests.clear()
    for (const guest of guests.slice(0, guestsMax)) this.#guests.set(guest.id, guest)
    this.#serve(configurations)
  }

  #serve(configurations: readonly Placed[]): void {
    const served = new Map(this.#guests)
    for (const { configuration } of configurations) for (const member of fromConfiguration(configuration)) served.set(member.id, member)
    served.delete(this.#rpc.self)
    this.#rpc.setMembers([...served.values()])
  }
}
