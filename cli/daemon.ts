/** Runs the peer of a folder: reads the configuration, builds everything in one place, and takes it down again in the reverse order. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CommandModule } from 'yargs'
import { type Peer, startPeer } from '../cluster/peer.ts'
import { openDoors } from '../proxy/doors.ts'
import { systemClock } from '../src/clock.ts'
import { parseMultiaddr } from '../src/codec.ts'
import type { Config } from '../src/config.ts'
import { configFileOf, loadConfig, peerFolder } from '../src/config-file.ts'
import { ClusterError, isFault, messageOf } from '../src/errors.ts'
import { aborted } from '../src/lifetime.ts'
import { type Log, openLog } from '../src/log.ts'
import type { Metrics } from '../src/metrics.ts'
import { authorizationOf } from '../src/secret.ts'
import type { Multiaddr } from '../src/types.ts'
import type { CommonOptions } from './connection.ts'
import { type Host, hostOf } from './invited.ts'
import { lockFolder } from './lock.ts'
import { Failed } from './output.ts'
import { ownVersion } from './own-version.ts'
import { identityOf } from './peer-folder.ts'
import { isForWantOfRoom, roomAgain } from './room.ts'
import { Timing } from './timing.ts'

interface DaemonOptions extends CommonOptions {
  readonly bootstrap: readonly string[]
}

export const daemonCommand: CommandModule<CommonOptions, DaemonOptions> = {
  command: 'daemon',
  describe: 'Run the peer of a folder',
  builder: parser =>
    parser
      .option('bootstrap', {
        type: 'string',
        array: true,
        default: [],
        describe: 'Address of any member to join through, /p2p/<id> may be left out; ignored by a peer that is a member already'
      })
      .hide('host')
      .example('$0 daemon', 'the first peer founds a cluster; a member comes back to its own')
      .example('$0 daemon --bootstrap /ip4/10.0.0.1/tcp/9096', 'join through the peer that is there')
      .epilogue(
        'The folder is $FLOTILLA_PATH, else $IPFS_CLUSTER_PATH, else ~/.flotilla; "flotilla init" makes it. Logs are JSON lines on stdout. ' +
          'SIGTERM and Ctrl-C end it when the calls under way are answered.'
      ),
  // A mistake in the call is told before anything is read or locked.
  handler: async ({ bootstrap }) => runDaemon({ bootstrap: bootstrap.flatMap(words => words.split(',')).map(parseMultiaddr) })
}

/** Ends when the process is told to; throws where it cannot start or go on. */
async function runDaemon({ bootstrap }: { bootstrap: readonly Multiaddr[] }): Promise<void> {
  const folder = peerFolder()
  const { config, ignored } = await loadConfig(configFileOf(folder))
  const identity = await identityOf(folder)
  const invitedBy = bootstrap.length === 0 ? await hostOf(folder) : undefined
  const log = openLog({ level: config.flotilla.logLevel, name: config.cluster.peername })
  if (ignored.length > 0) log.warn({ keys: ignored }, 'keys of the configuration without effect')
  if (config.cluster.secret === null) log.warn({}, 'cluster.secret is empty: whoever reaches this peer can become a member')
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.once(name, () => {
      log.info({ signal: name }, 'stopping')
      stop.abort(new Error(`told to stop by ${name}`))
    })
  }
  await using _lock = await lockFolder(folder)
  const timing = new Timing(config)
  using _again = timing.followFile(configFileOf(folder), log)
  const dataFolder = join(folder, 'data')
  await mkdir(dataFolder, { recursive: true, mode: 0o700 })
  const run = () =>
    runPeer(
      { config, log: log as unknown as Log, settings: peerSettings(config, { folder, identity, bootstrap, invitedBy, timing }) },
      stop
    )
  for (let isFirst = true; ; isFirst = false) {
    try {
      const failure = await run()
      if (failure === undefined) break
      if (!isForWantOfRoom(failure)) throw failure instanceof ClusterError ? failure : new Failed()
    } catch (error) {
      // Who starts a peer on a full disk wants to be told; who has let it run wants it back.
      if (!isForWantOfRoom(error) || (isFirst && isFault(error, 'cannot_start'))) throw error
    }
    log.warn({ folder: dataFolder }, 'the disk is full: this peer steps aside, and comes back when there is room')
    try {
      await roomAgain(dataFolder, stop)
    } catch (error) {
      if (stop.signal.aborted) break
      throw error
    }
    log.info({}, 'there is room again')
  }
  log.info({}, 'stopped')
}

interface PeerRun {
  readonly config: Config
  readonly log: Log
  readonly settings: PeerSettings
}

/** Until `stop`, or until the peer has left. @returns why it could not go on, where that is so @throws where it cannot start */
async function runPeer({ config, log, settings }: PeerRun, stop: AbortController): Promise<unknown> {
  const ended = new AbortController()
  let failure: unknown
  const onFatal = (error: unknown) => {
    failure ??= error
    log.fatal({ err: error, reason: messageOf(error) }, 'this peer cannot go on')
    ended.abort(error)
  }
  const onLeft = () => {
    log.info({}, 'left the cluster')
    ended.abort(new Error('this peer has left the cluster'))
  }
  const signal = AbortSignal.any([stop.signal, ended.signal])
  try {
    await using peer = await startPeer({ clock: systemClock, log, onFatal, onLeft }, settings, { signal })
    await using doors = await openDoors({ api: peer, log, metrics: await metricsOf(config, peer) }, doorSettings(config))
    log.info({ peer: peer.peerId, cluster: peer.clusterId, rest: doors.rest, kubo: doors.kubo }, 'ready')
    await aborted(signal)
    if (config.cluster.leaveOnShutdown && failure === undefined) await leave(peer, log)
  } catch (error) {
    // Being told to stop while joining is no failure.
    if (!signal.aborted || failure !== undefined) throw failure ?? error
  }
  return failure
}

/** Asked for, but not at any price: a majority or a copy that would be lost is worth more. */
async function leave(peer: Peer, log: Log): Promise<void> {
  try {
    await peer.leave({ signal: AbortSignal.timeout(leaveMs) })
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'this peer stays a member')
  }
}

type PeerSettings = Parameters<typeof startPeer>[1]
type DoorSettings = Parameters<typeof openDoors>[1]

/** Whoever told the peer to stop does not wait for ever. Pins that have gone to others by then stay there. */
const leaveMs = 20_000

function peerSettings(
  { cluster, consensus, ipfsConnector, pinTracker, informer, flotilla }: Config,
  {
    folder,
    identity,
    bootstrap,
    invitedBy,
    timing
  }: {
    folder: string
    identity: PeerSettings['network']['identity']
    bootstrap: readonly Multiaddr[]
    invitedBy: Host | undefined
    timing: Timing
  }
): PeerSettings {
  const { ipfshttp } = ipfsConnector
  const { stateless } = pinTracker
  return {
    name: cluster.peername,
    version: ownVersion(),
    dataFolder: join(folder, 'data'),
    store: { engine: flotilla.store },
    network: {
      identity,
      secret: cluster.secret?.reveal() ?? null,
      listen: cluster.listenMultiaddress,
      announce: cluster.announceMultiaddress
    },
    joining: {
      bootstrap,
      invitedBy,
      initPeerset: consensus.raft.initPeerset,
      peerAddresses: cluster.peerAddresses
    },
    raft: {
      pace: timing.pace,
      proposals: timing.proposals,
      snapshots: {
        log: { entriesMax: consensus.raft.trailingLogs, bytesMax: 64 << 20, ageMsMax: 86_400_000 },
        transfer: { chunkBytes: 128 << 10, bytesPerSecond: 16 << 20, idleMs: 30_000 }
      }
    },
    kubo: {
      api: ipfshttp.nodeMultiaddress,
      authorization: flotilla.kuboAuthorization && authorizationOf(flotilla.kuboAuthorization.reveal()),
      requestTimeoutMs: ipfshttp.ipfsRequestTimeoutMs,
      pinTimeoutMs: ipfshttp.pinTimeoutMs,
      unpinTimeoutMs: ipfshttp.unpinTimeoutMs
    },
    tracker: {
      concurrentPins: stateless.concurrentPins,
      recoverIntervalMs: cluster.pinRecoverIntervalMs,
      priorityMaxAgeMs: stateless.priorityPinMaxAgeMs,
      priorityMaxRetries: stateless.priorityPinMaxRetries
    },
    pins: { replicationMin: cluster.replicationFactorMin, replicationMax: cluster.replicationFactorMax },
    informerIntervalMs: informer.disk.metricTtlMs,
    // A peer's word is out of date long before Go's fifteen seconds; a report is some hundred bytes.
    reportIntervalMs: Math.min(2_000, cluster.monitorPingIntervalMs),
    expiryIntervalMs: cluster.stateSyncIntervalMs
  }
}

/** The library is loaded where somebody reads the figures. */
async function metricsOf({ observations }: Config, api: Peer): Promise<Metrics | null> {
  if (!observations.metrics.enableStats) return null
  const { Metrics } = await import('../src/metrics.ts')
  return new Metrics({ api })
}

/** A section that the file leaves out is a door that stays closed. */
function doorSettings({ api: { restapi, ipfsproxy }, observations: { metrics }, flotilla }: Config): DoorSettings {
  const { closeTimeoutMs } = flotilla
  return {
    metrics: metrics.enableStats ? { listen: metrics.prometheusEndpoint } : null,
    rest: restapi && {
      listen: restapi.httpListenMultiaddress,
      basicAuth: restapi.basicAuthCredentials?.reveal() ?? null,
      headers: restapi.headers,
      cors: {
        allowedOrigins: restapi.corsAllowedOrigins,
        allowedMethods: restapi.corsAllowedMethods,
        allowedHeaders: restapi.corsAllowedHeaders,
        exposedHeaders: restapi.corsExposedHeaders,
        allowCredentials: restapi.corsAllowCredentials,
        maxAgeSeconds: Math.floor(restapi.corsMaxAgeMs / 1_000)
      },
      maxHeaderBytes: restapi.maxHeaderBytes,
      readTimeoutMs: restapi.readTimeoutMs,
      readHeaderTimeoutMs: restapi.readHeaderTimeoutMs,
      idleTimeoutMs: restapi.idleTimeoutMs,
      closeTimeoutMs
    },
    kubo: ipfsproxy && {
      listen: ipfsproxy.listenMultiaddress,
      node: `${ipfsproxy.nodeMultiaddress}${ipfsproxy.nodeHttps && !/\/(https|tls)/.test(ipfsproxy.nodeMultiaddress) ? '/https' : ''}`,
      nodeAuthorization: flotilla.kuboAuthorization?.reveal() ?? null,
      waitFor: flotilla.pinWait,
      keepsTrying: flotilla.keepTrying,
      isStrict: flotilla.strictPinning,
      sums: flotilla.repositorySums,
      access: Object.values(flotilla.doorAccess?.reveal() ?? {}),
      closeTimeoutMs
    }
  }
}
