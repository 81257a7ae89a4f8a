/**
 * The state machine of the simulated peers, and the history that all of them must agree on. An operation is a number that is never used twice; the
 * state is how many were applied and a digest of them in order, so two states are equal only where the same was applied in the same order. It is spread
 * over several rows, so that half of a state is none.
 */
import type { Applied, Operation, StateMachine } from '../../cluster/consensus/consensus.ts'
import { readMarker } from '../../cluster/consensus/marker.ts'
import { key, prefixRange } from '../../cluster/state/keys.ts'
import type { Rows, WriteOp } from '../../cluster/state/store.ts'
import { Violation } from './violation.ts'

interface Written {
  readonly index: number
  readonly serial: number
  /** Of the state behind it. */
  readonly digest: number
}

/** What was applied by anybody first. */
export class History {
  readonly #written: Written[] = []
  readonly #indexOf = new Map<number, number>()
  readonly #at = new Map<number, Written>()

  /** @throws Violation */
  applied(name: string, position: number, { index, serial, digest }: Written): void {
    const known = this.#written[position]
    if (known === undefined) {
      const earlier = this.#indexOf.get(serial)
      if (earlier !== undefined)
        throw new Violation('I22 exactly once', `${name} applies ${serial} at ${index}, it was applied at ${earlier}`)
      const last = this.#written.at(-1)
      if (last !== undefined && last.index >= index)
        throw new Violation('I17 applied once, in order', `${name} applies entry ${index} after ${last.index}`)
      const written = { index, serial, digest }
      this.#written.push(written)
      this.#at.set(index, written)
      this.#indexOf.set(serial, index)
    } else if (known.index !== index || known.serial !== serial || known.digest !== digest) {
      const detail = `${name} applies ${serial} at ${index}, others ${known.serial} at ${known.index} as number ${position}`
      throw new Violation('I16 one state', detail)
    }
  }

  /** A state that was found on a disk beside an applied index. @throws Violation */
  found(name: string, count: number, digest: number, applied: number): void {
    if (!this.#isWhole(count, digest, applied))
      throw new Violation('I16 one state', `${name} woke up with ${count} operations and the applied index ${applied}`)
  }

  /** A state that came from another peer. @throws Violation */
  installed(name: string, count: number, digest: number, applied: number): void {
    if (!this.#isWhole(count, digest, applied))
      throw new Violation('I23 snapshot fidelity', `${name} was given ${count} operations for the state as of ${applied}`)
  }

  #isWhole(count: number, digest: number, applied: number): boolean {
    const last = this.#written[count - 1]
    const next = this.#written[count]
    return (last?.index ?? 0) <= applied && (next === undefined || next.index > applied) && (last?.digest ?? 0) === digest
  }

  /** An operation was answered with this. @throws Violation */
  answered(name: string, serial: number, index: number, result: Uint8Array): void {
    const at = this.#indexOf.get(serial)
    if (at !== index) throw new Violation('an answer is true', `${name} was told that ${serial} is at ${index}, it is at ${at}`)
    if (result.length !== 4 || readDigest(result, 0) !== this.#at.get(index)?.digest)
      throw new Violation('an answer is true', `${name} got the answer of another operation for ${serial}`)
  }

  /** It was said that this will never happen. @throws Violation */
  requireAbsent(name: string, serial: number): void {
    const index = this.#indexOf.get(serial)
    if (index !== undefined) throw new Violation('an answer is true', `${name} was told that ${serial} is in no log, it is at ${index}`)
  }

  has(serial: number): boolean {
    return this.#indexOf.has(serial)
  }
}

const row = key('x/state')
const bucketsMax = 12
const bucketOf = (serial: number): Uint8Array => key('s/', new Uint8Array([serial % bucketsMax]))

/** What is in the rows. */
interface Found {
  readonly count: number
  readonly digest: number
  readonly buckets: ReadonlyMap<number, number>
}

export class SimMachine implements StateMachine {
  readonly #name: string
  readonly #history: History
  count = 0
  digest = 0
  /** How many of the operations fell into each. */
  #buckets = new Map<number, number>()

  constructor(name: string, history: History) {
    this.#name = name
    this.#history = history
  }

  /** What is on the disk when the process starts. */
  async load(state: Rows, applied: number): Promise<void> {
    this.#become(await this.#read(state))
    this.#history.found(this.#name, this.count, this.digest, applied)
  }

  /** Another state takes the place of this one: it must be the whole of what others had at that place. */
  async adopt(state: Rows): Promise<() => void> {
    const found = await this.#read(state)
    const { index } = await readMarker(state)
    this.#history.installed(this.#name, found.count, found.digest, index)
    return () => this.#become(found)
  }

  async apply(operations: readonly Operation[]): Promise<Applied> {
    const results: Uint8Array[] = []
    const writes: WriteOp[] = []
    for (const { index, data } of operations) {
      const serial = readDigest(data, 0)
      this.digest = (Math.imul(this.digest ^ serial, 0x85ebca6b) ^ index) >>> 0
      this.#history.applied(this.#name, this.count++, { index, serial, digest: this.digest })
      results.push(number(this.digest))
      const count = (this.#buckets.get(serial % bucketsMax) ?? 0) + 1
      this.#buckets.set(serial % bucketsMax, count)
      writes.push({ type: 'put', key: bucketOf(serial), value: number(count) })
    }
    writes.push({ type: 'put', key: row, value: Buffer.concat([number(this.count), number(this.digest)]) })
    return { writes, results, committed: () => {} }
  }

  #become({ count, digest, buckets }: Found): void {
    this.count = count
    this.digest = digest
    this.#buckets = new Map(buckets)
  }

  async #read(state: Rows): Promise<Found> {
    const value = await state.get(row)
    const buckets = new Map<number, number>()
    for await (const [name, count] of state.rows(prefixRange('s/'))) buckets.set(name[2] ?? 0, readDigest(count, 0))
    const found = { count: value ? readDigest(value, 0) : 0, digest: value ? readDigest(value, 4) : 0, buckets }
    const sum = [...buckets.values()].reduce((total, count) => total + count, 0)
    if (sum !== found.count) throw new Violation('I23 snapshot fidelity', `${this.#name} has rows for ${sum} of ${found.count} operations`)
    return found
  }
}

/** An operation, `size` bytes at least. */
export function operation(serial: number, size: number): Uint8Array {
  return Buffer.concat([number(serial), Buffer.alloc(Math.max(0, size - 4))])
}

function number(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function readDigest(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at)
}
