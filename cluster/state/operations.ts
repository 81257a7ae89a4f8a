/**
 * What the log carries, as far as the state is concerned, and what applying it answers. Each operation names the version of the pin it was
 * based on: where the pin was changed meanwhile, it does nothing and says so, and the proposer decides anew on what it finds (an allocation
 * is computed before the log, and two clients may pin one CID at once).
 */
import { decode, encode } from 'cborg'
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { Cid, Pin } from '../../src/types.ts'
import { decodePin, encodePin } from './record.ts'

export type PinOperation =
  /** `pin.version` is ignored: the index of the entry becomes the version. */
  | { readonly type: 'pin'; readonly pin: Pin; readonly basedOn: number }
  | { readonly type: 'unpin'; readonly cid: Cid; readonly basedOn: number }

/** `done`: applied, and the pin's version is the entry's index. `conflict`: the pin is not at `basedOn`; `version` is what it is at. */
export type OperationResult = { readonly status: 'done' } | { readonly status: 'conflict'; readonly version: number }

export function encodeOperation(op: PinOperation): Uint8Array {
  return encode(op.type === 'pin' ? [1, cidBytes(op.pin.cid), encodePin(op.pin), op.basedOn] : [2, cidBytes(op.cid), op.basedOn])
}

/** @throws Error for an operation this version does not know: it is never skipped, for then the peers would differ */
export function decodeOperation(data: Uint8Array): PinOperation {
  const fields: unknown = decode(data)
  if (Array.isArray(fields)) {
    const [type, cid, ...rest] = fields as readonly unknown[]
    const basedOn = rest.at(-1)
    if (cid instanceof Uint8Array && Number.isSafeInteger(basedOn)) {
      const known = cidFromBytes(cid)
      if (type === 2 && rest.length === 1) return { type: 'unpin', cid: known, basedOn: basedOn as number }
      if (type === 1 && rest.length === 2 && rest[0] instanceof Uint8Array)
        return { type: 'pin', pin: decodePin(known, rest[0]), basedOn: basedOn as number }
    }
  }
  throw new Error('the log has an operation that this version does not know: upgrade this peer')
}

export function encodeResult(outcome: OperationResult): Uint8Array {
  return encode(outcome.status === 'done' ? [0] : [1, outcome.version])
}

export function decodeResult(data: Uint8Array): OperationResult {
  const [code, version] = decode(data) as readonly unknown[]
  if (code === 0) return { status: 'done' }
  if (code === 1 && Number.isSafeInteger(version)) return { status: 'conflict', version: version as number }
  throw new Error('a result that this version does not know')
}
