/**
 * Faults over HTTP. The body and the status are the Go system's; the header `X-Flotilla-Fault` (a trailer, when a stream fails late)
 * carries the fault itself as JSON, so that the typed client throws what the peer threw.
 */
import { tryCid, tryPeerId } from './codec.ts'
import type { Fault } from './errors.ts'
import type { Json } from './wire-fields.ts'

export const faultHeader = 'x-flotilla-fault'
/** Of an export: the index up to which everything is in it. */
export const indexHeader = 'x-flotilla-index'
/** Trailer of a stream that failed after its first line. An empty value means success; several values are all meant. */
export const streamErrorTrailer = 'x-stream-error'

/** More than this in a header is not worth the risk of a refused reply (undici takes 16 KiB of headers). */
const headerMax = 2_048

/** A header's value; the peers of a `pin_failed` are dropped where they are too many. */
export function faultToHeader(fault: Fault): string {
  const text = JSON.stringify(fault)
  return text.length <= headerMax ? text : JSON.stringify({ code: fault.code })
}

/** `undefined` for no header, and for what this version does not know. */
export function faultFromHeader(text: string): Fault | undefined {
  let from: Json
  try {
    from = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof from !== 'object' || from === null) return undefined
  const count = (key: string) => (typeof from[key] === 'number' ? from[key] : 0)
  // Written by a peer from the type `Fault`; the compiler holds every branch to that type again.
  const code = from.code as Fault['code']
  switch (code) {
    case 'not_pinned': {
      const cid = tryCid(String(from.cid))
      return cid && { code, cid }
    }
    case 'not_enough_peers':
      return { code, wanted: count('wanted'), available: count('available') }
    case 'no_leader':
      return { code, voters: count('voters'), reached: count('reached') }
    case 'overloaded':
      return { code, retryAfterMs: count('retryAfterMs') }
    case 'kubo_error':
      return { code, status: count('status'), kuboCode: count('kuboCode') }
    case 'pin_failed': {
      const peers = Array.isArray(from.peers) ? from.peers.map(peer => tryPeerId(String(peer))) : []
      return { code, peers: peers.filter(peer => peer !== undefined) }
    }
    case 'peer_unreachable':
      return { code, peer: tryPeerId(String(from.peer)) ?? null }
    case 'invalid':
    case 'refused':
    case 'outcome_unknown':
    case 'conflict':
    case 'not_ready':
    case 'kubo_unreachable':
    case 'wrong_cluster':
    case 'not_a_member':
    case 'unauthorized':
    case 'timeout':
    case 'cannot_start':
    case 'storage_failed':
      return { code }
    default:
      code satisfies never
      return undefined
  }
}

/** Any text as the value of a header: UTF-8 bytes, without the line breaks and control characters that a header cannot carry. */
export function toHeaderText(text: string): string {
  const oneLine = [...text].map(char => (char < ' ' || char === '\x7f' ? ' ' : char)).join('')
  return Buffer.from(oneLine.slice(0, headerMax), 'utf8').toString('latin1')
}

/** The inverse, for a client that reads headers as Latin-1. */
export function fromHeaderText(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8')
}
