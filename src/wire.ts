/**
 * The nouns as JSON on the REST API and in exports, in the shapes of ipfs-cluster 1.1.6: same names, same order, read by its Go client
 * and read from its Go servers. Writing gives plain objects for one `JSON.stringify`; reading takes `unknown` and gives nouns.
 * Fields that only this system has come last, and are left out where they say nothing: `version` of a pin, `progress` of a status.
 *
 * An empty peer id is left out, never written as "": a Go client refuses the whole object.
 * @see https://ipfscluster.io/documentation/reference/api/
 */
import { parseCid, parseMultiaddr, parsePeerId } from './codec.ts'
import { ClusterError } from './errors.ts'
import type {
  Collected,
  FetchProgress,
  ImportProgress,
  KuboIdentity,
  Overview,
  PeerHealth,
  PeerInfo,
  PeerStatus,
  Pin,
  PinMode,
  PinProgress,
  PinStatus,
  PinType,
  RepositorySize,
  Role,
  Status
} from './types.ts'
import { statuses } from './types.ts'
import {
  choiceField,
  flagField,
  type Json,
  listField,
  nullableNumberField,
  numberField,
  objectOf,
  parsedField,
  requiredField,
  textField,
  textsField
} from './wire-fields.ts'
import { formatTime, parseTime } from './wire-time.ts'

export const pinTypes = ['pin', 'meta-pin', 'clusterdag-pin', 'shard-pin'] as const satisfies readonly PinType[]
const pinModes = ['recursive', 'direct'] as const satisfies readonly PinMode[]
const roles = ['leader', 'follower', 'candidate', 'learner', 'unreachable'] as const satisfies readonly Role[]

export function pinToJson(pin: Pin): Json {
  return {
    replication_factor_min: pin.replicationMin,
    replication_factor_max: pin.replicationMax,
    name: pin.name,
    mode: pin.mode,
    shard_size: pin.shardSize,
    // Preferences are spent when the pin is allocated, and not part of what is agreed.
    user_allocations: null,
    expire_at: formatTime(pin.expireAt),
    metadata: filled(pin.metadata),
    pin_update: pin.pinUpdate,
    origins: pin.origins,
    cid: pin.cid,
    type: pin.type,
    allocations: pin.allocations,
    max_depth: pin.maxDepth,
    reference: pin.reference,
    timestamp: instant(pin.timestamp),
    ...(pin.version !== 0 && { version: pin.version })
  }
}

/**
 * Also reads exports that leave fields out: no type is a plain pin, and the depth follows the mode.
 * @throws ClusterError `invalid`
 */
export function pinFromJson(value: unknown): Pin {
  const from = objectOf(value, 'pin')
  const mode = choiceField(from, 'mode', pinModes, 'recursive')
  return {
    cid: requiredField(from, 'cid', parseCid),
    type: choiceField(from, 'type', pinTypes, 'pin'),
    name: textField(from, 'name'),
    mode,
    replicationMin: numberField(from, 'replication_factor_min'),
    replicationMax: numberField(from, 'replication_factor_max'),
    allocations: listField(from, 'allocations', parsePeerId),
    expireAt: parsedField(from, 'expire_at', instantOf),
    metadata: textsField(from, 'metadata'),
    pinUpdate: parsedField(from, 'pin_update', parseCid),
    origins: listField(from, 'origins', parseMultiaddr),
    maxDepth: numberField(from, 'max_depth', mode === 'direct' ? 0 : -1),
    reference: parsedField(from, 'reference', parseCid),
    shardSize: numberField(from, 'shard_size'),
    timestamp: parsedField(from, 'timestamp', instantOf) ?? 0,
    version: numberField(from, 'version')
  }
}

/** GlobalPinInfo. */
export function pinStatusToJson(status: PinStatus): Json {
  return {
    cid: status.cid,
    name: status.name,
    allocations: status.allocations,
    origins: status.origins,
    created: instant(status.created),
    metadata: filled(status.metadata),
    peer_map: Object.fromEntries([...status.peers].map(([peer, one]) => [peer, peerStatusToJson(one)]))
  }
}

/** @throws ClusterError `invalid` */
export function pinStatusFromJson(value: unknown): PinStatus {
  const from = objectOf(value, 'pin status')
  const peers = Object.entries(objectOf(from.peer_map ?? {}, 'peer_map')).map(
    ([id, one]) => [parsePeerId(id), peerStatusFromJson(one)] as const
  )
  return {
    cid: requiredField(from, 'cid', parseCid),
    name: textField(from, 'name'),
    allocations: listField(from, 'allocations', parsePeerId),
    origins: listField(from, 'origins', parseMultiaddr),
    created: parsedField(from, 'created', instantOf) ?? 0,
    metadata: textsField(from, 'metadata'),
    peers: new Map(peers.sort(([a], [b]) => (a < b ? -1 : 1)))
  }
}

function peerStatusToJson(one: PeerStatus): Json {
  return {
    peername: one.peerName,
    ...(one.ipfsId && { ipfs_peer_id: one.ipfsId }),
    ...(one.ipfsAddresses.length > 0 && { ipfs_peer_addresses: one.ipfsAddresses }),
    status: one.status,
    timestamp: instant(one.timestamp),
    error: one.error,
    attempt_count: one.attemptCount,
    priority_pin: one.priorityPin,
    ...(one.progress && { progress: one.progress })
  }
}

function peerStatusFromJson(value: unknown): PeerStatus {
  const from = objectOf(value, 'peer_map')
  return {
    peerName: textField(from, 'peername'),
    ipfsId: parsedField(from, 'ipfs_peer_id', asItIs),
    ipfsAddresses: listField(from, 'ipfs_peer_addresses', asItIs),
    status: choiceField(from, 'status', statuses, 'undefined'),
    timestamp: parsedField(from, 'timestamp', instantOf) ?? 0,
    error: textField(from, 'error'),
    attemptCount: numberField(from, 'attempt_count'),
    priorityPin: flagField(from, 'priority_pin'),
    progress: from.progress === undefined || from.progress === null ? null : fetchProgressFromJson(from.progress)
  }
}

function fetchProgressFromJson(value: unknown): FetchProgress {
  const from = objectOf(value, 'progress')
  return { nodes: numberField(from, 'nodes'), bytes: nullableNumberField(from, 'bytes') }
}

/** ID. */
export function peerInfoToJson(info: PeerInfo): Json {
  return {
    id: info.id,
    addresses: info.addresses,
    cluster_peers: info.clusterPeers,
    cluster_peers_addresses: info.clusterPeersAddresses,
    version: info.version,
    commit: '',
    rpc_protocol_version: info.rpcProtocolVersion,
    error: info.error,
    ipfs: {
      ...(info.ipfs.id && { id: info.ipfs.id }),
      addresses: info.ipfs.addresses,
      error: info.ipfs.error
    },
    peername: info.name
  }
}

/** @throws ClusterError `invalid` */
export function peerInfoFromJson(value: unknown): PeerInfo {
  const from = objectOf(value, 'peer')
  return {
    id: requiredField(from, 'id', parsePeerId),
    name: textField(from, 'peername'),
    addresses: listField(from, 'addresses', parseMultiaddr),
    clusterPeers: listField(from, 'cluster_peers', parsePeerId),
    clusterPeersAddresses: listField(from, 'cluster_peers_addresses', parseMultiaddr),
    version: textField(from, 'version'),
    rpcProtocolVersion: textField(from, 'rpc_protocol_version'),
    error: textField(from, 'error'),
    ipfs: kuboFromJson(from.ipfs ?? {})
  }
}

function kuboFromJson(value: unknown): KuboIdentity {
  const from = objectOf(value, 'ipfs')
  return {
    id: parsedField(from, 'id', asItIs),
    addresses: listField(from, 'addresses', asItIs),
    error: textField(from, 'error')
  }
}

/** Version. */
export function versionToJson(version: string): Json {
  return { version }
}

/** @throws ClusterError `invalid` */
export function versionFromJson(value: unknown): string {
  return textField(objectOf(value, 'version'), 'version')
}

/** One line of `GET /pins/{cid}/progress`, which only this system has. */
export function progressToJson(progress: PinProgress): Json {
  return {
    nodes: progress.nodes,
    bytes: progress.bytes,
    pinned: progress.pinned,
    wanted: progress.wanted,
    done: progress.done
  }
}

/** @throws ClusterError `invalid` */
export function progressFromJson(value: unknown): PinProgress {
  const from = objectOf(value, 'progress')
  return {
    nodes: numberField(from, 'nodes'),
    bytes: nullableNumberField(from, 'bytes'),
    pinned: numberField(from, 'pinned'),
    wanted: numberField(from, 'wanted'),
    done: flagField(from, 'done')
  }
}

/** One line of `GET /ipfs/repositories`, which only this system has. Figures are text: they may be as large as 2^64 - 1. */
export function repositorySizeToJson({ peer, repoBytes, maxBytes, objects, error }: RepositorySize): Json {
  return { peer, repo_bytes: String(repoBytes), max_bytes: String(maxBytes), objects: String(objects), error }
}

/** @throws ClusterError `invalid` */
export function repositorySizeFromJson(value: unknown): RepositorySize {
  const from = objectOf(value, 'repository')
  return {
    peer: requiredField(from, 'peer', parsePeerId),
    repoBytes: requiredField(from, 'repo_bytes', BigInt),
    maxBytes: requiredField(from, 'max_bytes', BigInt),
    objects: requiredField(from, 'objects', BigInt),
    error: textField(from, 'error')
  }
}

/** One line of `POST /ipfs/garbage`, which only this system has. */
export function collectedToJson({ peer, cid, error }: Collected): Json {
  return { peer, cid, error }
}

/** @throws ClusterError `invalid` */
export function collectedFromJson(value: unknown): Collected {
  const from = objectOf(value, 'garbage')
  return { peer: requiredField(from, 'peer', parsePeerId), cid: parsedField(from, 'cid', parseCid), error: textField(from, 'error') }
}

/** One line of the answer to `POST /state/import`, which only this system has. */
export function importProgressToJson({ pins, added, replaced, unchanged, done }: ImportProgress): Json {
  return { pins, added, replaced, unchanged, done }
}

/** @throws ClusterError `invalid` */
export function importProgressFromJson(value: unknown): ImportProgress {
  const from = objectOf(value, 'progress')
  return {
    pins: numberField(from, 'pins'),
    added: numberField(from, 'added'),
    replaced: numberField(from, 'replaced'),
    unchanged: numberField(from, 'unchanged'),
    done: flagField(from, 'done')
  }
}

/** `GET /health/overview`, which only this system has. */
export function overviewToJson(overview: Overview): Json {
  return {
    cluster_id: overview.clusterId,
    answered_by: overview.answeredBy,
    leader: overview.leader,
    term: overview.term,
    voters: overview.voters,
    voters_reached: overview.votersReached,
    peers: overview.peers.map(peerHealthToJson),
    pins: overview.pins,
    copies: overview.copies,
    problems: overview.problems
  }
}

/** @throws ClusterError `invalid` */
export function overviewFromJson(value: unknown): Overview {
  const from = objectOf(value, 'overview')
  const peers = from.peers ?? []
  if (!Array.isArray(peers)) throw new ClusterError({ code: 'invalid' }, 'the field "peers" is not a list')
  return {
    clusterId: textField(from, 'cluster_id'),
    answeredBy: requiredField(from, 'answered_by', parsePeerId),
    leader: parsedField(from, 'leader', parsePeerId),
    term: numberField(from, 'term'),
    voters: numberField(from, 'voters'),
    votersReached: numberField(from, 'voters_reached'),
    peers: peers.map(peerHealthFromJson),
    pins: numberField(from, 'pins'),
    copies: copiesFromJson(from.copies ?? {}),
    problems: listField(from, 'problems', asItIs)
  }
}

function peerHealthToJson(peer: PeerHealth): Json {
  return {
    id: peer.id,
    name: peer.name,
    role: peer.role,
    is_voter: peer.isVoter,
    lag_entries: peer.lagEntries,
    applied_index: peer.appliedIndex,
    state_hash: peer.stateHash,
    free_bytes: peer.freeBytes,
    queued: peer.queued,
    pinning: peer.pinning,
    failed: peer.failed,
    pinned: peer.pinned,
    kubo_error: peer.kuboError,
    silent_ms: peer.silentMs
  }
}

function peerHealthFromJson(value: unknown): PeerHealth {
  const from = objectOf(value, 'peers')
  return {
    id: requiredField(from, 'id', parsePeerId),
    name: textField(from, 'name'),
    role: choiceField(from, 'role', roles, 'unreachable'),
    isVoter: flagField(from, 'is_voter'),
    lagEntries: nullableNumberField(from, 'lag_entries'),
    appliedIndex: nullableNumberField(from, 'applied_index'),
    stateHash: textField(from, 'state_hash'),
    freeBytes: nullableNumberField(from, 'free_bytes'),
    queued: numberField(from, 'queued'),
    pinning: numberField(from, 'pinning'),
    failed: numberField(from, 'failed'),
    pinned: numberField(from, 'pinned'),
    kuboError: textField(from, 'kubo_error'),
    silentMs: numberField(from, 'silent_ms')
  }
}

function copiesFromJson(value: unknown): Readonly<Partial<Record<Status, number>>> {
  const from = objectOf(value, 'copies')
  const known = statuses.filter(status => from[status] !== undefined)
  return Object.fromEntries(known.map(status => [status, numberField(from, status)]))
}

/** The body of every failure of the REST API: `status` is the HTTP status. */
export function errorToJson(status: number, message: string): Json {
  return { code: status, message }
}

/** `undefined` where the body is none: then whatever answered is not a cluster peer. */
export function errorFromJson(value: unknown): { status: number; message: string } | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { code, message } = value as Json
  return typeof code === 'number' && typeof message === 'string' ? { status: code, message } : undefined
}

/** A map without entries is `null`, as the Go system answers once a pin is stored. */
function filled(map: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null {
  for (const _key in map) return map
  return null
}

/** A time that is always known; 0 stands for a Go peer's zero time. */
function instant(ms: number): string {
  return formatTime(ms === 0 ? null : ms)
}

function instantOf(text: string): number | null {
  const ms = parseTime(text)
  if (ms === undefined) throw new ClusterError({ code: 'invalid' }, `"${text}" is not a time like 2026-05-11T10:17:41Z`)
  return ms
}

/** For text of Kubo that is only shown. */
function asItIs(text: string): string {
  return text
}
