/** What this peer's Kubo holds, as last seen: a row a CID, so that a million pins cost no memory. */
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { Cid, PinMode } from '../../src/types.ts'
import { key, prefixRange } from '../state/keys.ts'
import type { Store, WriteOp } from '../state/store.ts'

export interface Holding {
  /** Pinned, or about to be, on behalf of the cluster: ours to remove. Pins that people made by hand are not. */
  readonly isOurs: boolean
  readonly isPinned: boolean
  readonly mode: PinMode
  /** The sweep that saw it last. */
  readonly generation: number
  /** When it became what it is, Unix milliseconds. */
  readonly timestamp: number
}

const prefix = 'k/'

export class Holdings {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  async get(cid: Cid): Promise<Holding | undefined> {
    const value = await this.#store.get(key(prefix, cidBytes(cid)))
    return value && decode(value)
  }

  /** Not forced to the disk: a crash is healed by the next sweep. */
  write(changes: readonly (readonly [Cid, Holding | null])[]): Promise<void> {
    const ops = changes.map(([cid, holding]): WriteOp => {
      const name = key(prefix, cidBytes(cid))
      return holding === null ? { type: 'delete', key: name } : { type: 'put', key: name, value: encode(holding) }
    })
    return this.#store.write(ops, { sync: false })
  }

  /** In the order of CID bytes. */
  async *all(): AsyncIterable<readonly [Cid, Holding]> {
    for await (const [name, value] of this.#store.rows(prefixRange(prefix)))
      yield [cidFromBytes(name.subarray(prefix.length)), decode(value)]
  }
}

function encode({ isOurs, isPinned, mode, generation, timestamp }: Holding): Uint8Array {
  const value = Buffer.allocUnsafe(17)
  value[0] = (isOurs ? 1 : 0) | (isPinned ? 2 : 0) | (mode === 'direct' ? 4 : 0)
  value.writeDoubleBE(generation, 1)
  value.writeDoubleBE(timestamp, 9)
  return value
}

function decode(value: Uint8Array): Holding {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const flags = bytes.readUInt8(0)
  return {
    isOurs: (flags & 1) !== 0,
    isPinned: (flags & 2) !== 0,
    mode: flags & 4 ? 'direct' : 'recursive',
    generation: bytes.readDoubleBE(1),
    timestamp: bytes.readDoubleBE(9)
  }
}
