/**
 * The one table from faults to HTTP statuses. Where the Go system knows a status (400, 401, 404) it is the same; where it has only a bare
 * 500, the status tells a client whether to mend the request (409), ask again (429, 503, 504) or look at Kubo (502).
 */
import { type Fault, unreachable } from '../../src/errors.ts'

export function statusOf(fault: Fault): number {
  switch (fault.code) {
    case 'invalid':
      return 400
    case 'unauthorized':
      return 401
    case 'not_pinned':
      return 404
    case 'refused':
    case 'conflict':
    case 'not_enough_peers':
    case 'wrong_cluster':
    case 'not_a_member':
      return 409
    case 'overloaded':
      return 429
    case 'kubo_unreachable':
    case 'kubo_error':
    case 'pin_failed':
    case 'peer_unreachable':
      return 502
    case 'no_leader':
    case 'not_ready':
      return 503
    case 'outcome_unknown':
    case 'timeout':
      return 504
    case 'cannot_start':
    case 'storage_failed':
      return 500
    default:
      return unreachable(fault)
  }
}
