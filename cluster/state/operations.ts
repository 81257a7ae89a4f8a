/**
 * What the log carries, as far as the state is concerned, and what applying it answers. Each operation names the version of the pin it was
 * based on: where the pin was changed meanwhile, it does nothing and says so, and the proposer decides anew on what it finds (an allocation
 * is computed before the log, and two clients may pin one CID at once).
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { Cid, Pin } from '../../src/types.ts'
import { decodePin, encodePin } from './record.ts'

export type PinOperation =
  /** `pin.version` is ignored: the index of the entry becomes the version. */
  | { readonly type: 'pin'; readonly pin: Pin; readonly basedOn: number }
  | { readonly type: 'unpin'; readonly cid: Cid; readonly basedOn: number }

/** `done`: applied, and the pin's version is the entry's index. `conflict`: the pin is not at `basedOn`; `version` is what it is at. */
export type OperationResult = { readonly status: 'done' } | { readonly status: 'conflict'; readonly version: number }

const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const operation = z.union([z.tuple([z.literal(1), bytes, bytes, z.number().int()]), z.tuple([z.literal(2), bytes, z.number().int()])])
const result = z.union([z.tuple([z.literal(0)]), z.tuple([z.literal(1), z.number().int()])])

export function encodeOperation(op: PinOperation): Uint8Array {
  const fields: z.input<typeof operation> =
    op.type === 'pin' ? [1, cidBytes(op.pin.cid), encodePin(op.pin), op.basedOn] : [2, cidBytes(op.cid), op.basedOn]
  return encode(fields)
}

/** @throws Error for an operation this version does not know: it is never skipped, for then the peers would differ */
export function decodeOperation(data: Uint8Array): PinOperation {
  const fields = operation.safeParse(decode(data))
  if (!fields.success) throw new Error('the log has an operation that this version does not know: upgrade this peer')
  if (fields.data[0] === 2) return { type: 'unpin', cid: cidFromBytes(fields.data[1]), basedOn: fields.data[2] }
  const cid = cidFromBytes(fields.data[1])
  return { type: 'pin', pin: decodePin(cid, fields.data[2]), basedOn: fields.data[3] }
}

export function encodeResult(outcome: OperationResult): Uint8Array {
  return encode(outcome.status === 'done' ? [0] : [1, outcome.version])
}

export function decodeResult(data: Uint8Array): OperationResult {
  const fields = result.parse(decode(data))
  return fields[0] === 0 ? { status: 'done' } : { status: 'conflict', version: fields[1] }
}
