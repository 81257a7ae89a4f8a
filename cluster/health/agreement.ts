/**
 * Whether the peers hold the same state: a peer says the hash of its own as of an index, and whoever has applied that much compares. Peers that have
 * applied the same entries and differ are a fault of ours or of a disk, which nobody else would notice before pins are missing.
 */
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Report } from './report.ts'

export interface AgreementParts {
  /** Log index this peer has applied. */
  readonly applied: () => number
  /** Of this peer's state as it was at that index; `undefined` for what is too long ago. */
  readonly hashAt: (index: number) => string | undefined
  readonly log: Log
}

export class Agreement {
  readonly #parts: AgreementParts
  /** Where they were last seen to differ. */
  readonly #differing = new Map<PeerId, number>()

  constructor(parts: AgreementParts) {
    this.#parts = parts
  }

  /** What cannot be compared changes nothing: the peer that is ahead does it, or the next report. */
  hear(peer: PeerId, { applied, stateHash }: Pick<Report, 'applied' | 'stateHash'>): void {
    if (stateHash === '' || applied > this.#parts.applied()) return
    const own = this.#parts.hashAt(applied)
    if (own === undefined || layoutOf(own) !== layoutOf(stateHash)) return
    if (own === stateHash) {
      this.#differing.delete(peer)
      return
    }
    if (!this.#differing.has(peer)) this.#parts.log.error({ peer, index: applied, own, other: stateHash }, 'state differs')
    this.#differing.set(peer, applied)
  }

  /** The index at which the peer was last seen to hold another state than this one; `undefined` where it holds the same, as far as is known. */
  differs(peer: PeerId): number | undefined {
    return this.#differing.get(peer)
  }
}

function layoutOf(hash: string): string {
  return hash.slice(0, hash.indexOf(':'))
}
