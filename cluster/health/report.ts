/** What a peer tells the others of itself, every few seconds and soon after something changed. */
import { decode, encode } from 'cborg'
import { z } from 'zod'

const shape = z.object({
  name: z.string(),
  version: z.string(),
  ipfsId: z.string().nullable(),
  ipfsAddresses: z.array(z.string()),
  /** Bytes its Kubo may still take; `null` while Kubo does not say. */
  freeBytes: z.number().nullable(),
  /** Empty while its Kubo answers. */
  kuboError: z.string(),
  counts: z.object({ queued: z.number(), pinning: z.number(), failed: z.number(), unpinning: z.number(), pinned: z.number() }),
  /** Log index it has applied. */
  applied: z.number(),
  /** Of its state at that index; empty from a version that does not say. */
  stateHash: z.string().default('')
})

export type Report = z.infer<typeof shape>

export function encodeReport(report: Report): Uint8Array {
  return encode(report)
}

/** @throws Error for bytes that are no report */
export function decodeReport(payload: Uint8Array): Report {
  return shape.parse(decode(payload))
}
