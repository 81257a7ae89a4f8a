/**
 * Fetches the state from another peer into the spare space of the store, chunk by chunk, while this peer goes on with what it has. Each chunk is
 * stored with how far it has come, so that a restart goes on from there. What is incomplete is never looked at.
 */
import { z } from 'zod'
import type { Clock } from '../../src/clock.ts'
import { ClusterError, isFault, messageOf } from '../../src/errors.ts'
import { deadline, type Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Snapshot } from '../raft/types.ts'
import { key } from '../state/keys.ts'
import type { Spaces } from '../state/spaces.ts'
import type { Store, WriteOp } from '../state/store.ts'
import { readMarker } from './marker.ts'
import { seal, unseal } from './seal.ts'
import { type Chunk, checksumOf, decodeChunk, encodeQuestion, method, unpackRows } from './snapshot-chunk.ts'

export interface ReceiverParts {
  readonly rpc: Pick<Rpc, 'call'>
  readonly store: Store
  readonly state: Spaces
  readonly clock: Clock
  readonly log: Log
  readonly tasks: Tasks
  /** Who has the state that this peer needs; `null` where it needs none. */
  readonly wanted: () => PeerId | null
  /** The state is here; it waits in `complete`. */
  readonly onComplete: () => void
  /** The store failed. */
  readonly onFatal: (error: unknown) => void
}

/** A transfer, and the chunk that comes next. */
interface Incoming {
  readonly from: PeerId
  readonly transfer: string
  readonly next: number
  readonly checksum: number
}

const incomingKey = key('m/incoming')
const shape = z.tuple([z.string(), z.string(), z.int().nonnegative(), z.int().nonnegative()])
const chunkMs = 15_000
/** After a chunk that did not come, twice as long after every further one. */
const firstPauseMs = 100
const longestPauseMs = 5_000
/** Where the other end is there, and busy with another peer. */
const busyPauseMs = 1_000

export class SnapshotReceiver {
  readonly #parts: ReceiverParts
  #incoming: Incoming | undefined
  #complete: Snapshot | undefined
  #isRunning = false

  constructor(parts: ReceiverParts) {
    this.#parts = parts
  }

  /** A state that has come in whole. */
  get complete(): Snapshot | undefined {
    return this.#complete
  }

  /** What was on its way when this peer stopped. */
  async load(): Promise<void> {
    const value = await this.#parts.store.get(incomingKey)
    if (value === undefined) return this.#tidy()
    const [from, transfer, next, checksum] = shape.parse(unseal(value))
    this.#incoming = { from: from as PeerId, transfer, next, checksum }
    this.#parts.log.info({ peer: from, chunks: next }, 'part of a state is here')
  }

  /** There may be something to fetch. */
  wake(): void {
    const { tasks, wanted } = this.#parts
    if (this.#isRunning || this.#complete !== undefined || wanted() === null) return
    this.#isRunning = true
    tasks.run('snapshot', async stop => {
      try {
        await this.#run(stop)
      } finally {
        this.#isRunning = false
      }
    })
  }

  /** Belongs into the batch by which the state takes its place. */
  taken(): WriteOp {
    return { type: 'delete', key: incomingKey }
  }

  /** The state was used, or is of no use: the spare space is cleared, in the background. */
  done(): void {
    this.#complete = undefined
    this.#incoming = undefined
    this.#tidy()
  }

  #tidy(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    this.#parts.tasks.run('snapshot', async () => {
      try {
        await this.#forget()
      } catch (error) {
        this.#parts.onFatal(error)
      } finally {
        this.#isRunning = false
      }
    })
  }

  async #run(stop: AbortSignal): Promise<void> {
    const { wanted, clock, log } = this.#parts
    let pauseMs = firstPauseMs
    for (let source = wanted(); source !== null && !stop.aborted; source = wanted()) {
      try {
        if (await this.#step(this.#incoming?.from ?? source, stop)) return this.#parts.onComplete()
        pauseMs = firstPauseMs
      } catch (error) {
        if (stop.aborted) return
        if (isFault(error, 'storage_failed')) return this.#parts.onFatal(error)
        log.debug({ peer: source, reason: messageOf(error) }, 'state not received yet')
        // The other end has given up, or is not who should be asked any more.
        if (isFault(error, 'refused') || this.#incoming?.from !== source) this.#incoming = undefined
        await clock.sleep(pauseMs, { signal: stop }).catch(() => {})
        pauseMs = Math.min(2 * pauseMs, isFault(error, 'overloaded') ? busyPauseMs : longestPauseMs)
      }
    }
  }

  /** @returns whether it was the last one */
  async #step(from: PeerId, stop: AbortSignal): Promise<boolean> {
    const { rpc, state, log } = this.#parts
    const before = this.#incoming
    if (before === undefined) await this.#forget()
    const question = encodeQuestion({ transfer: before?.transfer ?? '', number: before?.next ?? 0 })
    const chunk = parsed(await rpc.call(from, method, question, { signal: deadline(chunkMs, stop) }), before)
    if (stop.aborted) return false
    await this.#keep(from, chunk)
    if (before === undefined) log.info({ peer: from }, 'state is coming in')
    if (!chunk.isLast) return false
    this.#complete = await readMarker(state.spare)
    log.info({ peer: from, index: this.#complete.index, chunks: chunk.number + 1 }, 'state received')
    return true
  }

  async #keep(from: PeerId, { transfer, number, rows, checksum }: Chunk): Promise<void> {
    const { store, state } = this.#parts
    const puts = unpackRows(rows).map(([key, value]): WriteOp => ({ type: 'put', key, value }))
    const progress = seal([from, transfer, number + 1, checksum])
    await store.write([...state.spare.writes(puts), { type: 'put', key: incomingKey, value: progress }], { sync: false })
    this.#incoming = { from, transfer, next: number + 1, checksum }
  }

  /** What is in the spare space belongs to nothing any more. */
  async #forget(): Promise<void> {
    const { store, state } = this.#parts
    await store.write([{ type: 'delete', key: incomingKey }], { sync: false })
    await state.spare.clear()
  }
}

/** @throws ClusterError `refused` where it is not the chunk that comes next: nothing of this transfer can be trusted then */
function parsed(payload: Uint8Array, before: Incoming | undefined): Chunk {
  const chunk = decodeChunk(payload)
  const isNext = chunk.number === (before?.next ?? 0) && (before === undefined || chunk.transfer === before.transfer)
  if (isNext && checksumOf(chunk.rows, before?.checksum ?? 0) === chunk.checksum) return chunk
  throw new ClusterError({ code: 'refused' }, 'a chunk of the state is not the one that comes next, or is damaged')
}
