/**
 * One ordered key-value store per peer. Two engines behind one contract: RocksDB and LevelDB.
 * One write is outstanding, ever; what arrives meanwhile goes into the next batch (the bindings reorder overlapping batches, and may
 * report success after an EIO). Any write error is fatal.
 */

export type WriteOp =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: Uint8Array }

/** Bounds on keys, compared bytewise: `gte` included, `lt` not. */
export interface Range {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

export type Row = readonly [key: Uint8Array, value: Uint8Array]

export interface RowsOptions {
  readonly reverse?: boolean
  readonly limit?: number
}

export interface Rows {
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  /** Rows in key order, as of the first step, whatever is written meanwhile. Leaving the loop early closes what is open below. */
  rows(range: Range, options?: RowsOptions): AsyncIterable<Row>
  /** As {@link rows}, as many at a time as the engine gives: a step for each costs more than the row. */
  pages(range: Range, options?: RowsOptions): AsyncIterable<readonly Row[]>
}

export interface WriteOptions {
  readonly sync: boolean
  readonly canWait?: boolean
}

export type Engine = 'rocksdb' | 'leveldb'

export interface Store extends Rows, AsyncDisposable {
  readonly engine: Engine
  /**
   * Applies `ops` in order, all or nothing, after every write that was asked for before. Writes that wait for the running one are
   * merged into one batch. `sync`: on disk, not only in the operating system, when it resolves.
   * `canWait`: may wait some milliseconds for a batch of somebody else, where there are many of them; reads see it from this call on all the same.
   * @throws ClusterError `storage_failed`, and then for every later write too: the owner stops the peer
   */
  write(ops: readonly WriteOp[], options: WriteOptions): Promise<void>
  /** Deletes rows in limited batches, not atomically. */
  clear(range: Range): Promise<void>
}
