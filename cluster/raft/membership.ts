/** Configurations: effective as soon as they are appended, gone again when their entry is truncated; one change at a time. */
import { assert } from './assert.ts'
import { voters } from './quorum.ts'
import type { Configuration, NodeId, Restored } from './types.ts'

export class Membership {
  readonly #history: { readonly index: number; readonly configuration: Configuration }[]

  constructor(restored: Restored) {
    assert(restored.configurations.length > 0, 'a log begins with a configuration')
    this.#history = [...restored.configurations]
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
   * Whether the node should look for votes: it has one, or the change that takes it away is not committed yet. In the latter case nobody else may be
   * able to win: the others may lack that very entry (Raft thesis, 4.2.2).
   */
  mayLead(id: NodeId): boolean {
    return this.#history.some(({ configuration: { members } }) => members.some(member => member.id === id && member.isVoter))
  }

  append(index: number, configuration: Configuration): void {
    assert(index > this.index, 'configurations are appended in order')
    this.#history.push({ index, configuration: sorted(configuration) })
  }

  truncateFrom(index: number): void {
    while (this.#history.length > 1 && this.index >= index) this.#history.pop()
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
