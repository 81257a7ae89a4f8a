/** Configurations: effective as soon as they are appended, gone again when their entry is truncated; one change at a time. */
import { assert } from './assert.ts'
import { voters } from './quorum.ts'
import type { Configuration, NodeId, Restored } from './types.ts'

/** A configuration, and where it stands in the log; index 0 for the founding one. */
export interface Placed {
  readonly index: number
  readonly configuration: Configuration
}

export class Membership {
  readonly #history: Placed[]

  constructor(restored: Restored) {
    assert(restored.configurations.length > 0, 'a log begins with a configuration')
    this.#history = [...restored.configurations]
    this.commit(restored.hardState.commit)
  }

  /** The latest one that is known to be committed, and those behind it. */
  get history(): readonly Placed[] {
    return this.#history
  }

  get current(): Configuration {
    return this.#latest.configuration
  }

  /** Where the current configuration stands in the log. */
  get index(): number {
    return this.#latest.index
  }

  isVoter(id: NodeId): boolean {
    return this.current.members.some(member => member.id === id && member.isVoter)
  }

  /**
   * A voter may look for votes, and so may one whose vote was taken away by an entry that is not known to be committed: it may be the only one
   * that has the entry, and the others would refuse each other for ever (thesis, 4.2.2). Its own vote does not count.
   */
  mayCampaign(id: NodeId): boolean {
    return this.#history.some(({ configuration }) => configuration.members.some(member => member.id === id && member.isVoter))
  }

  append(index: number, configuration: Configuration): void {
    assert(index > this.index, 'configurations are appended in order')
    this.#history.push({ index, configuration: sorted(configuration) })
  }

  truncateFrom(index: number): void {
    while (this.#history.length > 1 && this.index >= index) this.#history.pop()
  }

  /** Goes on from the state as of `index`, in which `placed` was the configuration. */
  restore(placed: Placed, { index, isContinued }: { readonly index: number; readonly isContinued: boolean }): void {
    const later = isContinued ? this.#history.filter(known => known.index > index) : []
    this.#history.splice(0, this.#history.length, { ...placed, configuration: sorted(placed.configuration) }, ...later)
  }

  /** Forgets configurations that can no longer come back. */
  commit(index: number): void {
    while (this.#history.length > 1 && (this.#history[1]?.index ?? Number.POSITIVE_INFINITY) <= index) this.#history.shift()
  }

  get #latest() {
    const latest = this.#history.at(-1)
    assert(latest !== undefined, 'there is always a configuration')
    return latest
  }
}

/** Members in the order of ids, so that every peer iterates alike. */
export function sorted({ members }: Configuration): Configuration {
  return { members: members.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }
}

/** Whether two configurations differ in the vote of one node at most, so that their majorities overlap (Raft thesis, 4.1). */
export function overlaps(before: Configuration, after: Configuration): boolean {
  const old = voters(before)
  const next = voters(after)
  const changed = old.filter(id => !next.includes(id)).length + next.filter(id => !old.includes(id)).length
  return changed <= 1
}
