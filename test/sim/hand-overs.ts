/** What a leader that hands over may do: nothing new, not for long, and only in the leadership in which it was asked to. */
import type { Message, RaftStatus } from '../../cluster/raft/types.ts'
import { electionMs, tickMs } from './plan.ts'
import type { Watched } from './seen.ts'
import { check } from './violation.ts'

interface Begun {
  readonly term: number
  readonly lastIndex: number
  ticks: number
}

export class HandOvers {
  /** By the life of a peer. */
  readonly #begun = new Map<string, Begun>()

  began(peer: Watched): void {
    const { term, lastIndex } = peer.core.status()
    this.#begun.set(lifeOf(peer), { term, lastIndex, ticks: 0 })
  }

  observe(peer: Watched, { term, lastIndex, transferTo }: RaftStatus): void {
    if (transferTo === null) return
    const begun = this.#begun.get(lifeOf(peer))
    check(begun?.term === term, 'hand-over', `${peer.name} hands over in term ${term}, it was asked to in ${begun?.term}`)
    check(begun.lastIndex === lastIndex, 'hand-over', `${peer.name} hands over, and its log grows to ${lastIndex}`)
  }

  ticked(peer: Watched): void {
    const begun = this.#begun.get(lifeOf(peer))
    if (begun === undefined || peer.core.status().transferTo === null) return
    check(++begun.ticks < electionMs / tickMs, 'hand-over', `${peer.name} takes nothing for longer than an election timeout`)
  }

  /** The successor is asked to stand. */
  sent(
    { name }: Watched,
    { index, term }: Extract<Message, { type: 'timeout_now' }>,
    successor: { readonly term: number; readonly hasEntry: boolean }
  ): void {
    // It may have lost its life since it said that it has the entry, never its log; and by then somebody else may lead.
    check(successor.term > term || successor.hasEntry, 'hand-over', `${name} hands over to a peer without entry ${index}`)
  }
}

function lifeOf({ id, life }: Watched): string {
  return `${id}/${life}`
}
