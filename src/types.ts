/**
 * The nouns of the field. Text becomes one of these once, at the edge (`codec.ts`), and stays one.
 * Times are Unix milliseconds, sizes are bytes, unless a name says otherwise.
 */

declare const brand: unique symbol
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** Canonical text of a CID: base58btc for version 0, base32 for version 1. A map key, a log field and JSON as it stands. */
export type Cid = Brand<string, 'Cid'>
/** Canonical text of a libp2p peer id (`12D3Koo…`, `Qm…`). */
export type PeerId = Brand<string, 'PeerId'>
/** Text of a multiaddr that was parsed once. */
export type Multiaddr = Brand<string, 'Multiaddr'>
/** An IPFS path with a namespace: `/ipfs/<cid>/a`, `/ipns/<name>`, `/ipld/<cid>`. */
export type IpfsPath = Brand<string, 'IpfsPath'>

export type PinMode = 'recursive' | 'direct'
/** The kinds of ipfs-cluster. Only `pin` is made here; the others are read from imported state. */
export type PinType = 'pin' | 'meta-pin' | 'clusterdag-pin' | 'shard-pin'

/** What a pin asks for. A missing field takes the configuration's default. */
export interface PinOptions {
  readonly name?: string
  readonly mode?: PinMode
  /** Copies below which the cluster allocates anew; -1 means every peer, and then `replicationMax` is -1 too. */
  readonly replicationMin?: number
  readonly replicationMax?: number
  /** Peers to prefer, within `replicationMax`. Peers that cannot take the pin are passed over. */
  readonly userAllocations?: readonly PeerId[]
  readonly expireAt?: number | null
  readonly metadata?: Readonly<Record<string, string>>
  /** Pin with the options of this one, and let Kubo fetch only what differs. */
  readonly pinUpdate?: Cid | null
  /** Addresses, each with `/p2p/<id>`, of nodes that have the content. */
  readonly origins?: readonly Multiaddr[]
}

/** A pin as the cluster agreed on it. */
export interface Pin {
  readonly cid: Cid
  readonly type: PinType
  readonly name: string
  readonly mode: PinMode
  readonly replicationMin: number
  readonly replicationMax: number
  /** Peers that hold it, sorted. Empty means every peer. */
  readonly allocations: readonly PeerId[]
  /** `null` means never. */
  readonly expireAt: number | null
  readonly metadata: Readonly<Record<string, string>>
  readonly pinUpdate: Cid | null
  readonly origins: readonly Multiaddr[]
  /** -1 recursive, 0 direct, 1 or 2 for shards of ipfs-cluster. */
  readonly maxDepth: number
  readonly reference: Cid | null
  readonly shardSize: number
  /** When it was asked for. */
  readonly timestamp: number
  /** Log index of the entry that last wrote this pin; 0 before it is agreed. */
  readonly version: number
}

/** Names of ipfs-cluster's tracker statuses (reference: api/types.go of ipfs-cluster 1.1.6). */
export const statuses = [
  'undefined',
  'cluster_error',
  'pin_error',
  'unpin_error',
  'pinned',
  'pinning',
  'unpinning',
  'unpinned',
  'remote',
  'pin_queued',
  'unpin_queued',
  'sharded',
  'unexpectedly_unpinned'
] as const
export type Status = (typeof statuses)[number]

/** One peer's view of one pin: observed, never agreed. */
export interface PeerStatus {
  readonly peerName: string
  readonly ipfsId: string | null
  readonly ipfsAddresses: readonly string[]
  readonly status: Status
  readonly timestamp: number
  /** Why, in words; empty where nothing is wrong. */
  readonly error: string
  readonly attemptCount: number
  readonly priorityPin: boolean
  /** What Kubo has fetched so far, while the status is `pinning`; of a pin that has just become `pinned`, what it has fetched. */
  readonly progress: FetchProgress | null
}

export interface FetchProgress {
  readonly nodes: number
  /** `null` where Kubo is too old to say (before 0.40). */
  readonly bytes: number | null
}

export interface PinStatus {
  readonly cid: Cid
  readonly name: string
  readonly allocations: readonly PeerId[]
  readonly origins: readonly Multiaddr[]
  readonly created: number
  readonly metadata: Readonly<Record<string, string>>
  /** One entry for every peer asked, sorted by peer id. */
  readonly peers: ReadonlyMap<PeerId, PeerStatus>
}

/** How far a pin has come over all its peers. */
export interface PinProgress {
  readonly nodes: number
  readonly bytes: number | null
  /** Peers that hold it now. */
  readonly pinned: number
  /** Peers that must hold it for the level asked for. */
  readonly wanted: number
  readonly done: boolean
}

/** How large one peer's Kubo is. */
export interface RepositorySize {
  readonly peer: PeerId
  readonly repoBytes: bigint
  /** `Datastore.StorageMax`; 2^64 - 1 is no limit. */
  readonly maxBytes: bigint
  /** 0 where they were not to be counted. */
  readonly objects: bigint
  /** Why there are no figures; empty where there are. */
  readonly error: string
}

/** One block that a peer's Kubo has removed, or, with `cid` `null`, what went wrong there. */
export interface Collected {
  readonly peer: PeerId
  readonly cid: Cid | null
  readonly error: string
}

export interface KuboIdentity {
  /** `null` while Kubo does not answer; `error` says why. */
  readonly id: string | null
  readonly addresses: readonly string[]
  readonly error: string
}

/** A peer as it describes itself, or, where `error` is set, as others could not reach it. */
export interface PeerInfo {
  readonly id: PeerId
  readonly name: string
  readonly addresses: readonly Multiaddr[]
  readonly clusterPeers: readonly PeerId[]
  readonly clusterPeersAddresses: readonly Multiaddr[]
  readonly version: string
  readonly rpcProtocolVersion: string
  readonly error: string
  readonly ipfs: KuboIdentity
}

/** `learner`: has no vote yet. `candidate`: looks for votes. `unreachable`: a member that does not answer this peer. */
export type Role = 'leader' | 'follower' | 'candidate' | 'learner' | 'unreachable'

export interface PeerHealth {
  readonly id: PeerId
  readonly name: string
  readonly role: Role
  readonly isVoter: boolean
  /** Committed entries it has not applied yet, as far as known; `null` where it does not answer. */
  readonly lagEntries: number | null
  /** Log index it has applied, and the hash of its state then, as it last said: peers with the same index have the same hash. */
  readonly appliedIndex: number | null
  /** Empty where it is not known. */
  readonly stateHash: string
  readonly freeBytes: number | null
  readonly queued: number
  readonly pinning: number
  readonly failed: number
  readonly pinned: number
  /** Empty while its Kubo answers. */
  readonly kuboError: string
  /** Milliseconds since it was last heard of; 0 for the peer that answers. */
  readonly silentMs: number
}

/** What an administrator looks at first. */
export interface Overview {
  readonly clusterId: string
  readonly answeredBy: PeerId
  readonly leader: PeerId | null
  readonly term: number
  readonly voters: number
  readonly votersReached: number
  readonly peers: readonly PeerHealth[]
  /** Agreed pins. */
  readonly pins: number
  /** Copies by state, summed over the peers that answer. */
  readonly copies: Readonly<Partial<Record<Status, number>>>
  /** What is wrong and why: whole sentences, worst first. Empty means healthy. */
  readonly problems: readonly string[]
}

/** Which pins to list, and in which order; everything that is given has to hold. */
export interface PinFilter {
  readonly types?: readonly PinType[] | undefined
  /** Exactly. */
  readonly name?: string | undefined
  /** Names that begin with it; in the order of names. */
  readonly namePrefix?: string | undefined
  /** When the pin was asked for, Unix milliseconds, both included. */
  readonly after?: number | undefined
  readonly before?: number | undefined
  /** By the time they were asked for. Default: by time where a name or a time is given, else by CID. */
  readonly order?: 'oldest' | 'newest' | undefined
  readonly limit?: number | undefined
}

/** What an import asks for beside the pins. */
export interface ImportOptions {
  /** What to do with a pin that is there already, and differs. Default: `replace`. */
  readonly existing?: 'replace' | 'keep'
  /** In place of what each pin says; both or none. */
  readonly replicationMin?: number
  readonly replicationMax?: number
}

/** How far an import has come. */
export interface ImportProgress {
  /** Pins that are agreed: the sum of the three below. */
  readonly pins: number
  readonly added: number
  readonly replaced: number
  /** There already: the same, or kept. */
  readonly unchanged: number
  readonly done: boolean
}

/** The agreed pins as of one index of the log, to be kept. */
export interface StateExport {
  /** Of the last change: what was agreed up to there is in it, and nothing after. */
  readonly index: number
  /** In the order of CID bytes. Reading them to the end, or leaving the loop, closes what is open below. */
  readonly pins: AsyncIterable<Pin>
}
