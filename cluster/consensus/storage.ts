/**
 * Log, hard state and configurations as rows of the store, and the checks on what is found at start. What does not fit is refused with a
 * sentence, never repaired: a hole in the log may be an acknowledged write.
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import type { Configuration, Entry, HardState, Ready, Restored } from '../raft/types.ts'
import { key, numberKey, numberOf, prefixRange } from '../state/keys.ts'
import type { Store, WriteOp } from '../state/store.ts'
import { decodeConfiguration, decodeEntry, encodeConfiguration, encodeEntry } from './codec.ts'

/** Who this folder belongs to; written once. */
export interface Identity {
  readonly clusterId: string
  readonly nodeId: PeerId
}

const formatVersion = 1
const log = 'l/'
const terms = 't/'
const configurations = 'g/'
const identityKey = key('m/id')
const hardStateKey = key('m/hard-state')
const appliedKey = key('m/applied')
const readyKey = key('m/ready')
const presentKey = key('m/present')

const identity = z.object({ format: z.number(), clusterId: z.string(), nodeId: z.string() })
const hardState = z.tuple([z.number(), z.string().nullable(), z.number()])

/** Entries whose checksums are verified at start, counted from the end; the others are verified when they are read. */
const verifiedAtStart = 1_000

export class LogStorage {
  readonly #store: Store
  #lastIndex = 0
  /** First index of every run of equal terms, as on disk. */
  #runs: { readonly index: number; readonly term: number }[] = []

  constructor(store: Store) {
    this.#store = store
  }

  async identity(): Promise<Identity | undefined> {
    const value = await this.#store.get(identityKey)
    if (value === undefined) return undefined
    const found = identity.parse(decode(value))
    if (found.format !== formatVersion) {
      throw cannotStart(
        `the data folder has format ${found.format}, this version of flotilla knows format ${formatVersion}: start it with the version that wrote it`
      )
    }
    return { clusterId: found.clusterId, nodeId: found.nodeId as PeerId }
  }

  /** The first rows of a folder: to whom it belongs and the configuration the log begins with. */
  async found(
    { clusterId, nodeId }: Identity,
    configuration: Configuration,
    { isReady, present }: { isReady: boolean; present: Configuration }
  ): Promise<void> {
    const writes: WriteOp[] = [
      { type: 'put', key: identityKey, value: encode({ format: formatVersion, clusterId, nodeId }) },
      { type: 'put', key: numberKey(configurations, 0), value: encodeConfiguration(configuration) },
      { type: 'put', key: presentKey, value: encodeConfiguration(present) }
    ]
    if (isReady) writes.push(this.markReady())
    await this.#store.write(writes, { sync: true })
  }

  /** The configuration before the first entry: what a newcomer's log has to begin with too. */
  async founding(): Promise<Configuration> {
    const value = await this.#store.get(numberKey(configurations, 0))
    if (value === undefined) throw cannotStart('the data folder has no founding configuration')
    return decodeConfiguration(value)
  }

  /** The members when this folder was made: whom a newcomer dials until its log says more. */
  async present(): Promise<Configuration> {
    const value = await this.#store.get(presentKey)
    return value === undefined ? this.founding() : decodeConfiguration(value)
  }

  async isReady(): Promise<boolean> {
    return (await this.#store.get(readyKey)) !== undefined
  }

  /** From now on this peer has state worth serving, also after a restart. */
  markReady(): WriteOp {
    return { type: 'put', key: readyKey, value: new Uint8Array() }
  }

  async load(): Promise<Restored> {
    try {
      return await this.#load()
    } catch (error) {
      if (error instanceof ClusterError) throw error
      throw cannotStart(
        `the log in the data folder is damaged (${messageOf(error)}): move the folder aside and let this peer join again with a new identity`
      )
    }
  }

  async #load(): Promise<Restored> {
    const runs: { index: number; term: number }[] = []
    for await (const [row, value] of this.#store.rows(prefixRange(terms)))
      runs.push({ index: numberOf(terms, row), term: numberOf('', value) })
    const found: { index: number; configuration: Configuration }[] = []
    for await (const [row, value] of this.#store.rows(prefixRange(configurations))) {
      found.push({ index: numberOf(configurations, row), configuration: decodeConfiguration(value) })
    }
    const saved = await this.#store.get(hardStateKey)
    const [term, vote, commit] = saved === undefined ? ([0, null, 0] as const) : hardState.parse(decode(saved))
    const appliedValue = await this.#store.get(appliedKey)
    const applied = appliedValue === undefined ? 0 : numberOf('', appliedValue)
    const lastIndex = await this.#verifyTail(runs)
    // The commit index is written without waiting for the disk, the applied index moves with the state: either may be the later one.
    const known = Math.min(Math.max(commit, applied), lastIndex)
    check(applied <= lastIndex, `entry ${applied} is applied, but the log ends at ${lastIndex}`)
    check(
      runs.every((run, position) => run.term <= term && run.term > (runs[position - 1]?.term ?? 0)),
      'terms do not grow'
    )
    this.#lastIndex = lastIndex
    this.#runs = [...runs]
    return {
      hardState: { term, vote, commit: known },
      applied,
      truncated: { index: 0, term: 0 },
      lastIndex,
      terms: runs,
      configurations: found
    }
  }

  /** @returns the index of the last entry */
  async #verifyTail(runs: readonly { index: number; term: number }[]): Promise<number> {
    let expected: number | undefined
    let last = 0
    for await (const [row, value] of this.#store.rows(prefixRange(log), { reverse: true, limit: verifiedAtStart })) {
      const index = numberOf(log, row)
      last ||= index
      check(expected === undefined || index === expected, `entry ${expected} is missing`)
      const entry = decodeEntry(value)
      check(entry.index === index, `entry ${index} calls itself ${entry.index}`)
      expected = index - 1
    }
    check(last > 0 || runs.length === 0, 'there are terms without entries')
    return last
  }

  /** The rows for what the core wants kept. */
  writesFor({ entries, hardState }: Pick<Ready, 'entries' | 'hardState'>): WriteOp[] {
    const writes: WriteOp[] = []
    const first = entries[0]
    if (first !== undefined && first.index <= this.#lastIndex) this.#truncate(first.index, writes)
    for (const entry of entries) {
      writes.push({ type: 'put', key: numberKey(log, entry.index), value: encodeEntry(entry) })
      if (entry.term !== this.#runs.at(-1)?.term) {
        this.#runs.push({ index: entry.index, term: entry.term })
        writes.push({ type: 'put', key: numberKey(terms, entry.index), value: numberKey('', entry.term) })
      }
      if (entry.type === 'configuration') {
        writes.push({ type: 'put', key: numberKey(configurations, entry.index), value: encodeConfiguration(entry.configuration) })
      }
      this.#lastIndex = entry.index
    }
    if (hardState !== null) writes.push({ type: 'put', key: hardStateKey, value: encodeHardState(hardState) })
    return writes
  }

  /** Drops what a new leader replaces, in the batch that brings the replacement. */
  #truncate(from: number, writes: WriteOp[]): void {
    for (let index = from; index <= this.#lastIndex; index++) {
      for (const prefix of [log, terms, configurations]) writes.push({ type: 'delete', key: numberKey(prefix, index) })
    }
    this.#runs = this.#runs.filter(({ index }) => index < from)
    this.#lastIndex = from - 1
  }

  applied(index: number): WriteOp {
    return { type: 'put', key: appliedKey, value: numberKey('', index) }
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
}

function encodeHardState({ term, vote, commit }: HardState): Uint8Array {
  return encode([term, vote, commit])
}

function check(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Error(problem)
}

function cannotStart(message: string): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message)
}
