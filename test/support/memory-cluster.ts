/**
 * A cluster without a network: three peers that agree at once and whose Kubos pin as soon as they are asked, or when `release` lets them.
 * The smallest thing that keeps every promise of `ClusterApi`, for tests of what stands in front of it.
 */
import { fits } from '../../cluster/state/listing.ts'
import type {
  ClusterApi,
  CollectOptions,
  Consistency,
  FollowOptions,
  ReadOptions,
  RepositoriesOptions,
  StatusesOptions,
  Which
} from '../../src/api.ts'
import { isPath, parseTarget } from '../../src/codec.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Abortable } from '../../src/lifetime.ts'
import { type PinPage, pagesOf } from '../../src/pin-page.ts'
import type {
  Cid,
  Collected,
  ImportOptions,
  ImportProgress,
  IpfsPath,
  Overview,
  PeerId,
  PeerInfo,
  PeerStatus,
  Pin,
  PinFilter,
  PinOptions,
  PinProgress,
  PinStatus,
  StateExport,
  Status
} from '../../src/types.ts'

export const memoryPeers = [
  '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN',
  '12D3KooWHdNTvK5F1XCBBGm3Xt6vZ6aPHZ4XFzXqgYsKZ5pd6aJq',
  'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPMbd'
] as unknown as readonly [PeerId, PeerId, PeerId]

/** What `/ipns/example` resolves to. */
export const ipnsTarget = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi' as Cid

export class MemoryCluster implements ClusterApi {
  readonly pins = new Map<Cid, Pin>()
  /** Thrown by every call while it is set. */
  fault: ClusterError | undefined
  /** Thrown by streams after their first item while it is set. */
  lateFault: unknown
  /** CIDs that stay in the state `pinning`. */
  readonly held = new Set<Cid>()
  /** Reads that had to be linearizable. */
  freshReads = 0
  problems: readonly string[] = []
  /** Streams that are open: a client that leaves must bring it back to 0. */
  openStreams = 0
  #version = 0
  readonly #waiting = new Set<() => void>()

  /** Lets the Kubos finish `cid`. */
  release(cid: Cid): void {
    this.held.delete(cid)
    this.#changed()
  }

  async id({ signal }: Abortable = {}): Promise<PeerInfo> {
    this.#enter(signal)
    return this.#info(memoryPeers[0])
  }

  async version({ signal }: Abortable = {}): Promise<string> {
    this.#enter(signal)
    return '0.1.0'
  }

  async *peers({ signal }: Abortable = {}): AsyncIterable<PeerInfo> {
    this.#enter(signal)
    yield* this.#stream(memoryPeers.map(peer => this.#info(peer)))
  }

  /** Peers that were removed, and with force. */
  readonly removed = new Map<PeerId, boolean>()

  async removePeer(peer: PeerId, { force = false, signal }: { force?: boolean | undefined } & Abortable = {}): Promise<void> {
    this.#enter(signal)
    this.removed.set(peer, force)
  }

  async leave({ force = false, signal }: { force?: boolean | undefined } & Abortable = {}): Promise<void> {
    this.#enter(signal)
    this.removed.set(memoryPeers[0], force)
  }

  async pin(target: Cid | IpfsPath, { signal, ...options }: PinOptions & Abortable = {}): Promise<Pin> {
    this.#enter(signal)
    const cid = resolve(target)
    const everywhere = options.replicationMin === undefined && options.replicationMax === undefined
    const replicationMin = everywhere ? -1 : (options.replicationMin ?? 1)
    const replicationMax = everywhere ? -1 : (options.replicationMax ?? memoryPeers.length)
    if (replicationMin > replicationMax) throw new ClusterError({ code: 'invalid' }, 'replication minimum is larger than the maximum')
    if ((options.expireAt ?? Infinity) < Date.now()) throw new ClusterError({ code: 'invalid' }, 'the pin would be expired already')
    if (replicationMin > memoryPeers.length) {
      const fault = { code: 'not_enough_peers', wanted: replicationMin, available: memoryPeers.length } as const
      throw new ClusterError(fault, `only ${memoryPeers.length} of ${replicationMin} peers can take this pin`)
    }
    const mode = options.mode ?? 'recursive'
    const pin: Pin = {
      cid,
      type: 'pin',
      name: options.name ?? '',
      mode,
      replicationMin,
      replicationMax,
      allocations: replicationMax === -1 ? [] : memoryPeers.slice(0, replicationMax),
      expireAt: options.expireAt ?? null,
      metadata: options.metadata ?? {},
      pinUpdate: options.pinUpdate ?? null,
      origins: options.origins ?? [],
      maxDepth: mode === 'direct' ? 0 : -1,
      reference: null,
      shardSize: 0,
      timestamp: Date.now(),
      version: ++this.#version
    }
    this.pins.set(cid, pin)
    this.#changed()
    return pin
  }

  async unpin(target: Cid | IpfsPath, { version, signal }: { version?: number | undefined } & Abortable = {}): Promise<Pin> {
    this.#enter(signal)
    const pin = this.#agreed(resolve(target))
    if (version !== undefined && version !== pin.version) throw new ClusterError({ code: 'conflict' }, 'changed meanwhile')
    this.pins.delete(pin.cid)
    this.#changed()
    return pin
  }

  async allocation(cid: Cid, { consistency, signal }: ReadOptions = {}): Promise<Pin> {
    this.#enter(signal, consistency)
    return this.#agreed(cid)
  }

  async *allocations({ consistency, signal, order, limit, ...filter }: PinFilter & ReadOptions = {}): AsyncIterable<Pin> {
    this.#enter(signal, consistency)
    const found = [...this.pins.values()].filter(pin => fits(pin, filter))
    if (order !== undefined) found.sort((a, b) => (order === 'oldest' ? 1 : -1) * (a.timestamp - b.timestamp))
    yield* this.#stream(found.slice(0, limit))
  }

  pinPages(options: ReadOptions = {}): AsyncIterable<PinPage> {
    return pagesOf(this.allocations(options))
  }

  async status(cid: Cid, { local, consistency, signal }: { local?: boolean | undefined } & ReadOptions = {}): Promise<PinStatus> {
    this.#enter(signal, consistency)
    return this.#status(cid, { local })
  }

  async *statuses({ filter, cids, local, consistency, signal }: StatusesOptions = {}): AsyncIterable<PinStatus> {
    this.#enter(signal, consistency)
    if (cids) return yield* this.#stream(cids.map(cid => this.#status(cid, { local })))
    const all = [...this.pins.keys()].map(cid => this.#status(cid, { local, filter }))
    yield* this.#stream(all.filter(status => status.peers.size > 0))
  }

  async *follow(cid: Cid, { until = 'min', signal }: FollowOptions = {}): AsyncIterable<PinProgress> {
    this.#enter(signal)
    this.openStreams++
    try {
      for (let first = true; ; first = false) {
        const pin = this.#agreed(cid)
        const all = pin.allocations.length || memoryPeers.length
        const wanted = until === 'min' && pin.replicationMin > 0 ? pin.replicationMin : all
        const isHeld = this.held.has(cid)
        yield { nodes: 7, bytes: 1_234, pinned: isHeld ? 0 : all, wanted, done: !isHeld }
        if (!isHeld) return
        if (this.lateFault && !first) throw this.lateFault
        await this.#nextChange(signal)
      }
    } finally {
      this.openStreams--
    }
  }

  async *repositories({ which, sizeOnly, signal }: RepositoriesOptions = {}): ReturnType<ClusterApi['repositories']> {
    this.#enter(signal)
    yield* this.#stream(
      this.#which(which).map(peer => {
        if (peer === memoryPeers[2]) return { peer, repoBytes: 0n, maxBytes: 0n, objects: 0n, error: 'connection refused' }
        return { peer, repoBytes: 1_000n, maxBytes: 2n ** 64n - 1n, objects: sizeOnly ? 0n : 10n, error: '' }
      })
    )
  }

  async *collectGarbage({ which, signal }: CollectOptions = {}): ReturnType<ClusterApi['collectGarbage']> {
    this.#enter(signal)
    const item = (peer: PeerId): Collected =>
      peer === memoryPeers[2] ? { peer, cid: null, error: 'connection refused' } : { peer, cid: ipnsTarget, error: '' }
    yield* this.#stream(this.#which(which).map(item))
  }

  async exportState({ signal }: Abortable = {}): Promise<StateExport> {
    this.#enter(signal)
    return { index: this.#version, pins: this.#stream([...this.pins.values()]) }
  }

  async *importPins(
    pins: AsyncIterable<Pin>,
    { existing = 'replace', signal }: ImportOptions & Abortable = {}
  ): AsyncIterable<ImportProgress> {
    this.#enter(signal)
    const tally = { pins: 0, added: 0, replaced: 0, unchanged: 0 }
    for await (const pin of pins) {
      const before = this.pins.get(pin.cid)
      const isSame = JSON.stringify({ ...before, version: 0 }) === JSON.stringify({ ...pin, version: 0 })
      const change = before === undefined ? 'added' : existing === 'keep' || isSame ? 'unchanged' : 'replaced'
      if (change !== 'unchanged') this.pins.set(pin.cid, { ...pin, version: ++this.#version })
      tally[change]++
      tally.pins++
      if (this.lateFault) {
        yield { ...tally, done: false }
        throw this.lateFault
      }
    }
    this.#changed()
    yield { ...tally, done: true }
  }

  async overview({ signal }: Abortable = {}): Promise<Overview> {
    this.#enter(signal)
    return {
      clusterId: 'e2c5b7f0',
      answeredBy: memoryPeers[0],
      leader: memoryPeers[1],
      term: 4,
      voters: 3,
      votersReached: 2,
      peers: memoryPeers.map((id, index) => ({
        id,
        name: `peer-${index}`,
        role: (['follower', 'leader', 'unreachable'] as const)[index] ?? 'follower',
        isVoter: true,
        lagEntries: index === 2 ? null : 0,
        appliedIndex: index === 2 ? null : this.#version,
        stateHash: index === 2 ? '' : `1:${this.#version}`,
        freeBytes: index === 2 ? null : 12_345_678_901,
        queued: 0,
        pinning: this.held.size,
        failed: 0,
        pinned: this.pins.size - this.held.size,
        kuboError: '',
        silentMs: index === 2 ? 12_000 : 0
      })),
      pins: this.pins.size,
      copies: { pinned: 3 * (this.pins.size - this.held.size), pinning: 3 * this.held.size },
      problems: this.problems
    }
  }

  #enter(signal: AbortSignal | undefined, consistency: Consistency = 'local'): void {
    signal?.throwIfAborted()
    if (consistency === 'linearizable') this.freshReads++
    if (this.fault) throw this.fault
  }

  #agreed(cid: Cid): Pin {
    const pin = this.pins.get(cid)
    if (pin === undefined) throw new ClusterError({ code: 'not_pinned', cid }, `${cid} is not part of the pinset`)
    return pin
  }

  #which(which: Which = 'all'): readonly PeerId[] {
    return memoryPeers.filter(peer => which === 'all' || (peer === memoryPeers[0]) === (which === 'local'))
  }

  #info(id: PeerId): PeerInfo {
    const index = memoryPeers.indexOf(id)
    return {
      id,
      name: `peer-${index}`,
      addresses: [`/ip4/127.0.0.1/tcp/${9096 + index}/p2p/${id}`] as unknown as PeerInfo['addresses'],
      clusterPeers: memoryPeers,
      clusterPeersAddresses: [],
      version: '0.1.0',
      rpcProtocolVersion: '/flotilla/1',
      error: index === 2 ? 'connection refused' : '',
      ipfs: { id: null, addresses: [], error: index === 2 ? 'not asked' : '' }
    }
  }

  #status(cid: Cid, { local, filter }: { local?: boolean | undefined; filter?: readonly Status[] | undefined }): PinStatus {
    const pin = this.pins.get(cid)
    const entries = this.#which(local ? 'local' : 'all')
      .map(id => [id, this.#peerStatus(cid, id)] as const)
      .filter(([, one]) => filter?.includes(one.status) ?? true)
    return {
      cid,
      name: pin?.name ?? '',
      allocations: pin?.allocations ?? [],
      origins: pin?.origins ?? [],
      created: pin?.timestamp ?? 0,
      metadata: pin?.metadata ?? {},
      peers: new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
    }
  }

  #peerStatus(cid: Cid, id: PeerId): PeerStatus {
    const pin = this.pins.get(cid)
    const isHolder = pin !== undefined && (pin.allocations.length === 0 || pin.allocations.includes(id))
    const isHeld = this.held.has(cid)
    const status: Status = pin === undefined ? 'unpinned' : !isHolder ? 'remote' : isHeld ? 'pinning' : 'pinned'
    return {
      peerName: `peer-${memoryPeers.indexOf(id)}`,
      ipfsId: null,
      ipfsAddresses: [],
      status,
      timestamp: pin?.timestamp ?? 0,
      error: '',
      attemptCount: 0,
      priorityPin: false,
      progress: status === 'pinning' ? { nodes: 7, bytes: 1_234 } : null
    }
  }

  async *#stream<T>(items: readonly T[]): AsyncIterable<T> {
    this.openStreams++
    try {
      for (const item of items) {
        yield item
        if (this.lateFault) throw this.lateFault
      }
    } finally {
      this.openStreams--
    }
  }

  #changed(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  #nextChange(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => () => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', stop)
        act()
      }
      const wake = end(resolve)
      const stop = end(() => reject(signal?.reason))
      this.#waiting.add(wake)
      signal?.addEventListener('abort', stop)
    })
  }
}

function resolve(target: Cid | IpfsPath): Cid {
  const bare = parseTarget(target)
  if (!isPath(bare)) return bare
  if (target.startsWith('/ipns/example')) return ipnsTarget
  throw new ClusterError({ code: 'kubo_error', status: 500, kuboCode: 0 }, `cannot resolve ${target}: no link by that name`)
}
