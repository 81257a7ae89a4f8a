/**
 * What this peer's Kubo holds, as last seen: a row a CID, so that a million pins cost no memory. A CID has one writer at a time (the tracker's
 * operation for it, or, where there is none, the comparison with Kubo); here the sum is kept.
 */
import { cidBytes } from '../../src/codec.ts'
import type { Cid, PinMode } from '../../src/types.ts'
import { key, numberKey, numberOf, prefixRange } from '../state/keys.ts'
import type { Store, WriteOp } from '../state/store.ts'

export interface Holding {
  /** Pinned, or about to be, on behalf of the cluster: ours to remove. Pins that people made by hand are not. */
  readonly isOurs: boolean
  readonly isPinned: boolean
  readonly mode: PinMode
  /** Log index of the wish that Kubo met; 0 where none did yet. */
  readonly version: number
  /** The sweep that saw it last; an odd number is the tracker's, written after the sweep of the even number below it began. */
  readonly generation: number
  /** When it became what it is, Unix milliseconds. */
  readonly timestamp: number
  /** Why it could not be pinned when it was tried last; empty where nothing failed. */
  readonly error: string
}

export interface HoldingChange {
  readonly cid: Cid
  /** What `get` said. */
  readonly before: Holding | undefined
  /** `null` deletes the row. */
  readonly after: Holding | null
}

const prefix = 'k/'
const generationKey = key('p/generation')
const errorBytesMax = 300

export class Holdings {
  readonly #store: Store
  readonly #watches = new Set<Set<Cid>>()
  /** Lists that are being opened, each with what is written meanwhile, by the CID's bytes as text. */
  readonly #openings = new Set<Map<string, Holding | null>>()
  #held = 0
  #sweeps = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** Call it once, before the first sweep. */
  async start(): Promise<void> {
    const value = await this.#store.get(generationKey)
    this.#sweeps = value === undefined ? 0 : numberOf('', value)
  }

  /** Pins of ours that Kubo holds: exact once everything was listed from the beginning. */
  get held(): number {
    return this.#held
  }

  /** For rows that the tracker writes now: newer than the running sweep, older than the next. */
  get generation(): number {
    return this.#sweeps + 1
  }

  /** @returns the generation of a new sweep, on record before any row that carries it: a clock set back must not make old rows look new */
  async nextSweep(): Promise<number> {
    const sweep = this.#sweeps + 2
    this.#sweeps = sweep
    await this.#store.write([{ type: 'put', key: generationKey, value: numberKey('', sweep) }], { sync: false })
    return sweep
  }

  async get(cid: Cid): Promise<Holding | undefined> {
    const value = await this.#store.get(rowKey(cid))
    return value && decode(value)
  }

  /**
   * Not forced to the disk: a crash is healed by the next sweep.
   * @param options.isHurried somebody waits for it: it does not wait for other writes to share its batch
   */
  async write(changes: readonly HoldingChange[], { isHurried = false }: { readonly isHurried?: boolean } = {}): Promise<void> {
    if (changes.length === 0) return
    for (const { cid, before, after } of changes) {
      this.#held += isHeld(after) - isHeld(before)
      for (const watch of this.#watches) watch.add(cid)
      for (const opening of this.#openings) opening.set(nameOf(cidBytes(cid)), after)
    }
    await this.#store.write(
      changes.map(({ cid, after }): WriteOp => {
        return after === null ? { type: 'delete', key: rowKey(cid) } : { type: 'put', key: rowKey(cid), value: encode(after) }
      }),
      { sync: false, canWait: !isHurried }
    )
  }

  /** Somebody has begun to wait for what is being written. Never throws: those that wait for the write are told. */
  hurry(): void {
    this.#store.write([], { sync: false }).catch(() => {})
  }

  /**
   * Changes rows by what they are now; `undefined` leaves a row. `change` is asked at the last moment, and not at all for a row that somebody
   * wrote while it was read: what he wrote is newer.
   */
  async update(cids: readonly Cid[], change: (cid: Cid, now: Holding | undefined) => Holding | null | undefined): Promise<void> {
    const written = new Set<Cid>()
    this.#watches.add(written)
    let rows: readonly (Holding | undefined)[]
    try {
      rows = await Promise.all(cids.map(cid => this.get(cid)))
    } finally {
      this.#watches.delete(written)
    }
    await this.write(
      cids.flatMap((cid, position) => {
        const before = rows[position]
        const after = written.has(cid) ? undefined : change(cid, before)
        return after === undefined ? [] : [{ cid, before, after }]
      })
    )
  }

  /** Rows by CID bytes, in their order, as of the first step; behind `after`. A list that is read from end to end sets `held` right. */
  async *all({ after }: { after?: Uint8Array | undefined } = {}): AsyncIterable<readonly [name: Uint8Array, Holding]> {
    // The list may or may not show what is written while it is being opened; the sum has it.
    const unsure = new Map<string, Holding | null>()
    this.#openings.add(unsure)
    let listed = 0
    let difference = 0
    const opened = () => {
      if (!this.#openings.delete(unsure)) return
      difference = [...unsure.values()].reduce((sum, holding) => sum + isHeld(holding), 0) - this.#held
    }
    try {
      for await (const [row, value] of this.#store.rows(prefixRange(prefix, after))) {
        opened()
        const name = row.subarray(prefix.length)
        const holding = decode(value)
        if (unsure.size === 0 || !unsure.has(nameOf(name))) listed += isHeld(holding)
        yield [name, holding]
      }
      opened()
      // What was written since it was opened is in the sum already.
      if (after === undefined) this.#held += listed + difference
    } finally {
      this.#openings.delete(unsure)
    }
  }
}

function nameOf(name: Uint8Array): string {
  return Buffer.from(name).toString('latin1')
}

function rowKey(cid: Cid): Uint8Array {
  return key(prefix, cidBytes(cid))
}

function isHeld(holding: Holding | null | undefined): number {
  return holding?.isOurs && holding.isPinned ? 1 : 0
}

const headBytes = 25

function encode({ isOurs, isPinned, mode, version, generation, timestamp, error }: Holding): Uint8Array {
  const text = Buffer.from(error).subarray(0, errorBytesMax)
  const value = Buffer.allocUnsafe(headBytes + text.length)
  value[0] = (isOurs ? 1 : 0) | (isPinned ? 2 : 0) | (mode === 'direct' ? 4 : 0)
  value.writeDoubleBE(version, 1)
  value.writeDoubleBE(generation, 9)
  value.writeDoubleBE(timestamp, 17)
  text.copy(value, headBytes)
  return value
}

function decode(value: Uint8Array): Holding {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const flags = bytes.readUInt8(0)
  return {
    isOurs: (flags & 1) !== 0,
    isPinned: (flags & 2) !== 0,
    mode: flags & 4 ? 'direct' : 'recursive',
    version: bytes.readDoubleBE(1),
    generation: bytes.readDoubleBE(9),
    timestamp: bytes.readDoubleBE(17),
    error: bytes.toString('utf8', headBytes)
  }
}
