/** What a run of operations makes of the pins it names, each operation seeing what the ones before it did. Nothing is stored yet. */
import { cidBytes } from '../../src/codec.ts'
import type { Cid, Pin } from '../../src/types.ts'
import type { Note, OperationResult, PinOperation } from './operations.ts'
import { type PinRecord, recordOf, withVersion } from './record.ts'

export interface PinChange {
  readonly cid: Cid
  readonly cidBytes: Uint8Array
  readonly before: Pin | undefined
  readonly after: Pin | undefined
  /** The bytes of `after`. */
  readonly record: Uint8Array | undefined
  /** Log index of the operation. */
  readonly index: number
}

export class Draft {
  readonly changes: PinChange[] = []
  readonly notes: { readonly index: number; readonly note: Note }[] = []
  readonly #present: Map<Cid, Pin | undefined>

  /** @param present every pin that the operations name, as it is stored; changed by them */
  constructor(present: Map<Cid, Pin | undefined>) {
    this.#present = present
  }

  apply(operation: PinOperation, index: number): OperationResult {
    switch (operation.type) {
      case 'pin':
        return this.#change(operation.pin.cid, recordOf(operation.pin), { basedOn: operation.basedOn, index })
      case 'unpin':
        return this.#change(operation.cid, undefined, { basedOn: operation.basedOn, index })
      case 'merge':
        return this.#merge(operation, index)
      case 'note':
        this.notes.push({ index, note: operation.note })
        return { status: 'done' }
    }
  }

  #change(
    cid: Cid,
    after: PinRecord | undefined,
    { basedOn, index }: { readonly basedOn: number; readonly index: number }
  ): OperationResult {
    const version = this.#present.get(cid)?.version ?? 0
    if (basedOn !== version) return { status: 'conflict', version }
    this.#put(cid, after, index)
    return { status: 'done' }
  }

  #merge({ records, existing }: Extract<PinOperation, { type: 'merge' }>, index: number): OperationResult {
    let added = 0
    let replaced = 0
    for (const record of records) {
      const { cid } = record.pin
      const before = this.#present.get(cid)
      if (before === undefined) added++
      else if (existing === 'replace' && !isSame(before, record)) replaced++
      else continue
      this.#put(cid, record, index)
    }
    return { status: 'merged', added, replaced, unchanged: records.length - added - replaced }
  }

  #put(cid: Cid, given: PinRecord | undefined, index: number): void {
    const before = this.#present.get(cid)
    const after = given && { ...given.pin, version: index }
    this.#present.set(cid, after)
    const bytes = given?.cid ?? cidBytes(cid)
    this.changes.push({ cid, cidBytes: bytes, before, after, record: given && withVersion(given.bytes, index), index })
  }
}

/** In everything but the version. */
function isSame(before: Pin, { bytes }: PinRecord): boolean {
  return Buffer.compare(recordOf(before).bytes, bytes) === 0
}
