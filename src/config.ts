/**
 * The configuration: one row a key, in the shape of the result. Keys, defaults and variables are those of ipfs-cluster 1.1.6; what only flotilla
 * knows is in the section `flotilla`. The reference page is printed from these rows.
 *
 * @see https://ipfscluster.io/documentation/reference/configuration/
 */
import { hostname } from 'node:os'
import {
  accessRules,
  choice,
  credentials,
  decimal,
  duration,
  flag,
  headers,
  httpAddress,
  httpAddresses,
  integer,
  type Kind,
  peerAddresses,
  peerIds,
  secret,
  secretText,
  text,
  textMap,
  texts
} from './config-kinds.ts'
import type { Multiaddr } from './types.ts'

export interface Row<T> {
  /** In `service.json`: `cluster.peername`. */
  readonly path: string
  /** The variable of the environment that goes over the file. */
  readonly variable: string
  readonly kind: Kind<T>
  readonly default: T
  readonly help: string
  /** For the page, where the default is of this machine. */
  readonly shownDefault: string | undefined
  /** Read and checked, but nothing asks for it yet: where a file has it, a warning names it. */
  readonly isInert: boolean
}

type Draft<T> = Omit<Row<T>, 'path' | 'variable'> & { readonly key: string }
type Section<Drafts> = { readonly [K in keyof Drafts]: Drafts[K] extends Draft<infer T> ? Row<T> : never }

/** Keys that are checked together have their rule in `config-parse.ts`. */
export const rows = {
  cluster: section('cluster', {
    peername: row('peername', text, hostname(), 'Name of this peer, for people.', { shownDefault: 'the name of the host' }),
    secret: row('secret', secret, null, 'The shared key of the cluster: whoever has it can become a member. "flotilla init" makes one.'),
    leaveOnShutdown: row('leave_on_shutdown', flag, false, 'When told to stop, leave as by "flotilla leave", unless that is refused.'),
    listenMultiaddress: row(
      'listen_multiaddress',
      peerAddresses,
      ['/ip4/0.0.0.0/tcp/9096' as Multiaddr],
      'Where other peers reach this one; TCP only.'
    ),
    announceMultiaddress: row('announce_multiaddress', peerAddresses, [], 'Told to the others instead of the addresses listened on.'),
    peerAddresses: row(
      'peer_addresses',
      peerAddresses,
      [],
      'Addresses of other peers, each with /p2p/<id>, in case those the cluster knows are out of date.'
    ),
    dialPeerTimeoutMs: inert('dial_peer_timeout', duration({ leastMs: 1 }), 3_000, 'Limit for connecting to a peer.'),
    stateSyncIntervalMs: row('state_sync_interval', duration({ leastMs: 1_000 }), 300_000, 'How often expired pins are looked for.'),
    pinRecoverIntervalMs: row(
      'pin_recover_interval',
      duration({ leastMs: 1_000 }),
      720_000,
      'How often what is wanted is compared with what Kubo has.'
    ),
    replicationFactorMin: row('replication_factor_min', integer({ least: -1 }), -1, 'Copies a pin needs at least; -1 is every peer.'),
    replicationFactorMax: row(
      'replication_factor_max',
      integer({ least: -1 }),
      -1,
      'Copies a pin gets where there are peers for them; -1 is every peer.'
    ),
    monitorPingIntervalMs: row(
      'monitor_ping_interval',
      duration({ leastMs: 100 }),
      15_000,
      'A peer tells the others how it is at least so often.'
    )
  }),
  consensus: {
    raft: section('consensus.raft', {
      initPeerset: row('init_peerset', peerIds, [], 'Peers that found the cluster together: the same list on each of them.'),
      heartbeatTimeoutMs: row(
        'heartbeat_timeout',
        duration({ leastMs: 100 }),
        1_000,
        'A follower that hears nothing for so long looks for a new leader. The same on every peer; "init --profile wan" sets 5s.'
      ),
      trailingLogs: row(
        'trailing_logs',
        integer({ least: 1 }),
        10_240,
        'Entries of the log that are kept for peers that are a little behind; one that is further behind gets the whole state.'
      )
    })
  },
  api: {
    restapi: section('api.restapi', {
      ...httpServer('/ip4/127.0.0.1/tcp/9094' as Multiaddr, row),
      writeTimeoutMs: inert('write_timeout', duration(), 0, 'Limit for writing an answer; 0s is none.')
    }),
    ipfsproxy: section('api.ipfsproxy', {
      listenMultiaddress: row(
        'listen_multiaddress',
        httpAddresses,
        ['/ip4/127.0.0.1/tcp/9095' as Multiaddr],
        'The Kubo door: point IPFS tools here. Who reaches it can do everything that Kubo can.'
      ),
      nodeMultiaddress: row('node_multiaddress', httpAddress, '/ip4/127.0.0.1/tcp/5001' as Multiaddr, 'The Kubo behind the Kubo door.'),
      nodeHttps: row('node_https', flag, false, 'The Kubo door reaches its Kubo by https; /https behind the address says the same.'),
      readTimeoutMs: inert('read_timeout', duration(), 0, 'Limit for reading a request; 0s is none.'),
      readHeaderTimeoutMs: inert('read_header_timeout', duration(), 5_000, 'Limit for reading the head of a request.'),
      writeTimeoutMs: inert('write_timeout', duration(), 0, 'Limit for writing an answer; 0s is none.'),
      idleTimeoutMs: inert('idle_timeout', duration(), 60_000, 'A connection on which nothing happens is closed after this time.'),
      maxHeaderBytes: inert('max_header_bytes', integer({ least: 4_096 }), 4_096, 'Largest head of a request.')
    }),
    pinsvcapi: section('api.pinsvcapi', {
      ...httpServer('/ip4/127.0.0.1/tcp/9097' as Multiaddr, inert),
      writeTimeoutMs: inert('write_timeout', duration(), 0, 'Limit for writing an answer; 0s is none.')
    })
  },
  ipfsConnector: {
    ipfshttp: section('ipfs_connector.ipfshttp', {
      nodeMultiaddress: row('node_multiaddress', httpAddress, '/ip4/127.0.0.1/tcp/5001' as Multiaddr, 'The Kubo in which this peer pins.'),
      ipfsRequestTimeoutMs: row('ipfs_request_timeout', duration({ leastMs: 1_000 }), 300_000, 'Limit for short calls to Kubo.'),
      pinTimeoutMs: row(
        'pin_timeout',
        duration({ leastMs: 1_000 }),
        120_000,
        'A pin that fetches nothing for so long is given up, and tried again later.'
      ),
      unpinTimeoutMs: row('unpin_timeout', duration({ leastMs: 1_000 }), 10_800_000, 'Limit for an unpin in Kubo.')
    })
  },
  pinTracker: {
    stateless: section('pin_tracker.stateless', {
      concurrentPins: row('concurrent_pins', integer({ least: 1, most: 1_000 }), 10, 'Pins that Kubo works on at a time.'),
      priorityPinMaxAgeMs: row('priority_pin_max_age', duration(), 86_400_000, 'Pins younger than this go first.'),
      priorityPinMaxRetries: row('priority_pin_max_retries', integer({ least: 0 }), 5, 'After so many failures a pin no longer goes first.')
    })
  },
  monitor: {
    pubsubmon: section('monitor.pubsubmon', {
      checkIntervalMs: inert('check_interval', duration({ leastMs: 1 }), 15_000, 'How often peers are looked after.')
    })
  },
  allocator: {
    balanced: section('allocator.balanced', {
      allocateBy: inert('allocate_by', texts, ['tag:group', 'freespace'], 'Metrics by which a pin finds its peers; here it is free space.')
    })
  },
  informer: {
    disk: section('informer.disk', {
      metricTtlMs: row('metric_ttl', duration({ leastMs: 1_000 }), 30_000, 'How often Kubo is asked for its free space.'),
      metricType: inert('metric_type', choice('freespace', 'reposize'), 'freespace', 'What is measured.')
    }),
    pinqueue: section('informer.pinqueue', {
      metricTtlMs: inert('metric_ttl', duration({ leastMs: 1_000 }), 30_000, 'How often the queue is measured.'),
      weightBucketSize: inert('weight_bucket_size', integer({ least: 1 }), 100_000, 'Queue lengths within one bucket count the same.')
    }),
    tags: section('informer.tags', {
      metricTtlMs: inert('metric_ttl', duration({ leastMs: 1_000 }), 30_000, 'How often the tags are told.'),
      tags: inert('tags', textMap, { group: 'default' }, 'Names and values by which pins are spread.')
    })
  },
  observations: {
    metrics: section('observations.metrics', {
      enableStats: row('enable_stats', flag, false, 'Serve metrics for Prometheus.'),
      prometheusEndpoint: row(
        'prometheus_endpoint',
        httpAddress,
        '/ip4/127.0.0.1/tcp/8888' as Multiaddr,
        'Where they are served, as /metrics.'
      ),
      reportingIntervalMs: inert(
        'reporting_interval',
        duration({ leastMs: 1 }),
        30_000,
        'How often they are counted; here they are read when they are asked for.'
      )
    }),
    tracing: section('observations.tracing', {
      enableTracing: inert('enable_tracing', flag, false, 'Send traces.'),
      jaegerAgentEndpoint: inert('jaeger_agent_endpoint', text, '/ip4/0.0.0.0/udp/6831', 'Where traces are sent.'),
      samplingProb: inert('sampling_prob', decimal({ least: 0, most: 1 }), 0.3, 'Share of the requests that is traced.'),
      serviceName: inert('service_name', text, 'cluster-daemon', 'Name in the traces.')
    })
  },
  flotilla: section('flotilla', {
    store: row(
      'store',
      choice('auto', 'rocksdb', 'leveldb'),
      'auto',
      'Engine of a new data folder; auto takes RocksDB where it is installed and loads. A folder keeps the engine it was made with.'
    ),
    proposeTimeoutMs: row('propose_timeout', duration({ leastMs: 100 }), 10_000, 'A change that is not agreed by then ends with an error.'),
    pinWait: row(
      'pin_wait',
      choice('committed', 'min', 'all'),
      'min',
      'When a pin through the Kubo door returns: agreed, on as many peers as it needs at least, or on all of them.'
    ),
    keepTrying: row(
      'keep_trying',
      flag,
      false,
      'Whether a pin whose client leaves the Kubo door, or whose timeout ends, before it is there stays wanted. Kubo lets go of it.'
    ),
    strictPinning: row(
      'strict_pinning',
      flag,
      false,
      'Refuse, with status 501, commands that pin and that the Kubo door cannot replicate. Otherwise they pass, and the log and a metric tell.'
    ),
    repositorySums: row(
      'repository_sums',
      choice('all', 'local'),
      'all',
      'Whether repo stat and repo gc through the Kubo door are about the Kubos of all peers, or about the one behind the door.'
    ),
    doorAccess: row(
      'door_access',
      accessRules,
      null,
      'Who may use which paths of the Kubo door, as the API.Authorizations of Kubo; null lets everybody in. As a variable: the same JSON.'
    ),
    kuboAuthorization: row(
      'kubo_authorization',
      secretText,
      null,
      'What this peer shows to a Kubo that has API.Authorizations: bearer:…, or basic:user:password.'
    ),
    logLevel: row('log_level', choice('debug', 'info', 'warn', 'error', 'silent'), 'info', 'The least important lines that are logged.'),
    closeTimeoutMs: row('close_timeout', duration(), 3_000, 'How long calls under way may still take when the peer stops.')
  })
} as const

type Rows = typeof rows
type ValuesOf<R> = R extends Row<infer T> ? T : { readonly [K in keyof R]: ValuesOf<R[K]> }

/**
 * Every key with its value: durations in milliseconds, addresses checked. A door is `null`, and is not opened, where the file has a section `api`
 * that lacks it: somebody who removed the unprotected Kubo door from `service.json` must not find it open.
 */
export type Config = Omit<ValuesOf<Rows>, 'api'> & {
  readonly api: { readonly [Door in keyof Rows['api']]: ValuesOf<Rows['api'][Door]> | null }
}

/** Values to set, in the shape of {@link Config}; what is missing stays as it is. */
export type ConfigChanges = ChangesOf<Rows>
type ChangesOf<R> = R extends Row<infer T> ? T : { readonly [K in keyof R]?: ChangesOf<R[K]> | undefined }

export interface Place {
  /** Where the value is in {@link Config}. */
  readonly names: readonly string[]
  readonly row: Row<unknown>
}

/** Every row with its place, in the order of the table. */
export const places: readonly Place[] = placesIn(rows, [])

/** The REST API and the pinning service have the same keys. */
function httpServer(address: Multiaddr, row: typeof inert) {
  return {
    httpListenMultiaddress: row('http_listen_multiaddress', httpAddresses, [address], 'Where it is served.'),
    readTimeoutMs: row('read_timeout', duration(), 0, 'Limit for reading a request; 0s is none.'),
    readHeaderTimeoutMs: row('read_header_timeout', duration(), 5_000, 'Limit for reading the head of a request.'),
    idleTimeoutMs: row('idle_timeout', duration(), 120_000, 'A connection on which nothing happens is closed after this time.'),
    maxHeaderBytes: row('max_header_bytes', integer({ least: 4_096 }), 4_096, 'Largest head of a request.'),
    basicAuthCredentials: row('basic_auth_credentials', credentials, null, 'Users with their passwords; null lets everybody in.'),
    headers: row('headers', headers, {}, 'Headers that every answer gets.'),
    corsAllowedOrigins: row('cors_allowed_origins', texts, ['*'], 'Origins whose pages may call; * is all.'),
    corsAllowedMethods: row('cors_allowed_methods', texts, ['GET'], 'Methods that such pages may use.'),
    corsAllowedHeaders: row('cors_allowed_headers', texts, [], 'Further request headers that such pages may send.'),
    corsExposedHeaders: row(
      'cors_exposed_headers',
      texts,
      ['Content-Type', 'X-Stream-Output', 'X-Chunked-Output', 'X-Content-Length'],
      'Answer headers that such pages may read.'
    ),
    corsAllowCredentials: row('cors_allow_credentials', flag, true, 'Whether such pages may send passwords.'),
    corsMaxAgeMs: row('cors_max_age', duration(), 0, 'How long a browser may remember a permission; 0s leaves it to the browser.')
  }
}

function row<T>(key: string, kind: Kind<T>, initial: NoInfer<T>, help: string, { shownDefault }: { shownDefault?: string } = {}): Draft<T> {
  return { key, kind, default: initial, help, shownDefault, isInert: false }
}

function inert<T>(key: string, kind: Kind<T>, initial: NoInfer<T>, help: string): Draft<T> {
  return { ...row(key, kind, initial, help), isInert: true }
}

function section<const Drafts extends Readonly<Record<string, Draft<unknown>>>>(section: string, drafts: Drafts): Section<Drafts> {
  const named = Object.entries(drafts).map(([name, { key, ...row }]) => {
    const path = `${section}.${key}`
    return [name, { ...row, path, variable: variableOf(path) }]
  })
  return Object.fromEntries(named)
}

/** CLUSTER_<component>_<key>, both without underscores, as Go's names of the fields give them; of the section `cluster` the key alone. */
export function variableOf(path: string): string {
  const [key = '', component = 'cluster'] = path.split('.').toReversed()
  const names = component === 'cluster' ? [key] : [component, key]
  return ['CLUSTER', ...names.map(name => name.replaceAll('_', '').toUpperCase())].join('_')
}

function placesIn(table: object, names: readonly string[]): readonly Place[] {
  return Object.entries(table).flatMap(([name, entry]) => {
    const here = [...names, name]
    return 'kind' in entry ? [{ names: here, row: entry as Row<unknown> }] : placesIn(entry, here)
  })
}
