/**
 * Gives the waiting proposals of this peer to whoever leads: into the own log, or in one call to the peer that leads, with everything that
 * waits by then. The other side of that call is here too.
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import type { Clock } from '../../src/clock.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { deadline } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Refusal } from '../raft/types.ts'
import type { Proposals, Unsent } from './proposals.ts'
import { requireStamp } from './sessions.ts'

/** How many of the proposals a leader took, from the first on, and why not the others. */
export interface Acceptance {
  readonly accepted: number
  readonly refused: Refusal | null
}

export interface DeliveryParts {
  readonly proposals: Proposals
  readonly rpc: Pick<Rpc, 'self' | 'call' | 'handle'>
  readonly clock: Clock
  readonly log: Log
  /** Appends proposals of `from` to the log of this peer, if it leads. */
  readonly accept: (proposals: readonly Uint8Array[], from: PeerId) => Acceptance
  /** There may be something to deliver again. */
  readonly wake: () => void
}

const method = 'consensus/propose'
/** Of one call. */
const forwarded = { countMax: 1_024, bytesMax: 1 << 20 } as const
const everything = { countMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY } as const
const callMs = 3_000
/** Before a leader that refused, or that cannot be reached, is asked again. */
const pauseMs = 20

const list = z.array(z.custom<Uint8Array>(value => value instanceof Uint8Array)).max(forwarded.countMax)
const answer = z.tuple([z.int().nonnegative(), z.string().nullable()])

export class Delivery {
  readonly #parts: DeliveryParts
  /** Aborted when another leader or term comes: what is under way to the old one is not waited for. */
  #reign = new AbortController()
  #isForwarding = false

  constructor(parts: DeliveryParts) {
    this.#parts = parts
  }

  serve(): void {
    this.#parts.rpc.handle(method, async (from, payload) => {
      const proposals = parsed(payload)
      const { accepted, refused } = this.#parts.accept(proposals, from)
      return encode([accepted, refused])
    })
  }

  /** Another leader, another term, or none. */
  newReign(): void {
    this.#reign.abort(new Error('the leader changed'))
    this.#reign = new AbortController()
    this.#parts.proposals.resendAll()
  }

  deliver(leader: PeerId): void {
    const { proposals, rpc } = this.#parts
    if (!proposals.hasUnsent) return
    if (leader === rpc.self) {
      const unsent = proposals.takeUnsent(everything)
      const handing = proposals.handed(unsent)
      const { accepted } = this.#parts.accept(
        unsent.map(({ data }) => data),
        leader
      )
      if (accepted < unsent.length) proposals.refused(handing, unsent.slice(accepted))
    } else if (!this.#isForwarding) {
      const unsent = proposals.takeUnsent(forwarded)
      if (unsent.length > 0) void this.#forward(leader, unsent)
    }
  }

  /** Never rejects. One call at a time: what is proposed meanwhile leaves with the next. */
  async #forward(leader: PeerId, unsent: readonly Unsent[]): Promise<void> {
    const { proposals, log, wake } = this.#parts
    const { signal } = this.#reign
    this.#isForwarding = true
    const handing = proposals.handed(unsent)
    try {
      const { accepted, refused } = await this.#call(leader, unsent, signal)
      if (accepted < unsent.length) {
        log.debug({ leader, accepted, refused }, 'proposals refused by the leader')
        proposals.refused(handing, unsent.slice(accepted))
        await this.#pause(signal)
      }
    } catch (error) {
      // They may have arrived all the same: the sessions make giving them again harmless.
      log.debug({ leader, reason: messageOf(error) }, 'proposals not forwarded')
      await this.#pause(signal)
      proposals.giveBack(unsent)
    } finally {
      this.#isForwarding = false
      wake()
    }
  }

  async #call(leader: PeerId, unsent: readonly Unsent[], signal: AbortSignal): Promise<Acceptance> {
    const payload = encode(unsent.map(({ data }) => data))
    const reply = await this.#parts.rpc.call(leader, method, payload, { signal: deadline(callMs, signal) })
    const [accepted, refused] = answer.parse(decode(reply))
    return { accepted, refused: refused as Refusal | null }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    try {
      await this.#parts.clock.sleep(pauseMs, { signal })
    } catch {
      // Another leader came: at once, then.
    }
  }
}

/** What is appended is applied by every peer, and one that cannot read it stops: bytes without a stamp must not get that far. */
function parsed(payload: Uint8Array): readonly Uint8Array[] {
  try {
    const proposals = list.parse(decode(payload))
    for (const proposal of proposals) requireStamp(proposal)
    return proposals
  } catch (error) {
    throw new ClusterError({ code: 'invalid' }, `not a list of proposals: ${messageOf(error)}`, { cause: error })
  }
}
