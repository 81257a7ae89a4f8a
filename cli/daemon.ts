/** Runs the peer of a folder: reads the configuration, builds everything in one place, and takes it down again in the reverse order. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CommandModule } from 'yargs'
import { loadIdentity } from '../cluster/net/identity.ts'
import { startPeer } from '../cluster/peer.ts'
import { defaultCors, openDoors } from '../proxy/doors.ts'
import { systemClock } from '../src/clock.ts'
import { parseMultiaddr } from '../src/codec.ts'
import type { Config } from '../src/config.ts'
import { loadConfig, peerFolder } from '../src/config-file.ts'
import { ClusterError, messageOf } from '../src/errors.ts'
import { aborted } from '../src/lifetime.ts'
import { type Log, openLog } from '../src/log.ts'
import { lockFolder } from './lock.ts'
import { Failed } from './output.ts'
import { ownVersion } from './own-version.ts'

interface DaemonOptions {
  readonly bootstrap?: readonly string[]
}

export const daemonCommand: CommandModule<object, DaemonOptions> = {
  builder: {
    bootstrap: {
      type: 'string',
      array: true,
      describe: 'Address of any member to join through, /p2p/<id> may be left out; ignored by a peer that is a member already',
      coerce: (values: readonly string[]) => values.flatMap(value => value.split(','))
    }
  },
  handler: async ({ bootstrap = [] }) => runDaemon({ bootstrap })
}

/** Ends when the process is told to; throws where it cannot start or go on. */
async function runDaemon({ bootstrap }: { bootstrap: readonly string[] }): Promise<void> {
  const folder = peerFolder()
  const { config, ignored } = await loadConfig(join(folder, 'service.json'))
  const identity = await loadIdentity(join(folder, 'identity.json'))
  const log = openLog({ level: config['flotilla.log_level'], name: config['cluster.peername'] })
  if (ignored.length > 0) log.warn({ keys: ignored }, 'keys of ipfs-cluster without effect here')
  const stop = new AbortController()
  let failure: unknown
  const onFatal = (error: unknown) => {
    failure ??= error
    log.fatal({ err: error, reason: messageOf(error) }, 'this peer cannot go on')
    stop.abort(error)
  }
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.once(name, () => {
      log.info({ signal: name }, 'stopping')
      stop.abort(new Error(`told to stop by ${name}`))
    })
  }
  await using _lock = await lockFolder(folder)
  await mkdir(join(folder, 'data'), { recursive: true, mode: 0o700 })
  try {
    await using peer = await startPeer(
      { clock: systemClock, log: log as unknown as Log, onFatal },
      peerSettings(config, { folder, identity, bootstrap }),
      { signal: stop.signal }
    )
    await using doors = await openDoors({ api: peer, log: log as unknown as Log }, doorSettings(config))
    log.info({ peer: peer.peerId, cluster: peer.clusterId, rest: doors.rest, kubo: doors.kubo }, 'ready')
    await aborted(stop.signal)
  } catch (error) {
    // Being told to stop while joining is no failure.
    if (!stop.signal.aborted || failure !== undefined) throw error
  }
  if (failure !== undefined) throw failure instanceof ClusterError ? failure : new Failed()
  log.info({}, 'stopped')
}

type PeerSettings = Parameters<typeof startPeer>[1]

const tickMs = 25

function peerSettings(
  config: Config,
  { folder, identity, bootstrap }: { folder: string; identity: PeerSettings['network']['identity']; bootstrap: readonly string[] }
): PeerSettings {
  const secret = config['cluster.secret']
  const electionMs = config['consensus.raft.heartbeat_timeout']
  return {
    name: config['cluster.peername'],
    version: ownVersion(),
    dataFolder: join(folder, 'data'),
    store: { engine: config['flotilla.store'] },
    network: {
      identity,
      secret: secret === '' ? null : Buffer.from(secret, 'hex'),
      listen: config['cluster.listen_multiaddress'],
      announce: config['cluster.announce_multiaddress']
    },
    joining: {
      bootstrap: bootstrap.map(parseMultiaddr),
      initPeerset: config['consensus.raft.init_peerset'],
      peerAddresses: config['cluster.peer_addresses']
    },
    raft: {
      tickMs,
      electionMs,
      heartbeatMs: Math.max(tickMs, electionMs / 10),
      proposals: { timeoutMs: config['flotilla.propose_timeout'], countMax: 20_000, bytesMax: 64 << 20 }
    },
    kubo: {
      api: first(config['ipfs_connector.ipfshttp.node_multiaddress'], 'ipfs_connector.ipfshttp.node_multiaddress'),
      requestTimeoutMs: config['ipfs_connector.ipfshttp.ipfs_request_timeout'],
      pinTimeoutMs: config['ipfs_connector.ipfshttp.pin_timeout'],
      unpinTimeoutMs: config['ipfs_connector.ipfshttp.unpin_timeout']
    },
    tracker: {
      concurrentPins: config['pin_tracker.stateless.concurrent_pins'],
      recoverIntervalMs: config['cluster.pin_recover_interval'],
      priorityMaxAgeMs: config['pin_tracker.stateless.priority_pin_max_age'],
      priorityMaxRetries: config['pin_tracker.stateless.priority_pin_max_retries']
    },
    pins: { replicationMin: config['cluster.replication_factor_min'], replicationMax: config['cluster.replication_factor_max'] },
    informerIntervalMs: config['informer.disk.metric_ttl'],
    // A peer's word is out of date long before Go's fifteen seconds; a report is some hundred bytes.
    reportIntervalMs: Math.min(2_000, config['cluster.monitor_ping_interval']),
    expiryIntervalMs: config['cluster.state_sync_interval']
  }
}

function doorSettings(config: Config): Parameters<typeof openDoors>[1] {
  const closeTimeoutMs = config['flotilla.close_timeout']
  return {
    rest: {
      listen: config['api.restapi.http_listen_multiaddress'],
      basicAuth: config['api.restapi.basic_auth_credentials'],
      headers: {},
      cors: defaultCors,
      maxHeaderBytes: config['api.restapi.max_header_bytes'],
      readTimeoutMs: config['api.restapi.read_timeout'],
      readHeaderTimeoutMs: config['api.restapi.read_header_timeout'],
      idleTimeoutMs: config['api.restapi.idle_timeout'],
      closeTimeoutMs
    },
    kubo: {
      listen: config['api.ipfsproxy.listen_multiaddress'],
      node: first(config['api.ipfsproxy.node_multiaddress'], 'api.ipfsproxy.node_multiaddress'),
      waitFor: config['flotilla.pin_wait'],
      closeTimeoutMs
    }
  }
}

function first(addresses: readonly string[], name: string): string {
  const [address] = addresses
  if (address === undefined)
    throw new ClusterError(
      { code: 'cannot_start' },
      `${name} is empty: expected the address of Kubo's API, such as /ip4/127.0.0.1/tcp/5001`
    )
  return address
}
