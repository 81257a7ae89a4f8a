/** One peer of the cluster: builds its parts, wires them, and hands each call to the verb that answers it. No logic of its own. */
import { randomBytes, randomInt } from 'node:crypto'
import type { ClusterApi, ReadOptions } from '../src/api.ts'
import type { Clock } from '../src/clock.ts'
import { ClusterError, isFault } from '../src/errors.ts'
import { logFailures, Tasks } from '../src/lifetime.ts'
import type { Log } from '../src/log.ts'
import type { Cid, Multiaddr, PeerId } from '../src/types.ts'
import type { Candidate } from './allocator.ts'
import type { DriverSettings } from './consensus/parts.ts'
import { RaftConsensus } from './consensus/raft-consensus.ts'
import { removedError } from './consensus/removal.ts'
import { Copies, holds } from './copies.ts'
import { Departure } from './departure.ts'
import { GarbageRuns } from './garbage-runs.ts'
import { Agreement } from './health/agreement.ts'
import { Informer } from './health/informer.ts'
import { Monitor } from './health/monitor.ts'
import type { Report } from './health/report.ts'
import { Kubo, type KuboSettings } from './ipfs/kubo.ts'
import { KuboTracker, type TrackerSettings } from './ipfs/tracker.ts'
import type { Wanted } from './ipfs/tracker-api.ts'
import { beginning, type JoiningSettings } from './joining.ts'
import { Network, type NetworkSettings } from './net/network.ts'
import { openFolder } from './opened.ts'
import { overview } from './overview.ts'
import { Peers } from './peers.ts'
import { Pins, type PinsSettings } from './pins.ts'
import { Reporter } from './reporter.ts'
import { Repositories } from './repositories.ts'
import type { StoreSettings } from './state/open-store.ts'
import { Pinset } from './state/pinset.ts'
import { Spaces } from './state/spaces.ts'
import { type KnownPeer, PinStatuses } from './status.ts'
import { Transfer } from './transfer.ts'

export interface PeerParts {
  readonly clock: Clock
  readonly log: Log
  /** The peer cannot go on: the owner disposes it and ends the process. */
  readonly onFatal: (error: unknown) => void
  /** The peer has left the cluster: as above, but nothing is wrong. The call that asked for it is still to be answered. */
  readonly onLeft: () => void
}

export interface PeerSettings {
  readonly name: string
  readonly version: string
  /** Folder of the store; made if missing. */
  readonly dataFolder: string
  readonly store: StoreSettings
  readonly network: Omit<NetworkSettings, 'name' | 'bootstrap'>
  readonly joining: Omit<JoiningSettings, 'self'>
  readonly raft: DriverSettings
  readonly kubo: KuboSettings
  readonly tracker: TrackerSettings
  readonly pins: PinsSettings
  readonly informerIntervalMs: number
  readonly reportIntervalMs: number
  /** Between two looks for pins that have expired. */
  readonly expiryIntervalMs: number
}

export interface Peer extends ClusterApi, AsyncDisposable {
  readonly peerId: PeerId
  readonly clusterId: string
}

/** A leader that stops waits so long for another one at most; it takes some milliseconds. */
const handOverMs = 1_000
/** Peers that start together have a leader by then. */
const catchUpMs = 5_000

/** @throws ClusterError `cannot_start` and others; nothing is left running then */
export async function startPeer(
  parts: PeerParts,
  settings: PeerSettings,
  { signal }: { signal?: AbortSignal | undefined } = {}
): Promise<Peer> {
  const { clock, log, onFatal, onLeft } = parts
  await using opened = new AsyncDisposableStack()
  const self = settings.network.identity.id
  const { bootstrap, invitedBy, peerAddresses } = settings.joining

  const store = opened.use(await openFolder(settings.dataFolder, { self, log, onFailure: onFatal, ...settings.store }))
  const knownCluster = await RaftConsensus.clusterIdOf(store, self)
  const network = opened.use(
    new Network({ clock, log }, { ...settings.network, name: settings.name, bootstrap: [...bootstrap, ...peerAddresses] })
  )
  await network.start()
  if (knownCluster !== undefined) {
    network.setClusterId(knownCluster)
    await refuseOtherCluster(network, bootstrap, knownCluster)
  } else if (bootstrap.length === 0 && invitedBy !== undefined) {
    // Before anybody is asked: members of another cluster with the same secret refuse this peer, and it refuses them.
    network.setClusterId(invitedBy.clusterId)
  }

  const kubo = opened.use(new Kubo(settings.kubo))
  const state = await Spaces.open(store)
  const pinset = new Pinset({ state })
  await pinset.start()
  const wanted = async function* (options: { after?: Cid | undefined }): AsyncIterable<Wanted> {
    for await (const pin of pinset.list(options)) if (holds(self, pin)) yield pin
  }
  const wish = async (cid: Cid): Promise<Wanted | undefined> => {
    const pin = await pinset.get(cid)
    return pin && holds(self, pin) ? pin : undefined
  }
  const tasks = opened.use(new Tasks(logFailures(log)))
  const tracker = opened.use(new KuboTracker({ kubo, store, wanted, wish, clock, log }, settings.tracker))
  const subscriptions = opened.use(new DisposableStack())
  subscriptions.use(
    pinset.onChange(changes => {
      for (const { cid, before, after, index } of changes) {
        if (after && holds(self, after)) tracker.want(after)
        else if (before && holds(self, before)) tracker.release(cid, index)
      }
      reporter.touch()
    })
  )

  subscriptions.use(pinset.onReplaced(() => void tracker.recover()))

  const monitor = new Monitor({ clock })
  const informer = opened.use(
    new Informer({ kubo, clock, log, onChange: () => reporter.touch() }, { intervalMs: settings.informerIntervalMs })
  )
  const me = { id: self, name: settings.name, addresses: network.addresses }
  const consensus = opened.use(
    new RaftConsensus(
      {
        store,
        state,
        rpc: network,
        machine: pinset,
        clock,
        log,
        onFatal,
        random: below => randomInt(below),
        origin: randomBytes(8).toString('hex')
      },
      { ...settings.raft, self: me }
    )
  )
  /** What of the own report is asked for with each pin: the rest costs more. */
  const ownWord = () => ({
    name: settings.name,
    ipfsId: informer.identity.id,
    ipfsAddresses: [...informer.identity.addresses],
    freeBytes: informer.freeBytes
  })
  const ownReport = (): Report => ({
    ...ownWord(),
    version: settings.version,
    kuboError: tracker.kuboError || informer.identity.error,
    counts: tracker.counts(),
    applied: consensus.status().applied,
    stateHash: pinset.hash
  })
  const members = () => consensus.members.map(({ id }) => id)
  const agreement = new Agreement({ applied: () => consensus.status().applied, hashAt: index => pinset.hashAt(index), log })
  const heard = (peer: PeerId, report: Report) => {
    monitor.hear(peer, report)
    agreement.hear(peer, report)
  }
  const reporter = opened.use(
    new Reporter({ rpc: network, monitor, clock, log, heard, report: ownReport, members }, { intervalMs: settings.reportIntervalMs })
  )
  const known = (peer: PeerId) => (peer === self ? { report: ownReport(), ageMs: 0 } : monitor.of(peer))

  const wordOf = (peer: PeerId) => (peer === self ? ownWord() : monitor.of(peer)?.report)

  const candidates = (): Candidate[] =>
    members().map(id => ({ id, isAlive: id === self || network.isConnected(id), freeBytes: wordOf(id)?.freeBytes ?? null }))
  const requireState = () => {
    const { isReady, removedAt } = consensus
    if (removedAt !== null) throw removedError(removedAt)
    if (!isReady)
      throw new ClusterError(
        { code: 'not_ready' },
        'this peer is joining, or catching up after its start: ask another peer, or ask again shortly'
      )
  }
  const requireFresh = async ({ consistency, signal }: ReadOptions = {}) => {
    requireState()
    if (consistency === 'linearizable') await consensus.readBarrier({ signal })
  }
  const pins = new Pins({ consensus, pinset, clock, resolve: (path, options) => kubo.resolve(path, options), candidates }, settings.pins)
  const transfer = new Transfer(
    { consensus, pinset, clock, candidates, requireState },
    { min: settings.pins.replicationMin, max: settings.pins.replicationMax }
  )
  const copies = new Copies({ rpc: network, pinset, tracker, clock })
  const knownPeers = (): KnownPeer[] =>
    consensus.members.map(({ id, name }) => {
      const word = wordOf(id)
      return {
        id,
        name: name || (word?.name ?? ''),
        ipfsId: word?.ipfsId ?? null,
        ipfsAddresses: word?.ipfsAddresses ?? [],
        isAlive: id === self || network.isConnected(id)
      }
    })
  const statuses = new PinStatuses({ self, pinset, copies, tracker, clock, members: knownPeers, requireState })
  const runs = new GarbageRuns({ kubo, clock, tasks })
  const repositories = new Repositories({ rpc: network, kubo, runs, members })
  const departure = new Departure({
    self,
    consensus,
    pins,
    pinset,
    isConnected: peer => network.isConnected(peer),
    statuses: options => statuses.many(options),
    requireState,
    onLeft
  })
  const peers = new Peers({
    rpc: network,
    status: () => consensus.status(),
    addresses: () => network.addresses,
    kubo: () => informer.identity,
    name: settings.name,
    version: settings.version
  })

  copies.start()
  repositories.start()
  peers.start()
  informer.start()
  subscriptions.use(
    consensus.onChange(({ role, leader, term, isReady }) => {
      log.info({ role, leader, term, isReady }, 'consensus changed')
      reporter.touch()
    })
  )
  await consensus.start(beginning({ network, clock, log }, { ...settings.joining, self: me }), { signal })
  network.setClusterId(consensus.status().clusterId)
  reporter.start()
  tracker.start()
  // Doors open when there is something true to say, as a rule; who asks earlier is told to wait.
  await consensus.caughtUp({ withinMs: catchUpMs, signal })
  tasks.run('expiry', async stop => {
    for (;;) {
      await clock.sleep(settings.expiryIntervalMs, { signal: stop })
      if (consensus.status().role !== 'leader') continue
      const gone = await pins.expire({ signal: stop })
      if (gone > 0) log.info({ pins: gone }, 'expired pins removed')
    }
  })

  const owned = opened.move()
  return {
    peerId: self,
    clusterId: consensus.status().clusterId,
    id: async () => peers.own(),
    version: async () => settings.version,
    peers: options => peers.all(options),
    removePeer: (peer, options) => departure.remove(peer, options),
    leave: options => departure.leave(options),
    pin: (target, options) => pins.pin(target, options),
    unpin: (target, options) => pins.unpin(target, options),
    async allocation(cid, options) {
      await requireFresh(options)
      const pin = await pinset.get(cid)
      if (pin === undefined) throw ClusterError.traceless({ code: 'not_pinned', cid }, 'pin is not part of the pinset')
      return pin
    },
    async *allocations({ consistency, signal, ...filter } = {}) {
      await requireFresh({ consistency, signal })
      for await (const pin of pinset.find(filter)) {
        signal?.throwIfAborted()
        yield pin
      }
    },
    async *pinPages(options) {
      await requireFresh(options)
      for await (const page of pinset.pages()) {
        options?.signal?.throwIfAborted()
        yield page
      }
    },
    async status(cid, options) {
      await requireFresh(options)
      return statuses.one(cid, options)
    },
    async *statuses(options) {
      await requireFresh(options)
      yield* statuses.many(options)
    },
    follow: (cid, options) => statuses.follow(cid, options),
    repositories: options => repositories.sizes(options),
    collectGarbage: options => repositories.collect(options),
    exportState: options => transfer.export(options),
    importPins: (given, options) => transfer.import(given, options),
    overview: async () =>
      overview({
        self,
        status: () => consensus.status(),
        isConnected: peer => network.isConnected(peer),
        known,
        pins: () => pinset.count,
        differs: peer => agreement.differs(peer)
      }),
    async [Symbol.asyncDispose]() {
      if (!owned.disposed) await consensus.handOver({ signal: AbortSignal.timeout(handOverMs) })
      await owned.disposeAsync()
    }
  }
}

/** A folder that has a cluster keeps it, and a bootstrap address is then of no use; but one of another cluster is a mistake worth a sentence. */
async function refuseOtherCluster(network: Network, bootstrap: readonly Multiaddr[], own: string): Promise<void> {
  for (const address of bootstrap) {
    try {
      const peer = await network.dialAny(address, { signal: AbortSignal.timeout(2_000) })
      await network.call(peer, 'peer/id', new Uint8Array(), { signal: AbortSignal.timeout(2_000) })
    } catch (error) {
      if (isFault(error, 'wrong_cluster')) {
        throw new ClusterError(
          { code: 'cannot_start' },
          `the data folder belongs to cluster ${own}, but ${address} is a member of another one: start without --bootstrap, or with an empty data folder to join there`,
          { cause: error }
        )
      }
      // Not reached, or does not know us yet: the members in the log are dialled anyway.
    }
  }
}
