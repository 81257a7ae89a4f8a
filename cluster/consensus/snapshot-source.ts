/**
 * Serves this peer's state to another one, chunk by chunk as it is asked for. A snapshot is an open iterator, nothing is copied: it reads the state as
 * of one moment, whatever is written meanwhile. One transfer at a time; what is not asked for any more ends by itself, and
 * gives way to another peer before that.
 */
import type { Clock } from '../../src/clock.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Spaces } from '../state/spaces.ts'
import type { Row } from '../state/store.ts'
import { readMarker } from './marker.ts'
import { type Chunk, checksumOf, decodeQuestion, encodeChunk, method, packedSize, packRows, type Question } from './snapshot-chunk.ts'

export interface SourceParts {
  readonly rpc: Pick<Rpc, 'handle'>
  readonly state: Spaces
  readonly clock: Clock
  readonly log: Log
  readonly random: (below: number) => number
}

export interface TransferLimits {
  /** Bytes of rows in a chunk; one row always fits. */
  readonly chunkBytes: number
  readonly bytesPerSecond: number
  /** A transfer that nobody goes on with for so long is over. */
  readonly idleMs: number
}

export interface SourceLimits extends TransferLimits {
  /** Entries that a peer may lack and is sure to find in the log. */
  readonly nearEntries: number
}

/** A transfer that nobody has gone on with for so long gives way to another peer, though its own may still come back for it. */
const givesWayMs = 3_000

interface Transfer {
  readonly name: string
  readonly to: PeerId
  /** The state is as of this entry, or of a later one. */
  readonly index: number
  readonly pages: AsyncIterator<readonly Row[]>
  /** Rows that did not fit into the chunk before. */
  left: readonly Row[]
  /** The chunk given last, kept because its answer may be lost. */
  last: Chunk | undefined
  usedMs: number
  /** How far the receiver has the log, once it has the state, and the least that it lacked of it. */
  match: number
  lackedMin: number
  /** Chunks are made one after the other. */
  work: Promise<unknown>
}

export class SnapshotSource {
  readonly #parts: SourceParts
  readonly #limits: SourceLimits
  #transfer: Transfer | undefined

  constructor(parts: SourceParts, limits: SourceLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  serve(): void {
    this.#parts.rpc.handle(method, async (from, payload, { signal }) => {
      const chunk = await this.#answer(from, parsed(payload))
      const paceMs = (1_000 * chunk.rows.length) / this.#limits.bytesPerSecond
      if (paceMs >= 1) await this.#parts.clock.sleep(paceMs, { signal })
      this.#used(chunk.transfer)
      return encodeChunk(chunk)
    })
  }

  /** Entries behind this one are needed by whoever gets the state, or has just got it; `undefined` while nobody does. */
  get pinned(): number | undefined {
    return this.#transfer && Math.max(this.#transfer.index, this.#transfer.match)
  }

  /**
   * Ends what is over. A receiver has the state as of the beginning, so the log behind that is kept until it has almost caught up: what was written
   * meanwhile may be more than the log holds as a rule, and the next transfer would find the same.
   *
   * @param log.matchOf how far a follower has the log, as far as this peer knows
   * @param log.lastIndex of this peer
   */
  tidy({ matchOf, lastIndex }: { readonly matchOf: (peer: PeerId) => number; readonly lastIndex: number }): void {
    const transfer = this.#transfer
    if (transfer === undefined) return
    transfer.match = matchOf(transfer.to)
    const lacked = lastIndex - transfer.match
    const hasState = transfer.last?.isLast === true && transfer.match >= transfer.index
    // Who gains nothing on the writers would need the log for ever.
    if (hasState && lacked < transfer.lackedMin) {
      transfer.lackedMin = lacked
      transfer.usedMs = this.#parts.clock.monotonicMs()
    }
    const isIdle = this.#parts.clock.monotonicMs() - transfer.usedMs > this.#limits.idleMs
    if (isIdle || (hasState && lacked <= this.#limits.nearEntries)) this.stop()
  }

  stop(): void {
    const transfer = this.#transfer
    this.#transfer = undefined
    // An iterator keeps files from being removed. Not while a chunk is being read from it.
    void transfer?.work.catch(() => {}).then(() => transfer.pages.return?.())
  }

  #used(name: string): void {
    if (this.#transfer?.name === name) this.#transfer.usedMs = this.#parts.clock.monotonicMs()
  }

  async #answer(from: PeerId, question: Question): Promise<Chunk> {
    const transfer = question.transfer === '' ? await this.#begin(from) : this.#transfer
    if (transfer === undefined || transfer.to !== from || (question.transfer !== '' && transfer.name !== question.transfer))
      throw new ClusterError({ code: 'refused' }, 'this transfer of the state is over: begin anew')
    this.#used(transfer.name)
    const chunk = transfer.work.catch(() => {}).then(() => this.#chunk(transfer, question.number))
    transfer.work = chunk
    return chunk
  }

  async #begin(to: PeerId): Promise<Transfer> {
    const { state, clock, log, random } = this.#parts
    const { index } = await readMarker(state)
    if (index === 0) throw new ClusterError({ code: 'not_ready' }, 'this peer has no state yet')
    const other = this.#transfer?.to === to ? undefined : this.#transfer
    if (other !== undefined && clock.monotonicMs() - other.usedMs < givesWayMs)
      throw new ClusterError({ code: 'overloaded', retryAfterMs: 1_000 }, 'the state is on its way to another peer: ask again')
    this.stop()
    const name = `${random(2 ** 32).toString(16)}-${random(2 ** 32).toString(16)}`
    const pages = state.current.everything()[Symbol.asyncIterator]()
    this.#transfer = {
      name,
      to,
      index,
      pages,
      left: [],
      last: undefined,
      usedMs: clock.monotonicMs(),
      match: 0,
      lackedMin: Infinity,
      work: Promise.resolve()
    }
    log.info({ peer: to, index }, 'state is being sent')
    return this.#transfer
  }

  async #chunk(transfer: Transfer, number: number): Promise<Chunk> {
    const { last } = transfer
    if (last?.number === number) return last
    if (number !== (last?.number ?? -1) + 1 || last?.isLast)
      throw new ClusterError({ code: 'refused' }, 'chunks are given in order: begin anew')
    const { rows, isLast } = await this.#next(transfer)
    const packed = packRows(rows)
    const checksum = checksumOf(packed, last?.checksum ?? 0)
    transfer.last = { transfer: transfer.name, number, isLast, rows: packed, checksum }
    return transfer.last
  }

  async #next(transfer: Transfer): Promise<{ readonly rows: readonly Row[]; readonly isLast: boolean }> {
    const rows: Row[] = []
    for (let room = this.#limits.chunkBytes; room > 0; ) {
      if (transfer.left.length === 0) {
        const page = await this.#page(transfer)
        if (page === undefined) return { rows, isLast: true }
        transfer.left = page
      }
      const { length } = rows
      for (const row of transfer.left) {
        room -= packedSize(row)
        if (room < 0 && rows.length > 0) break
        rows.push(row)
      }
      transfer.left = transfer.left.slice(rows.length - length)
    }
    return { rows, isLast: false }
  }

  async #page(transfer: Transfer): Promise<readonly Row[] | undefined> {
    try {
      const { done, value } = await transfer.pages.next()
      return done ? undefined : value
    } catch (error) {
      // Asked again, the iterator would say that this was the end, and the state would lack what comes behind.
      if (this.#transfer === transfer) this.stop()
      throw error
    }
  }
}

function parsed(payload: Uint8Array): Question {
  try {
    return decodeQuestion(payload)
  } catch (error) {
    throw new ClusterError({ code: 'invalid' }, `not a question for the state: ${messageOf(error)}`, { cause: error })
  }
}
