/**
 * What is known of the other peers. Who is a member is consensus' to say; here is when each was last heard of and what it said. A peer that fell
 * silent keeps its last word, marked by its age: allocation must not stop because a metric did not arrive.
 */
import type { Clock } from '../../src/clock.ts'
import type { PeerId } from '../../src/types.ts'
import type { Report } from './report.ts'

export interface Known {
  readonly report: Report
  /** Milliseconds since it arrived. */
  readonly ageMs: number
}

export class Monitor {
  readonly #clock: Clock
  readonly #heard = new Map<PeerId, { readonly report: Report; readonly atMs: number }>()

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  hear(peer: PeerId, report: Report): void {
    this.#heard.set(peer, { report, atMs: this.#clock.monotonicMs() })
  }

  /** Its last word, however old. */
  of(peer: PeerId): Known | undefined {
    const heard = this.#heard.get(peer)
    return heard && { report: heard.report, ageMs: this.#clock.monotonicMs() - heard.atMs }
  }

  /** Forgets peers that are not members any more. */
  keep(members: ReadonlySet<PeerId>): void {
    for (const peer of this.#heard.keys()) if (!members.has(peer)) this.#heard.delete(peer)
  }
}
