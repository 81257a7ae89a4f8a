/**
 * A disk that forgets: a write takes time, and a crash loses what was not synced. Batches are atomic and survive in order, so after a crash the
 * disk holds everything synced, and of the later batches any number of the first ones, also one that was still under way.
 */
import { decode } from 'cborg'
import { decodeEntry } from '../../cluster/consensus/codec.ts'
import type { HardState } from '../../cluster/raft/types.ts'
import { key, numberOf } from '../../cluster/state/keys.ts'
import type { Range, Store, WriteOp } from '../../cluster/state/store.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Life } from './peer.ts'
import type { Random } from './random.ts'
import { Table } from './table.ts'

interface Batch {
  readonly ops: readonly WriteOp[]
  readonly isSynced: boolean
}

interface Queued extends Batch {
  /** By reads, before it is written. */
  readonly isSeen: boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** What is certain to survive a crash, as far as the checks care. */
export interface Durable {
  readonly lastIndex: number
  readonly hardState: HardState
  readonly applied: number
  /** The entry before the first one kept. */
  readonly truncated: number
}

const hardStateName = 'm/hard-state'
const truncatedName = 'm/truncated'
const choiceName = 'm/space'
/** Behind the name of the space. */
const appliedName = '/p/applied'
const entryPrefix = key('l/')

export class Disk {
  readonly #random: Random
  #durable = new Table()
  #visible = new Table()
  /** Written, or being written, but not certain to survive. */
  #pending: Batch[] = []
  /** Terms of the durable entries, also of those that were cut away since; the one with index i is at i - 1. */
  readonly #terms: number[] = []
  #hardState: HardState = { term: 0, vote: null, commit: 0 }
  /** In each of the two spaces. */
  readonly #applied = [0, 0]
  #space = 0
  #truncated = 0
  delayMax: number
  /** The next write fails, and so does everything behind it. */
  isBroken = false

  constructor(random: Random, delayMax: number) {
    this.#random = random
    this.delayMax = delayMax
  }

  get durable(): Durable {
    const applied = this.#applied[this.#space] ?? 0
    return { lastIndex: this.#terms.length, hardState: this.#hardState, applied, truncated: this.#truncated }
  }

  durableTermAt(index: number): number | undefined {
    return this.#terms[index - 1]
  }

  /**
   * The disk as one life of a process sees it.
   * @param settled something became certain to survive
   */
  open(life: Pick<Life, 'later' | 'isOver'>, settled: () => void): Store {
    const disk = this
    const queue: Queued[] = []
    let isWriting = false
    const pause = () => new Promise<void>(resolve => life.later(disk.#random.below(2), resolve))

    const next = (): void => {
      // As the store does: what waits shares a batch. Now and then it does not, so that a crash can come in between.
      const group = queue.splice(0, disk.#random.below(4) === 0 ? 1 : queue.length)
      isWriting = group.length > 0
      if (!isWriting) return
      const isSynced = group.some(({ isSynced }) => isSynced)
      disk.#pending.push({ ops: group.flatMap(({ ops }) => ops), isSynced })
      life.later(disk.#random.between(1, isSynced ? disk.delayMax : 2), () => {
        if (disk.isBroken) {
          for (const { reject } of group) reject(new ClusterError({ code: 'storage_failed' }, 'the disk is broken'))
          return
        }
        for (const { ops, isSeen } of group) if (!isSeen) disk.#visible.apply(ops)
        if (isSynced) disk.#keep(disk.#pending.length)
        settled()
        for (const { resolve } of group) resolve()
        next()
      })
    }

    return {
      engine: 'leveldb',
      async get(key) {
        await pause()
        return disk.#visible.get(key)
      },
      async *rows(range: Range, options) {
        const rows = disk.#visible.range(range, options)
        await pause()
        yield* rows
      },
      write(ops, { sync, canWait = false }) {
        return new Promise((resolve, reject) => {
          // What a dead process still says reaches no disk.
          if (life.isOver) return
          queue.push({ ops, isSynced: sync, isSeen: canWait, resolve, reject })
          if (canWait) disk.#visible.apply(ops)
          if (!isWriting) next()
        })
      },
      async *pages(range: Range, options) {
        yield await Array.fromAsync(this.rows(range, options))
      },
      async clear(range) {
        for (;;) {
          await pause()
          const rows = disk.#visible.range(range, { limit: 3 })
          if (rows.length === 0) return
          await this.write(
            rows.map(([key]) => ({ type: 'delete', key })),
            { sync: false }
          )
        }
      },
      async [Symbol.asyncDispose]() {}
    }
  }

  crash(): void {
    this.isBroken = false
    this.#keep(this.#random.between(0, this.#pending.length))
    this.#pending = []
    this.#visible = this.#durable.copy()
  }

  /** Makes the first `count` pending batches certain. */
  #keep(count: number): void {
    for (const { ops } of this.#pending.splice(0, count)) {
      this.#durable.apply(ops)
      for (const op of ops) this.#note(op)
    }
  }

  #truncate([index, term]: [number, number]): void {
    this.#truncated = index
    while (this.#terms.length < index) this.#terms.push(0)
    this.#terms[index - 1] = term
  }

  #note(op: WriteOp): void {
    if (isEntry(op.key)) {
      const index = numberOf('l/', op.key)
      // Where the log is cut at its beginning, what was there stays known.
      if (op.type === 'delete') this.#terms.length = index > this.#truncated ? Math.min(this.#terms.length, index - 1) : this.#terms.length
      else this.#terms[index - 1] = decodeEntry(op.value).term
      return
    }
    if (op.type === 'delete') return
    const name = Buffer.from(op.key).toString('latin1')
    // A row begins with its checksum.
    if (name.endsWith(appliedName)) this.#applied[Number(name[0])] = (decode(op.value.subarray(4)) as [number, number])[0]
    if (name === choiceName) this.#space = op.value[0] ?? 0
    if (name === truncatedName) this.#truncate(decode(op.value.subarray(4)) as [number, number])
    if (name !== hardStateName) return
    const [term, vote, commit] = decode(op.value.subarray(4)) as [number, string | null, number]
    this.#hardState = { term, vote, commit }
  }
}

function isEntry(name: Uint8Array): boolean {
  return name.length === entryPrefix.length + 8 && name[0] === entryPrefix[0] && name[1] === entryPrefix[1]
}
