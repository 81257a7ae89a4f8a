/**
 * Exactly once: every operation carries who proposed it and a number, and is applied the first time only (Raft thesis, 6.3). The table is part
 * of the replicated state: it changes only by entries, one after the other, however they are cut into batches; what is forgotten is decided by
 * the log, never by a clock.
 */
import { key, numberKey, numberOf, prefixRange } from '../state/keys.ts'
import type { Rows, WriteOp } from '../state/store.ts'
import { readNumber, writeNumber } from './codec.ts'
import { cut } from './slab.ts'

/** Who proposed an operation: one start of one peer. */
export interface Stamp {
  /** 8 random bytes as hexadecimal text. */
  readonly origin: string
  /** Counts up from 1. */
  readonly sequence: number
  /** Everything below has been answered, or given up: its result will not be asked for, and it is not to be applied any more. */
  readonly answeredBelow: number
}

export interface Outcome {
  /** Of the entry that was applied. */
  readonly index: number
  readonly result: Uint8Array
}

/** `new`: apply it, and `record` what it answered. `running`: it comes a second time before the first was recorded. `null`: forgotten. */
export type Admission = 'new' | 'running' | Outcome | null

interface Session {
  /** Log index of its last new operation. */
  used: number
  answeredBelow: number
  readonly outcomes: Map<number, Outcome | 'running'>
}

const prefix = 'c/'
const originBytes = 8
const stampBytes = originBytes + 8 + 8
/** Results in one row: few enough that one more result does not rewrite many. */
const pageSize = 256
/** Where an outcome stands in its page, the index of its entry, and the length of its result. */
const outcomeBytes = 1 + 8 + 4

/** Puts the stamp in front of an operation. */
export function stamp({ origin, sequence, answeredBelow }: Stamp, operation: Uint8Array): Uint8Array {
  const data = cut(stampBytes + operation.length)
  data.write(origin, 0, 'hex')
  writeNumber(data, sequence, originBytes)
  writeNumber(data, answeredBelow, originBytes + 8)
  data.set(operation, stampBytes)
  return data
}

/** @throws Error for bytes without a stamp */
export function unstamp(data: Uint8Array): { readonly stamp: Stamp; readonly operation: Uint8Array } {
  requireStamp(data)
  const view = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const origin = view.toString('hex', 0, originBytes)
  const stamp = { origin, sequence: readNumber(data, originBytes), answeredBelow: readNumber(data, originBytes + 8) }
  return { stamp, operation: view.subarray(stampBytes) }
}

/** @throws Error for bytes without a stamp */
export function requireStamp(data: Uint8Array): void {
  if (data.length < stampBytes) throw new Error('an operation has no stamp')
  const sequence = readNumber(data, originBytes)
  if (readNumber(data, originBytes + 8) > sequence) throw new Error('an operation has a stamp that makes no sense')
}

export class Sessions {
  readonly #sessionsMax: number
  #sessions = new Map<string, Session>()
  /** Pages to write, by origin. */
  readonly #changed = new Map<string, Set<number>>()

  /** @param options.max starts of peers that are remembered; the one unused for the longest stretch of the log goes first. The same on all peers. */
  constructor({ max = 1_000 }: { readonly max?: number } = {}) {
    this.#sessionsMax = max
  }

  async load(state: Rows): Promise<void> {
    this.#sessions = await read(state)
  }

  /** Another state is about to take the place of the one that these are from. The function that comes back is called once it has. */
  async adopt(state: Rows): Promise<() => void> {
    const sessions = await read(state)
    return () => {
      this.#sessions = sessions
    }
  }

  /** Called for every entry in the order of the log. */
  admit({ origin, sequence, answeredBelow }: Stamp, index: number): Admission {
    const session = this.#sessions.get(origin) ?? { used: index, answeredBelow: 0, outcomes: new Map() }
    const known = session.outcomes.get(sequence)
    if (known !== undefined) return known
    if (sequence < session.answeredBelow) return null
    session.used = index
    session.outcomes.set(sequence, 'running')
    this.#sessions.set(origin, session)
    this.#touch(origin, sequence)
    this.#forgetAnswered(origin, session, answeredBelow)
    if (this.#sessions.size > this.#sessionsMax) this.#forgetOldest()
    return 'new'
  }

  outcome({ origin, sequence }: Pick<Stamp, 'origin' | 'sequence'>): Outcome | undefined {
    const outcome = this.#sessions.get(origin)?.outcomes.get(sequence)
    return outcome === 'running' ? undefined : outcome
  }

  /** What an admitted operation answered. */
  record({ origin, sequence }: Stamp, outcome: Outcome): void {
    // A later entry of the same batch may have said already that nobody asks for it.
    const outcomes = this.#sessions.get(origin)?.outcomes
    if (outcomes?.has(sequence)) outcomes.set(sequence, outcome)
  }

  /** The rows for what changed since the last call; they belong into the batch of the operations. */
  writes(): WriteOp[] {
    const writes: WriteOp[] = []
    for (const [origin, pages] of this.#changed) {
      const name = key(prefix, Buffer.from(origin, 'hex'))
      const session = this.#sessions.get(origin)
      writes.push(
        session
          ? { type: 'put', key: name, value: Buffer.concat([number(session.used), number(session.answeredBelow)]) }
          : { type: 'delete', key: name }
      )
      for (const page of pages) {
        const row = Buffer.concat([name, number(page)])
        const value = session && writePage(page, session.outcomes)
        writes.push(value ? { type: 'put', key: row, value } : { type: 'delete', key: row })
      }
    }
    this.#changed.clear()
    return writes
  }

  #forgetAnswered(origin: string, session: Session, answeredBelow: number): void {
    if (answeredBelow <= session.answeredBelow) return
    const isNear = answeredBelow - session.answeredBelow <= session.outcomes.size
    const candidates = isNear ? range(session.answeredBelow, answeredBelow) : [...session.outcomes.keys()]
    for (const sequence of candidates) {
      if (sequence < answeredBelow && session.outcomes.delete(sequence)) this.#touch(origin, sequence)
    }
    session.answeredBelow = answeredBelow
  }

  #forgetOldest(): void {
    let oldest: readonly [string, Session] | undefined
    for (const entry of this.#sessions) if (oldest === undefined || entry[1].used < oldest[1].used) oldest = entry
    if (oldest === undefined) return
    const [origin, { outcomes }] = oldest
    for (const sequence of outcomes.keys()) this.#touch(origin, sequence)
    this.#touch(origin)
    this.#sessions.delete(origin)
  }

  #touch(origin: string, sequence?: number): void {
    const pages = this.#changed.get(origin) ?? new Set()
    if (sequence !== undefined) pages.add(Math.floor(sequence / pageSize))
    this.#changed.set(origin, pages)
  }
}

async function read(state: Rows): Promise<Map<string, Session>> {
  const sessions = new Map<string, Session>()
  for await (const [row, value] of state.rows(prefixRange(prefix))) {
    const name = row.subarray(prefix.length)
    const origin = Buffer.from(name.subarray(0, originBytes)).toString('hex')
    // The row of a session comes before those of its pages.
    if (name.length === originBytes) {
      sessions.set(origin, { used: numberOf('', value), answeredBelow: numberOf('', value.subarray(8)), outcomes: new Map() })
    } else readPage(numberOf('', name.subarray(originBytes)), value, sessions.get(origin)?.outcomes)
  }
  return sessions
}

/** `undefined` where the page holds nothing. */
function writePage(page: number, outcomes: ReadonlyMap<number, Outcome | 'running'>): Uint8Array | undefined {
  const parts: Uint8Array[] = []
  for (let place = 0; place < pageSize; place++) {
    const outcome = outcomes.get(page * pageSize + place)
    if (outcome === undefined || outcome === 'running') continue
    const head = Buffer.allocUnsafe(outcomeBytes)
    head[0] = place
    head.writeBigUInt64BE(BigInt(outcome.index), 1)
    head.writeUInt32BE(outcome.result.length, 9)
    parts.push(head, outcome.result)
  }
  return parts.length === 0 ? undefined : Buffer.concat(parts)
}

function readPage(page: number, value: Uint8Array, outcomes: Map<number, Outcome | 'running'> | undefined): void {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  for (let at = 0; at < bytes.length; ) {
    const end = at + outcomeBytes + bytes.readUInt32BE(at + 9)
    const result = bytes.subarray(at + outcomeBytes, end)
    outcomes?.set(page * pageSize + (bytes[at] ?? 0), { index: Number(bytes.readBigUInt64BE(at + 1)), result })
    at = end
  }
}

function number(value: number): Uint8Array {
  return numberKey('', value)
}

function* range(from: number, to: number): Iterable<number> {
  for (let next = from; next < to; next++) yield next
}
