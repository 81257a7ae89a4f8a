/**
 * The state machine of the simulated peers, and the history that all of them must agree on. An operation is a number that is never used twice; the
 * state is how many were applied and a digest of them in order, so two states are equal only where the same was applied in the same order.
 */
import type { Applied, Operation, StateMachine } from '../../cluster/consensus/consensus.ts'
import { key } from '../../cluster/state/keys.ts'
import type { Store } from '../../cluster/state/store.ts'
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
    const last = this.#written[count - 1]
    const next = this.#written[count]
    const isWhole = (last?.index ?? 0) <= applied && (next === undefined || next.index > applied)
    if (!isWhole || (last?.digest ?? 0) !== digest)
      throw new Violation('I16 one state', `${name} woke up with ${count} operations and the applied index ${applied}`)
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

export class SimMachine implements StateMachine {
  readonly #name: string
  readonly #history: History
  count = 0
  digest = 0

  constructor(name: string, history: History) {
    this.#name = name
    this.#history = history
  }

  /** What is on the disk when the process starts. */
  async load(store: Store, applied: number): Promise<void> {
    const value = await store.get(row)
    if (value !== undefined) {
      this.count = readDigest(value, 0)
      this.digest = readDigest(value, 4)
    }
    this.#history.found(this.#name, this.count, this.digest, applied)
  }

  async apply(operations: readonly Operation[]): Promise<Applied> {
    const results: Uint8Array[] = []
    for (const { index, data } of operations) {
      const serial = readDigest(data, 0)
      this.digest = (Math.imul(this.digest ^ serial, 0x85ebca6b) ^ index) >>> 0
      this.#history.applied(this.#name, this.count++, { index, serial, digest: this.digest })
      results.push(number(this.digest))
    }
    const value = Buffer.concat([number(this.count), number(this.digest)])
    return { writes: [{ type: 'put', key: row, value }], results, committed: () => {} }
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
