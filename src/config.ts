/**
 * The configuration: one row a key. Keys, defaults and variables are those of ipfs-cluster's `service.json`; what only flotilla knows is in the
 * section `flotilla`. The reference page is printed from these rows.
 */
import { hostname } from 'node:os'
import { choice, credentials, duration, integer, type Kind, multiaddrs, peerIds, secret, text } from './config-kinds.ts'
import type { Multiaddr } from './types.ts'

interface Row<T> {
  readonly kind: Kind<T>
  readonly default: T
  readonly env: string
  readonly help: string
}

function row<T>(kind: Kind<T>, initial: NoInfer<T>, env: string, help: string): Row<T> {
  return { kind, default: initial, env: `CLUSTER_${env}`, help }
}

const address = (value: string) => [value as Multiaddr]

export const rows = {
  'cluster.peername': row(text, hostname(), 'PEERNAME', 'Name of this peer, for people.'),
  'cluster.secret': row(secret, '', 'SECRET', 'The shared key of the cluster. Whoever has it can become a member.'),
  'cluster.listen_multiaddress': row(
    multiaddrs,
    address('/ip4/0.0.0.0/tcp/9096'),
    'LISTENMULTIADDRESS',
    'Where other peers reach this one.'
  ),
  'cluster.announce_multiaddress': row(multiaddrs, [], 'ANNOUNCEMULTIADDRESS', 'Told to the others instead of the addresses listened on.'),
  'cluster.peer_addresses': row(multiaddrs, [], 'PEERADDRESSES', 'Known addresses of other peers, each with /p2p/<id>.'),
  'cluster.replication_factor_min': row(
    integer({ least: -1 }),
    -1,
    'REPLICATIONFACTORMIN',
    'Copies a pin needs at least; -1 is every peer.'
  ),
  'cluster.replication_factor_max': row(
    integer({ least: -1 }),
    -1,
    'REPLICATIONFACTORMAX',
    'Copies a pin gets if there are peers for them; -1 is every peer.'
  ),
  'cluster.monitor_ping_interval': row(
    duration({ leastMs: 100 }),
    15_000,
    'MONITORPINGINTERVAL',
    'How often a peer tells the others how it is.'
  ),
  'cluster.state_sync_interval': row(duration({ leastMs: 1_000 }), 300_000, 'STATESYNCINTERVAL', 'How often expired pins are looked for.'),
  'cluster.pin_recover_interval': row(
    duration({ leastMs: 1_000 }),
    720_000,
    'PINRECOVERINTERVAL',
    'How often what is wanted is compared with what Kubo has.'
  ),
  'consensus.raft.init_peerset': row(peerIds, [], 'RAFT_INITPEERSET', 'Peers that found the cluster together, the same list on each.'),
  'consensus.raft.heartbeat_timeout': row(
    duration({ leastMs: 100 }),
    1_000,
    'RAFT_HEARTBEATTIMEOUT',
    'A follower that hears nothing for so long looks for a new leader.'
  ),
  'api.restapi.http_listen_multiaddress': row(
    multiaddrs,
    address('/ip4/127.0.0.1/tcp/9094'),
    'RESTAPI_HTTPLISTENMULTIADDRESS',
    'REST API.'
  ),
  'api.restapi.basic_auth_credentials': row(
    credentials,
    null,
    'RESTAPI_BASICAUTHCREDENTIALS',
    'Users of the REST API with their passwords; null lets everybody in.'
  ),
  'api.restapi.max_header_bytes': row(
    integer({ least: 4096 }),
    4096,
    'RESTAPI_MAXHEADERBYTES',
    'Largest request head of the REST API, bytes.'
  ),
  'api.restapi.read_timeout': row(duration(), 0, 'RESTAPI_READTIMEOUT', 'Limit for reading a request; 0s is none.'),
  'api.restapi.read_header_timeout': row(duration(), 5_000, 'RESTAPI_READHEADERTIMEOUT', 'Limit for reading a request head.'),
  'api.restapi.idle_timeout': row(duration(), 120_000, 'RESTAPI_IDLETIMEOUT', 'An idle connection is closed after this time.'),
  'api.ipfsproxy.listen_multiaddress': row(
    multiaddrs,
    address('/ip4/127.0.0.1/tcp/9095'),
    'IPFSPROXY_LISTENMULTIADDRESS',
    'The Kubo door: point IPFS tools here.'
  ),
  'api.ipfsproxy.node_multiaddress': row(
    multiaddrs,
    address('/ip4/127.0.0.1/tcp/5001'),
    'IPFSPROXY_NODEMULTIADDRESS',
    'The Kubo behind the Kubo door.'
  ),
  'ipfs_connector.ipfshttp.node_multiaddress': row(
    multiaddrs,
    address('/ip4/127.0.0.1/tcp/5001'),
    'IPFSHTTP_NODEMULTIADDRESS',
    'The Kubo that this peer pins in.'
  ),
  'ipfs_connector.ipfshttp.ipfs_request_timeout': row(
    duration({ leastMs: 1_000 }),
    300_000,
    'IPFSHTTP_IPFSREQUESTTIMEOUT',
    'Limit of short calls to Kubo.'
  ),
  'ipfs_connector.ipfshttp.pin_timeout': row(
    duration({ leastMs: 1_000 }),
    120_000,
    'IPFSHTTP_PINTIMEOUT',
    'A pin that fetches nothing for so long is given up, and tried again later.'
  ),
  'ipfs_connector.ipfshttp.unpin_timeout': row(
    duration({ leastMs: 1_000 }),
    10_800_000,
    'IPFSHTTP_UNPINTIMEOUT',
    'Limit of an unpin in Kubo.'
  ),
  'pin_tracker.stateless.concurrent_pins': row(
    integer({ least: 1, most: 1_000 }),
    10,
    'STATELESS_CONCURRENTPINS',
    'Pins that Kubo works on at a time.'
  ),
  'pin_tracker.stateless.priority_pin_max_age': row(
    duration(),
    86_400_000,
    'STATELESS_PRIORITYPINMAXAGE',
    'Pins younger than this go first.'
  ),
  'pin_tracker.stateless.priority_pin_max_retries': row(
    integer({ least: 0 }),
    5,
    'STATELESS_PRIORITYPINMAXRETRIES',
    'After so many failures a pin no longer goes first.'
  ),
  'informer.disk.metric_ttl': row(duration({ leastMs: 1_000 }), 30_000, 'DISK_METRICTTL', 'How often Kubo is asked for its free space.'),
  'flotilla.store': row(
    choice('auto', 'rocksdb', 'leveldb'),
    'auto',
    'FLOTILLA_STORE',
    'Engine of a new data folder; auto takes RocksDB where it is installed and loads.'
  ),
  'flotilla.propose_timeout': row(
    duration({ leastMs: 100 }),
    10_000,
    'FLOTILLA_PROPOSETIMEOUT',
    'A change that is not agreed by then is answered with an error.'
  ),
  'flotilla.pin_wait': row(
    choice('committed', 'min', 'all'),
    'min',
    'FLOTILLA_PINWAIT',
    'When a pin through the Kubo door returns: agreed, on enough peers, or on all of them.'
  ),
  'flotilla.log_level': row(choice('debug', 'info', 'warn', 'error', 'silent'), 'info', 'FLOTILLA_LOGLEVEL', 'What is logged.'),
  'flotilla.close_timeout': row(duration(), 3_000, 'FLOTILLA_CLOSETIMEOUT', 'How long calls in flight may still take when the peer stops.')
} as const

export type ConfigKey = keyof typeof rows
type ValueOf<R> = R extends Row<infer T> ? T : never
/** Every key with its value: durations in milliseconds, addresses parsed. */
export type Config = { readonly [K in ConfigKey]: ValueOf<(typeof rows)[K]> }

/** Keys and sections that ipfs-cluster knows and this program has no use for: they are named once, not refused. */
export const ignoredKeys: readonly RegExp[] = [
  /^source$/,
  /^state(\.|$)/,
  /^datastore\./,
  /^consensus\.crdt\./,
  /^consensus\.raft\.(wait_for_leader_timeout|network_timeout|commit_retries|commit_retry_delay|backups_rotate|election_timeout|commit_timeout|max_append_entries|trailing_logs|snapshot_interval|snapshot_threshold|leader_lease_timeout|data_folder|datastore_namespace)$/,
  /^cluster\.(leave_on_shutdown|no_announce_multiaddress|enable_relay_hop|connection_manager|resource_manager|pubsub|dial_peer_timeout|peer_watch_interval|mdns_interval|pin_only_on_trusted_peers|pin_only_on_untrusted_peers|disable_repinning|follower_mode|peerstore_file)(\.|$)/,
  /^api\.pinsvcapi\./,
  /^api\.restapi\.(write_timeout|http_log_file|headers|cors_|ssl_|libp2p_listen_multiaddress|id$|private_key$)/,
  /^api\.ipfsproxy\.(log_file|read_timeout|read_header_timeout|write_timeout|idle_timeout|max_header_bytes|node_https|extract_headers_)/,
  /^ipfs_connector\.ipfshttp\.(connect_swarms_delay|repogc_timeout|informer_trigger_interval|unpin_disable)$/,
  /^pin_tracker\.stateless\.max_pin_queue_size$/,
  /^monitor\./,
  /^allocator\./,
  /^informer\.(disk\.metric_type|pinqueue\.|tags\.|numpin\.)/,
  /^observations\./
]

export function defaults(): Config {
  return Object.fromEntries(Object.entries(rows).map(([name, { default: initial }]) => [name, initial])) as Config
}
