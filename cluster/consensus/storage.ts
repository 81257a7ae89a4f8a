/**
 * Log, hard state and configurations as rows of the store, and the checks on what is found at start. What does not fit is refused with a
 * sentence, never repaired: a hole in the log may be an acknowledged write.
 *
 * A start reads a row for every change of term and of members, and the last entries; its time does not grow with the log.
 */
import { z } from 'zod'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import type { Configuration, Entry, HardState, Ready, Restored, Snapshot } from '../raft/types.ts'
import { key, numberKey, numberOf, prefixRange } from '../state/keys.ts'
import type { Rows, Store, WriteOp } from '../state/store.ts'
import { decodeConfiguration, decodeEntry, encodeConfiguration, encodeEntry } from './codec.ts'
import { readMarker } from './marker.ts'
import { seal, unseal } from './seal.ts'

/** Who this folder belongs to; written once. */
export interface Identity {
  readonly clusterId: string
  readonly nodeId: PeerId
}

/** How a folder was found. */
export interface FolderIdentity extends Identity {
  readonly format: number
}

/** Of the rows of the whole folder. A newer one is refused, an older one is brought up to it before anything else (`cluster/opened.ts`). */
export const formatVersion = 3
const log = 'l/'
/** First index of a run of equal terms. */
const terms = 't/'
const configurations = 'g/'
const identityKey = key('m/id')
const hardStateKey = key('m/hard-state')
/** The entry before the first one kept. What a crash leaves of entries up to it is nothing. */
const truncatedKey = key('m/truncated')
const readyKey = key('m/ready')
const presentKey = key('m/present')

const identity = z.object({ format: z.number(), clusterId: z.string(), nodeId: z.string() })
const index = z.int().nonnegative()
const hardState = z.tuple([index, z.string().nullable(), index])
const place = z.tuple([index, index])
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)

/** Entries verified at start, counted from the end; the others are verified when they are read. */
const verifiedAtStart = 1_000

interface Run {
  readonly index: number
  readonly term: number
}

export class LogStorage {
  readonly #store: Store
  #lastIndex = 0
  /** As on disk. */
  #runs: Run[] = []
  /** Where the members change, but for the founding ones. */
  #changes: number[] = []
  #truncated: Run = { index: 0, term: 0 }
  #writtenBytes = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** `undefined` for an empty folder. @throws ClusterError `cannot_start` */
  async identity(): Promise<FolderIdentity | undefined> {
    return orRefuse(async () => {
      const value = await this.#store.get(identityKey)
      if (value === undefined) return undefined
      const { format, clusterId, nodeId } = identity.parse(unseal(value))
      if (format > formatVersion || format < 1) {
        const way = 'start it with the version that wrote it'
        throw cannotStart(`the data folder has format ${format}, this version of flotilla knows format ${formatVersion}: ${way}`)
      }
      return { clusterId, nodeId: nodeId as PeerId, format }
    })
  }

  /** As {@link identity}, of a folder that is nobody else's. @throws ClusterError `cannot_start` */
  async identityOf(self: PeerId): Promise<FolderIdentity | undefined> {
    const identity = await this.identity()
    if (identity === undefined || identity.nodeId === self) return identity
    throw cannotStart(
      `the data folder belongs to peer ${identity.nodeId}, but identity.json says ${self}: a peer and its data go together; restore the identity, or start with an empty data folder and join as a new peer`
    )
  }

  /**
   * The first rows of a folder, durable when it returns: to whom it belongs and the configuration the log begins with.
   *
   * @param options.present the members now, where the log has grown since: whom a newcomer dials until it has read that far
   * @param options.isReady there is no state to catch up with
   * @param options.state the first rows of the state
   */
  async found(
    { clusterId, nodeId }: Identity,
    founding: Configuration,
    { isReady, present, state }: { readonly isReady: boolean; readonly present: Configuration; readonly state: readonly WriteOp[] }
  ): Promise<void> {
    const writes: WriteOp[] = [
      this.identified({ clusterId, nodeId }),
      { type: 'put', key: numberKey(configurations, 0), value: seal(encodeConfiguration(founding)) },
      { type: 'put', key: presentKey, value: seal(encodeConfiguration(present)) },
      ...state
    ]
    if (isReady) writes.push(this.markReady())
    await this.#store.write(writes, { sync: true })
  }

  /** The folder has that format, and belongs to that cluster, from the batch on that has this. */
  identified({ clusterId, nodeId }: Identity, format = formatVersion): WriteOp {
    return { type: 'put', key: identityKey, value: seal({ format, clusterId, nodeId }) }
  }

  /** The configuration before the first entry: what a newcomer's log has to begin with too. @throws ClusterError `cannot_start` */
  async founding(): Promise<Configuration> {
    return this.#configuration(numberKey(configurations, 0))
  }

  /** The members as they were when this folder was made. @throws ClusterError `cannot_start` */
  async present(): Promise<Configuration> {
    return this.#configuration(presentKey)
  }

  async #configuration(row: Uint8Array): Promise<Configuration> {
    return orRefuse(async () => {
      const value = await this.#store.get(row)
      check(value !== undefined, 'the members it began with are missing')
      return decodeConfiguration(bytes.parse(unseal(value)))
    })
  }

  async isReady(): Promise<boolean> {
    return (await this.#store.get(readyKey)) !== undefined
  }

  /** From now on this peer has state worth serving, also after a restart. */
  markReady(): WriteOp {
    return { type: 'put', key: readyKey, value: new Uint8Array() }
  }

  /** @throws ClusterError `cannot_start` where the rows contradict each other */
  async load(state: Rows): Promise<Restored> {
    return orRefuse(async () => {
      const [index, term] = place.parse(await this.#sealed(truncatedKey, [0, 0]))
      this.#truncated = { index, term }
      return this.#load(await readMarker(state))
    })
  }

  async #load({ index: applied }: Snapshot): Promise<Restored> {
    const truncated = this.#truncated
    const runs = await this.#loadRuns()
    const found = await this.#loadConfigurations()
    const [term, vote, commit] = hardState.parse(await this.#sealed(hardStateKey, [0, null, 0]))
    const lastIndex = await this.#verifyEntries(runs, new Set(found.map(({ index }) => index)))
    check((runs.at(-1)?.term ?? 0) <= term, `the log has term ${runs.at(-1)?.term}, but this peer has not been in a term after ${term}`)
    check((runs.at(-1)?.index ?? 0) <= lastIndex, `the log ends at ${lastIndex}, before its last term begins`)
    check((found.at(-1)?.index ?? 0) <= lastIndex, `the log ends at ${lastIndex}, before its last change of members`)
    // All of them move in one batch or in later ones, so a lost end of the writes cannot turn them round.
    check(commit <= lastIndex, `entry ${commit} is committed, but the log ends at ${lastIndex}`)
    check(applied <= commit, `entry ${applied} is applied, but only ${commit} are committed`)
    check(truncated.index <= applied, `the log begins behind entry ${truncated.index}, but only ${applied} are applied`)
    this.#lastIndex = lastIndex
    this.#runs = [...runs]
    return { hardState: { term, vote, commit }, applied, truncated, lastIndex, terms: runs, configurations: found }
  }

  async #loadRuns(): Promise<Run[]> {
    const runs: Run[] = []
    let known = this.#truncated.term
    for await (const [row, value] of this.#store.rows(prefixRange(terms))) {
      const run = { index: numberOf(terms, row), term: index.parse(unseal(value)) }
      // The first one may go on in the term of what is cut away.
      check(run.term > known || (runs.length === 0 && run.term === known), `the term falls at entry ${run.index}`)
      known = run.term
      runs.push(run)
    }
    return runs
  }

  async #loadConfigurations(): Promise<{ index: number; configuration: Configuration }[]> {
    const found: { index: number; configuration: Configuration }[] = []
    for await (const [row, value] of this.#store.rows(prefixRange(configurations))) {
      found.push({ index: numberOf(configurations, row), configuration: decodeConfiguration(bytes.parse(unseal(value))) })
    }
    check(found[0]?.index === 0, 'the members it began with are missing')
    this.#changes = found.slice(1).map(({ index }) => index)
    const effective = found.findLastIndex(({ index }) => index <= this.#truncated.index)
    return found.slice(Math.max(0, effective))
  }

  /** Looks at the first entry and the last ones. @returns the index of the last entry */
  async #verifyEntries(runs: readonly Run[], configured: ReadonlySet<number>): Promise<number> {
    const range = { ...prefixRange(log), gte: numberKey(log, this.#truncated.index + 1) }
    let first = 0
    for await (const [row] of this.#store.rows(range, { limit: 1 })) first = numberOf(log, row)
    check(first === (runs[0]?.index ?? 0) && (first === 0 || first === this.#truncated.index + 1), `the log begins at entry ${first}`)
    let last = 0
    let expected: number | undefined
    let run = runs.length - 1
    for await (const [row, value] of this.#store.rows(range, { reverse: true, limit: verifiedAtStart })) {
      const at = numberOf(log, row)
      last ||= at
      check(expected === undefined || at === expected, `entry ${expected} is missing`)
      const entry = decodeEntry(value)
      while ((runs[run]?.index ?? 0) > at) run--
      check(entry.index === at && entry.term === runs[run]?.term, `entry ${at} is not what it should be`)
      check(entry.type !== 'configuration' || configured.has(at), `the change of members at entry ${at} has no row`)
      expected = at - 1
    }
    return last || this.#truncated.index
  }

  /** The rows for what the core wants kept. They must be written before it is asked again. */
  writesFor({ entries, hardState }: Pick<Ready, 'entries' | 'hardState'>): WriteOp[] {
    const writes: WriteOp[] = []
    const first = entries[0]
    if (first !== undefined && first.index <= this.#lastIndex) this.#truncate(first.index, writes)
    for (const entry of entries) {
      const value = encodeEntry(entry)
      this.#writtenBytes += value.length
      writes.push({ type: 'put', key: numberKey(log, entry.index), value })
      if (entry.term !== this.#runs.at(-1)?.term) this.#begin({ index: entry.index, term: entry.term }, writes)
      if (entry.type === 'configuration') {
        this.#configure(entry.index, entry.configuration, writes)
      }
      this.#lastIndex = entry.index
    }
    if (hardState !== null) writes.push({ type: 'put', key: hardStateKey, value: sealHardState(hardState) })
    return writes
  }

  /** Drops what a new leader replaces, in the batch that brings the replacement. */
  #truncate(from: number, writes: WriteOp[]): void {
    for (let index = from; index <= this.#lastIndex; index++) {
      for (const prefix of [log, terms, configurations]) writes.push({ type: 'delete', key: numberKey(prefix, index) })
    }
    this.#runs = this.#runs.filter(({ index }) => index < from)
    this.#changes = this.#changes.filter(index => index < from)
    this.#lastIndex = from - 1
  }

  #begin(run: Run, writes: WriteOp[]): void {
    this.#runs.push(run)
    writes.push({ type: 'put', key: numberKey(terms, run.index), value: seal(run.term) })
  }

  #configure(index: number, configuration: Configuration, writes: WriteOp[]): void {
    this.#changes.push(index)
    writes.push({ type: 'put', key: numberKey(configurations, index), value: seal(encodeConfiguration(configuration)) })
  }

  /** Bytes of entries written since the start. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  get lastIndex(): number {
    return this.#lastIndex
  }

  /** The entry before the first one kept. */
  get truncated(): Run {
    return this.#truncated
  }

  /** From now on the log begins behind `last`. The rows of the entries themselves are nothing to anybody then, and go by {@link forget}. */
  cut(last: Run): WriteOp[] {
    const writes: WriteOp[] = [{ type: 'put', key: truncatedKey, value: seal([last.index, last.term]) }]
    const term = this.#runs.findLast(({ index }) => index <= last.index + 1)?.term
    const kept = this.#runs.filter(({ index }) => index > last.index + 1)
    for (const { index } of this.#runs) if (index <= last.index) writes.push({ type: 'delete', key: numberKey(terms, index) })
    this.#runs = []
    if (term !== undefined && last.index < this.#lastIndex) this.#begin({ index: last.index + 1, term }, writes)
    this.#runs.push(...kept)
    this.#forgetChanges(this.#changes.findLast(index => index <= last.index) ?? 0, writes)
    this.#truncated = last
    return writes
  }

  #forgetChanges(before: number, writes: WriteOp[]): void {
    for (const index of this.#changes) if (index < before) writes.push({ type: 'delete', key: numberKey(configurations, index) })
    this.#changes = this.#changes.filter(index => index >= before)
  }

  /** The entry whose row comes first, cut away or not; one behind the last where there is none. */
  async firstRow(): Promise<number> {
    for await (const [row] of this.#store.rows(prefixRange(log), { limit: 1 })) return numberOf(log, row)
    return this.#lastIndex + 1
  }

  /** The rows of the entries from `from` to `to`, which are cut away. */
  forget(from: number, to: number): WriteOp[] {
    return range(from, to).map(index => ({ type: 'delete', key: numberKey(log, index) }))
  }

  /**
   * The log goes on behind `snapshot`, whose state is stored in the same batch.
   * @param options.lastIndex where the log ends by now: where it goes on behind the snapshot, what is on disk of that stays
   */
  restored(
    { index, term, configuration: placed }: Snapshot,
    { lastIndex, hardState }: { readonly lastIndex: number; readonly hardState: HardState }
  ): WriteOp[] {
    const writes: WriteOp[] = []
    const isContinued = lastIndex > index && this.#runs.findLast(run => run.index <= index)?.term === term
    if (!isContinued && this.#lastIndex > index) this.#truncate(index + 1, writes)
    this.#lastIndex = Math.max(this.#lastIndex, index)
    // What the members were by the log that is replaced is no word of them.
    this.#changes = this.#changes.filter(change => {
      if (change <= index) writes.push({ type: 'delete', key: numberKey(configurations, change) })
      return change > index
    })
    if (placed.index > 0) {
      const later = this.#changes.splice(0)
      this.#configure(placed.index, placed.configuration, writes)
      this.#changes.push(...later)
    }
    writes.push(...this.cut({ index, term }))
    writes.push({ type: 'put', key: hardStateKey, value: sealHardState(hardState) })
    return writes
  }

  /** Entries from `from` to `to`, both included, up to about `bytesMax`, at least one. @throws Error where one is missing or damaged */
  async read(from: number, to: number, bytesMax: number): Promise<Entry[]> {
    const entries: Entry[] = []
    let bytes = 0
    for await (const [, value] of this.#store.rows({ gte: numberKey(log, from), lt: numberKey(log, to + 1) })) {
      const entry = decodeEntry(value)
      check(entry.index === from + entries.length, `entry ${from + entries.length} is missing`)
      bytes += value.length
      if (bytes > bytesMax && entries.length > 0) break
      entries.push(entry)
    }
    check(entries.length > 0, `entry ${from} is missing`)
    return entries
  }

  async #sealed(row: Uint8Array, otherwise: unknown): Promise<unknown> {
    const value = await this.#store.get(row)
    return value === undefined ? otherwise : unseal(value)
  }
}

/** @throws ClusterError `cannot_start` for whatever goes wrong: the folder cannot be used as it is */
export async function orRefuse<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ClusterError) throw error
    const way = 'move the folder aside and let this peer join again with a new identity'
    throw cannotStart(`the log in the data folder is damaged (${messageOf(error)}): ${way}`, error)
  }
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, place) => from + place)
}

function sealHardState({ term, vote, commit }: HardState): Uint8Array {
  return seal([term, vote, commit])
}

function check(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Error(problem)
}

function cannotStart(message: string, cause?: unknown): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message, { cause })
}
