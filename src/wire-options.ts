/**
 * Pin options and filters as a query string, both ways, as ipfs-cluster's clients write them. What a client leaves empty or zero is not
 * asked for and takes the configuration's default. The first of repeated keys counts. Every refusal is one sentence that names the key.
 */
import type { Consistency } from './api.ts'
import { parseCid, parseDuration, parseMultiaddr, tryPeerId } from './codec.ts'
import { ClusterError, messageOf } from './errors.ts'
import type { Cid, ImportOptions, PeerId, PinFilter, PinOptions, PinType, Status } from './types.ts'
import { statuses } from './types.ts'
import { pinTypes } from './wire.ts'
import { formatTime, lastMs, parseTime } from './wire-time.ts'

/** A parsed query string: repeated keys are lists. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>

const metadataPrefix = 'meta-'

/**
 * @param nowMs Unix milliseconds, for `expire-in`
 * @throws ClusterError `invalid`
 */
export function readPinOptions(query: Query, nowMs: number): PinOptions {
  const both = integer(query, 'replication')
  const replicationMin = both ?? integer(query, 'replication-min')
  const replicationMax = both ?? integer(query, 'replication-max')
  const name = first(query, 'name')
  const userAllocations = peerIds(first(query, 'user-allocations'))
  const expireAt = expiry(query, nowMs)
  const metadata = metadataOf(query)
  const pinUpdate = first(query, 'pin-update')
  const origins = commaList(first(query, 'origins')).map(originOf)
  // Shards are made by adding, which has its own door; here the key is only held to its type, as old clients always send it.
  if (!/^\d*$/.test(first(query, 'shard-size'))) throw invalid('parameter shard-size invalid: expected a number of bytes')
  return {
    ...(name !== '' && { name }),
    // An unknown mode is recursive for the Go system, and its clients may rely on that.
    ...(first(query, 'mode') === 'direct' && { mode: 'direct' }),
    ...(replicationMin !== undefined && { replicationMin }),
    ...(replicationMax !== undefined && { replicationMax }),
    ...(userAllocations.length > 0 && { userAllocations }),
    ...(expireAt !== null && { expireAt }),
    ...(metadata && { metadata }),
    ...(pinUpdate !== '' && { pinUpdate: cidIn('pin-update', pinUpdate) }),
    ...(origins.length > 0 && { origins })
  }
}

/**
 * The inverse of {@link readPinOptions}; what says nothing is left out.
 * @throws ClusterError `invalid` for a metadata entry without a key, which the query string cannot carry
 */
export function writePinOptions(options: PinOptions): URLSearchParams {
  const query = new URLSearchParams()
  if (options.replicationMin) query.set('replication-min', String(options.replicationMin))
  if (options.replicationMax) query.set('replication-max', String(options.replicationMax))
  if (options.name) query.set('name', options.name)
  if (options.mode) query.set('mode', options.mode)
  if (options.userAllocations?.length) query.set('user-allocations', options.userAllocations.join(','))
  if (options.expireAt !== undefined && options.expireAt !== null) query.set('expire-at', formatTime(options.expireAt))
  if (options.pinUpdate) query.set('pin-update', options.pinUpdate)
  if (options.origins?.length) query.set('origins', options.origins.join(','))
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    if (key === '') throw invalid('a metadata entry needs a key')
    query.set(`${metadataPrefix}${key}`, value)
  }
  return query
}

/** @throws ClusterError `invalid` */
export function readImportOptions(query: Query): ImportOptions {
  const existing = first(query, 'existing')
  if (existing !== '' && existing !== 'replace' && existing !== 'keep')
    throw invalid('parameter existing invalid: expected replace or keep')
  const replicationMin = integer(query, 'replication-min')
  const replicationMax = integer(query, 'replication-max')
  if ((replicationMin === undefined) !== (replicationMax === undefined)) {
    throw invalid('replication-min and replication-max of an import go together: give both or none')
  }
  return {
    ...(existing !== '' && { existing }),
    ...(replicationMin !== undefined && { replicationMin }),
    ...(replicationMax !== undefined && { replicationMax })
  }
}

/** The inverse of {@link readImportOptions}. */
export function writeImportOptions({ existing, replicationMin, replicationMax }: ImportOptions): URLSearchParams {
  const query = new URLSearchParams()
  if (existing) query.set('existing', existing)
  if (replicationMin) query.set('replication-min', String(replicationMin))
  if (replicationMax) query.set('replication-max', String(replicationMax))
  return query
}

/**
 * Names of statuses, and `error` and `queued` for several at once. Unknown names beside known ones are passed over.
 * @returns `undefined` for all
 * @throws ClusterError `invalid` where no name is known
 */
export function readStatusFilter(query: Query): readonly Status[] | undefined {
  const names = commaList(first(query, 'filter').replaceAll(' ', ''))
  if (names.length === 0) return undefined
  const wanted = statuses.filter(status => names.includes(status) || names.some(name => composites[name]?.includes(status)))
  if (wanted.every(status => status === 'undefined')) throw invalid(`invalid filter value: expected some of ${allStatusNames.join(', ')}`)
  return wanted
}

const composites: Readonly<Record<string, readonly Status[]>> = {
  error: ['cluster_error', 'pin_error', 'unpin_error'],
  queued: ['pin_queued', 'unpin_queued']
}
const allStatusNames = [...statuses.filter(status => status !== 'undefined'), ...Object.keys(composites)]

/** As {@link readStatusFilter}, for the types of pins; `all` is one of the names. */
function readTypeFilter(query: Query): readonly PinType[] | undefined {
  const names = commaList(first(query, 'filter').replaceAll(' ', ''))
  if (names.length === 0 || names.includes('all')) return undefined
  const wanted = pinTypes.filter(type => names.includes(type))
  if (wanted.length === 0) throw invalid(`invalid filter value: expected some of all, ${pinTypes.join(', ')}`)
  return wanted
}

/**
 * The filter of lists of pins; but for `filter`, only this system knows its keys.
 * @throws ClusterError `invalid`
 */
export function readPinFilter(query: Query): PinFilter {
  const order = first(query, 'order')
  if (order !== '' && order !== 'oldest' && order !== 'newest') throw invalid('parameter order invalid: expected oldest or newest')
  const limit = first(query, 'limit')
  if (!/^\d{0,9}$/.test(limit)) throw invalid('parameter limit invalid: expected a number of pins')
  const name = first(query, 'name')
  const namePrefix = first(query, 'name-prefix')
  return {
    types: readTypeFilter(query),
    ...(name !== '' && { name }),
    ...(namePrefix !== '' && { namePrefix }),
    after: momentIn(query, 'after'),
    before: momentIn(query, 'before'),
    ...(order !== '' && { order }),
    ...(limit !== '' && { limit: Number(limit) })
  }
}

/** The inverse of {@link readPinFilter}. */
export function writePinFilter({ types, name, namePrefix, after, before, order, limit }: PinFilter): URLSearchParams {
  const query = new URLSearchParams()
  if (types !== undefined) query.set('filter', types.join(','))
  if (name) query.set('name', name)
  if (namePrefix) query.set('name-prefix', namePrefix)
  if (after !== undefined) query.set('after', formatTime(after))
  if (before !== undefined) query.set('before', formatTime(before))
  if (order) query.set('order', order)
  if (limit !== undefined) query.set('limit', String(limit))
  return query
}

function momentIn(query: Query, key: string): number | undefined {
  const text = first(query, key)
  if (text === '') return undefined
  const ms = parseTime(text)
  if (ms === undefined) throw invalid(`parameter ${key} invalid: expected a time like 2026-05-11T10:17:41Z`)
  return ms ?? 0
}

/** @returns `undefined` where the query names no CIDs @throws ClusterError `invalid` */
export function readCids(query: Query): readonly Cid[] | undefined {
  const names = commaList(first(query, 'cids'))
  return names.length === 0 ? undefined : names.map(name => cidIn('cids', name))
}

/** True only for the exact text `true`. */
export function readLocal(query: Query): boolean {
  return first(query, 'local') === 'true'
}

/** @param header `X-Flotilla-Consistency`, where the query says nothing @throws ClusterError `invalid` */
export function readConsistency(query: Query, header: string | readonly string[] | undefined): Consistency {
  const asked = first(query, 'consistency') || first({ header }, 'header')
  if (asked === '' || asked === 'local') return 'local'
  if (asked !== 'linearizable') throw invalid('consistency invalid: expected local or linearizable')
  return asked
}

/** The value of `key`, of repeated ones the first; empty where it is absent. */
export function first(query: Query, key: string): string {
  const value = query[key]
  return (typeof value === 'string' ? value : value?.[0]) ?? ''
}

/** @returns `undefined` for absent, empty and 0, which all ask for the configuration's value */
function integer(query: Query, key: string): number | undefined {
  const text = first(query, key)
  if (text === '') return undefined
  if (!/^[+-]?\d{1,9}$/.test(text)) throw invalid(`parameter ${key} invalid: expected a whole number, -1 for every peer`)
  return Number(text) || undefined
}

function expiry(query: Query, nowMs: number): number | null {
  const at = first(query, 'expire-at')
  if (at !== '') {
    const ms = parseTime(at)
    if (ms === undefined) throw invalid('expire-at cannot be parsed: expected a time like 2026-05-11T10:17:41Z')
    return ms
  }
  const within = first(query, 'expire-in')
  if (within === '') return null
  const ms = durationIn('expire-in', within)
  if (ms < 1_000) throw invalid('expire-in duration too short: expected at least 1s')
  if (nowMs + ms > lastMs) throw invalid('expire-in duration too long: the pin would expire after the year 9999')
  return Math.round(nowMs + ms)
}

function metadataOf(query: Query): Readonly<Record<string, string>> | undefined {
  const keys = Object.keys(query).filter(key => key.startsWith(metadataPrefix) && key.length > metadataPrefix.length)
  // fromEntries defines fields; assigning would lose one that is called "__proto__".
  return keys.length === 0 ? undefined : Object.fromEntries(keys.map(key => [key.slice(metadataPrefix.length), first(query, key)]))
}

/** Preferences that are no peer ids are passed over, as are peers that cannot take the pin. */
function peerIds(text: string): readonly PeerId[] {
  return commaList(text)
    .map(tryPeerId)
    .filter(id => id !== undefined)
}

function originOf(text: string) {
  const origin = named('origins', text, parseMultiaddr)
  const parts = origin.split('/')
  const peer = parts[parts.indexOf('p2p') + 1]
  if (!parts.includes('p2p') || peer === undefined || tryPeerId(peer) === undefined) {
    throw invalid(`parameter origins invalid: expected each address to end with /p2p/<peer id>`)
  }
  return origin
}

function cidIn(key: string, text: string): Cid {
  return named(key, text, parseCid)
}

function durationIn(key: string, text: string): number {
  return named(key, text, parseDuration)
}

function named<T>(key: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    throw invalid(`parameter ${key} invalid: ${messageOf(error)}`)
  }
}

function commaList(text: string): readonly string[] {
  return text.split(',').filter(part => part !== '')
}

function invalid(message: string): ClusterError {
  return new ClusterError({ code: 'invalid' }, message)
}
