/**
 * What the log carries, as far as the state is concerned, and what applying it answers. Each operation names the version of the pin it was
 * based on: where the pin was changed meanwhile, it does nothing and says so, and the proposer decides anew on what it finds (an allocation
 * is computed before the log, and two clients may pin one CID at once).
 */
import { decode, encode } from 'cborg'
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { Cid, Pin } from '../../src/types.ts'
import { decodePin, encodePin, type PinRecord } from './record.ts'

/** What a bulk change does with a pin that is there already, and differs. */
export type Existing = 'replace' | 'keep'

export type PinOperation =
  /** `pin.version` is ignored: the index of the entry becomes the version. */
  | { readonly type: 'pin'; readonly pin: Pin; readonly basedOn: number }
  | { readonly type: 'unpin'; readonly cid: Cid; readonly basedOn: number }
  /**
   * Many pins in one entry, whatever they are at: a pin that is there as it is asked for is not touched, so that the same pins can be given again.
   */
  | { readonly type: 'merge'; readonly records: readonly PinRecord[]; readonly existing: Existing }
  | { readonly type: 'note'; readonly note: Note }

/** What an operator did to the cluster past its rules, kept with the state for those who ask later. */
export interface Note {
  /** Unix milliseconds. */
  readonly at: number
  readonly text: string
}

export interface Merged {
  readonly added: number
  readonly replaced: number
  /** There already: the same, or kept. */
  readonly unchanged: number
}

/** `done`: applied, and the pin's version is the entry's index. `conflict`: the pin is not at `basedOn`; `version` is what it is at. */
export type OperationResult =
  | { readonly status: 'done' }
  | { readonly status: 'conflict'; readonly version: number }
  | ({ readonly status: 'merged' } & Merged)

export function encodeOperation(op: PinOperation): Uint8Array {
  switch (op.type) {
    case 'pin':
      return encode([1, cidBytes(op.pin.cid), encodePin(op.pin), op.basedOn])
    case 'unpin':
      return encode([2, cidBytes(op.cid), op.basedOn])
    case 'merge':
      return encode([3, op.records.flatMap(({ cid, bytes }) => [cid, bytes]), op.existing === 'keep' ? 1 : 0])
    case 'note':
      return encode([4, op.note.at, op.note.text])
  }
}

/** @throws Error for an operation this version does not know: it is never skipped, for then the peers would differ */
export function decodeOperation(data: Uint8Array): PinOperation {
  const fields: unknown = decode(data)
  if (Array.isArray(fields)) {
    const [type, cid, ...rest] = fields as readonly unknown[]
    if (type === 4 && Number.isSafeInteger(cid) && typeof rest[0] === 'string' && rest.length === 1) {
      return { type: 'note', note: { at: cid as number, text: rest[0] } }
    }
    if (type === 3 && rest.length === 1) {
      const records = decodeRecords(cid)
      if (records !== undefined && (rest[0] === 0 || rest[0] === 1))
        return { type: 'merge', records, existing: rest[0] === 1 ? 'keep' : 'replace' }
    }
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

/** CIDs and records by turns; `undefined` where the list is none. */
function decodeRecords(list: unknown): PinRecord[] | undefined {
  if (!Array.isArray(list) || list.length % 2 !== 0) return undefined
  const records: PinRecord[] = []
  for (let at = 0; at < list.length; at += 2) {
    const cid: unknown = list[at]
    const bytes: unknown = list[at + 1]
    if (!(cid instanceof Uint8Array && bytes instanceof Uint8Array)) return undefined
    const pin = decodePin(cidFromBytes(cid), bytes)
    if (pin.version !== 0) return undefined
    records.push({ pin, cid, bytes })
  }
  return records
}

export function encodeResult(outcome: OperationResult): Uint8Array {
  switch (outcome.status) {
    case 'done':
      return encode([0])
    case 'conflict':
      return encode([1, outcome.version])
    case 'merged':
      return encode([2, outcome.added, outcome.replaced, outcome.unchanged])
  }
}

export function decodeResult(data: Uint8Array): OperationResult {
  const [code, ...numbers] = decode(data) as readonly unknown[]
  if (numbers.every(number => Number.isSafeInteger(number))) {
    const [first = 0, second = 0, third = 0] = numbers as readonly number[]
    if (code === 0 && numbers.length === 0) return { status: 'done' }
    if (code === 1 && numbers.length === 1) return { status: 'conflict', version: first }
    if (code === 2 && numbers.length === 3) return { status: 'merged', added: first, replaced: second, unchanged: third }
  }
  throw new Error('a result that this version does not know')
}
