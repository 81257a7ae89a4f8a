/**
 * Operating faults: one class, told apart by data. A door turns codes into statuses in one table; nobody matches on message text.
 * A broken invariant is not a fault but an `assert`, and stops the peer.
 */
import type { Cid, PeerId } from './types.ts'

export type Fault =
  /** Input that cannot be understood; the message says what was expected. */
  | { readonly code: 'invalid' }
  /** The call is understood but the present state forbids it. */
  | { readonly code: 'refused' }
  | { readonly code: 'not_pinned'; readonly cid: Cid }
  | { readonly code: 'not_enough_peers'; readonly wanted: number; readonly available: number }
  /** Nothing was proposed: no leader is known. */
  | { readonly code: 'no_leader'; readonly voters: number; readonly reached: number }
  /** A proposal may or may not be committed. Safe to ask again. */
  | { readonly code: 'outcome_unknown' }
  /** Somebody else changed the pin meanwhile, more often than we retry. */
  | { readonly code: 'conflict' }
  /** A bounded queue is full. */
  | { readonly code: 'overloaded'; readonly retryAfterMs: number }
  /** This peer has no state yet: joining, or catching up for the first time. */
  | { readonly code: 'not_ready' }
  /** Kubo does not answer. */
  | { readonly code: 'kubo_unreachable' }
  /** Kubo answered with an error; the message is Kubo's own. */
  | { readonly code: 'kubo_error'; readonly status: number; readonly kuboCode: number }
  /** Too few peers could pin; the message is that of the first one that failed. */
  | { readonly code: 'pin_failed'; readonly peers: readonly PeerId[] }
  | { readonly code: 'peer_unreachable'; readonly peer: PeerId | null }
  | { readonly code: 'wrong_cluster' }
  | { readonly code: 'not_a_member' }
  | { readonly code: 'unauthorized' }
  | { readonly code: 'timeout' }
  /** The configuration, the folder, a port or the disk does not allow the peer to run. */
  | { readonly code: 'cannot_start' }
  | { readonly code: 'storage_failed' }

export type FaultCode = Fault['code']

export class ClusterError extends Error {
  override readonly name = 'ClusterError'
  readonly fault: Fault

  constructor(fault: Fault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }

  /** Without a stack: for an answer as ordinary as any other, where to find out where it comes from would cost more than the rest of the call. */
  static traceless(fault: Fault, message: string): ClusterError {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    try {
      return new ClusterError(fault, message)
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
  }

  get code(): FaultCode {
    return this.fault.code
  }
}

export function isFault<C extends FaultCode>(error: unknown, code: C): error is ClusterError & { fault: Extract<Fault, { code: C }> } {
  return error instanceof ClusterError && error.code === code
}

/** A sentence for people, whatever was thrown. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // undici and fetch say "fetch failed" and keep the reason in `cause`; several addresses tried are an AggregateError without a message.
  if (error instanceof AggregateError && error.message === '') return messageOf(error.errors[0])
  if (error.message === 'fetch failed' && error.cause !== undefined) return messageOf(error.cause)
  return error.message === '' ? error.name : error.message
}

/** For the `default` of a switch over a closed set: a new member does not compile until it has a case. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`)
}
