/** The members as this peer's log says them, and what follows from it: whom it listens to, whether it is a member itself, and whom it reaches. */
import type { Rpc } from '../net/rpc.ts'
import type { Placed } from '../raft/membership.ts'
import type { Configuration } from '../raft/types.ts'
import type { ClusterMember } from './consensus.ts'
import { fromConfiguration } from './members.ts'
import { Reach } from './reach.ts'
import { Removal } from './removal.ts'
import { ServedMembers } from './served-members.ts'

export class KnownMembers {
  readonly reach: Reach
  readonly #served: ServedMembers
  readonly #removal: Removal
  readonly #onChange: () => void
  #followed: Configuration | undefined
  #settled: Configuration | undefined
  #members: readonly ClusterMember[] = []

  /** @param onChange called when they are other ones */
  constructor(rpc: Pick<Rpc, 'self' | 'isConnected' | 'setMembers'>, onChange: () => void) {
    this.#onChange = onChange
    this.reach = new Reach(rpc, () => this.#members)
    this.#served = new ServedMembers(rpc)
    this.#removal = new Removal(rpc.self)
  }

  /** By the latest configuration, be it committed or not. */
  get all(): readonly ClusterMember[] {
    return this.#members
  }

  get hasOneVoter(): boolean {
    return this.#members.filter(({ isVoter }) => isVoter).length === 1
  }

  /** The entry that removed this peer; `null` for a member, and for one that is not a member yet. */
  get removedAt(): number | null {
    return this.#removal.at
  }

  /** @param options.present the members when the folder was made @param options.wasMember it has been one, whatever is left of the log */
  begin({ present, wasMember }: { readonly present: Configuration; readonly wasMember: boolean }): void {
    this.#served.welcome(present)
    if (wasMember) this.#removal.wasMember()
  }

  /** @param configurations of the own log: the latest one that is known to be committed, and those behind it */
  follow(configurations: readonly Placed[]): void {
    const latest = configurations.at(-1)?.configuration
    const settled = configurations[0]?.configuration
    if (latest === undefined || (latest === this.#followed && settled === this.#settled)) return
    this.#followed = latest
    this.#settled = settled
    this.#members = fromConfiguration(latest)
    this.#served.follow(configurations)
    this.#removal.follow(configurations)
    this.#onChange()
  }

  /** A peer of this cluster says who its members are. @returns whether this peer's own place among them is another one by that */
  introduced(placed: Placed, configurations: readonly Placed[]): boolean {
    this.#served.introduced(placed, configurations)
    return this.#removal.introduced(placed)
  }
}
