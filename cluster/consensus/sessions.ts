/**
 * Exactly once: every operation carries who proposed it and a number, and is applied the first time only (Raft thesis, 6.3). The table is part
 * of the replicated state: it changes only by applying, and what is forgotten is decided by the log, never by a clock.
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { key, prefixRange } from '../state/keys.ts'
import type { Store, WriteOp } from '../state/store.ts'

/** One start of one peer. */
export interface Stamp {
  /** 8 random bytes as hexadecimal text. */
  readonly origin: string
  readonly sequence: number
  /** Everything below has been answered: its result will not be asked for again. */
  readonly answeredBelow: number
}

interface Session {
  /** Log index of its last operation. */
  used: number
  answeredBelow: number
  readonly results: Map<number, Uint8Array>
}

const prefix = 'c/'
/** Starts of peers that are remembered: the least recently used in the log goes first. */
const sessionsMax = 1_000
const stampBytes = 24

const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const row = z.tuple([z.number(), z.number(), z.array(z.tuple([z.number(), bytes]))])

export function stamp({ origin, sequence, answeredBelow }: Stamp, operation: Uint8Array): Uint8Array {
  // Not from the pool: the log keeps it for long, and with it everything that shares its eight kilobytes.
  const data = Buffer.allocUnsafeSlow(stampBytes + operation.length)
  data.write(origin, 0, 'hex')
  data.writeBigUInt64BE(BigInt(sequence), 8)
  data.writeBigUInt64BE(BigInt(answeredBelow), 16)
  data.set(operation, stampBytes)
  return data
}

/** @throws Error for bytes without a stamp */
export function unstamp(data: Uint8Array): { readonly stamp: Stamp; readonly operation: Uint8Array } {
  if (data.length < stampBytes) throw new Error('an operation has no stamp')
  const view = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return {
    stamp: {
      origin: view.toString('hex', 0, 8),
      sequence: Number(view.readBigUInt64BE(8)),
      answeredBelow: Number(view.readBigUInt64BE(16))
    },
    operation: view.subarray(stampBytes)
  }
}

export class Sessions {
  readonly #sessions = new Map<string, Session>()
  readonly #changed = new Set<string>()

  async load(store: Store): Promise<void> {
    for await (const [name, value] of store.rows(prefixRange(prefix))) {
      const [used, answeredBelow, results] = row.parse(decode(value))
      this.#sessions.set(Buffer.from(name.subarray(prefix.length)).toString('hex'), { used, answeredBelow, results: new Map(results) })
    }
  }

  /** What the operation answered when it was applied; `undefined` where it is new, `null` where it is old and its answer forgotten. */
  known({ origin, sequence }: Stamp): Uint8Array | null | undefined {
    const session = this.#sessions.get(origin)
    if (session === undefined) return undefined
    return session.results.get(sequence) ?? (sequence < session.answeredBelow ? null : undefined)
  }

  record({ origin, sequence, answeredBelow }: Stamp, index: number, result: Uint8Array): void {
    const session = this.#sessions.get(origin) ?? { used: index, answeredBelow: 0, results: new Map() }
    session.used = index
    session.answeredBelow = Math.max(session.answeredBelow, answeredBelow)
    session.results.set(sequence, result)
    for (const old of session.results.keys()) if (old < session.answeredBelow) session.results.delete(old)
    this.#sessions.set(origin, session)
    this.#changed.add(origin)
    if (this.#sessions.size > sessionsMax) this.#forgetOldest()
  }

  /** The rows for what changed since the last call; they belong into the batch of the operations. */
  writes(): WriteOp[] {
    const writes = [...this.#changed].map((origin): WriteOp => {
      const session = this.#sessions.get(origin)
      const name = key(prefix, Buffer.from(origin, 'hex'))
      return session
        ? { type: 'put', key: name, value: encode([session.used, session.answeredBelow, [...session.results]]) }
        : { type: 'delete', key: name }
    })
    this.#changed.clear()
    return writes
  }

  #forgetOldest(): void {
    let oldest: readonly [string, Session] | undefined
    for (const entry of this.#sessions) if (oldest === undefined || entry[1].used < oldest[1].used) oldest = entry
    if (oldest === undefined) return
    this.#sessions.delete(oldest[0])
    this.#changed.add(oldest[0])
  }
}
