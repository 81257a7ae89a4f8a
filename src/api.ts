/**
 * The one interface between the cluster and its doors. The cluster implements it, the doors serve it, the typed client speaks it over
 * HTTP, the CLI uses it. A new verb is a line here, and the compiler names the places that are missing.
 */
import type { Abortable } from './lifetime.ts'
import type { PinPage } from './pin-page.ts'
import type {
  Cid,
  Collected,
  ImportOptions,
  ImportProgress,
  IpfsPath,
  Overview,
  PeerId,
  PeerInfo,
  Pin,
  PinFilter,
  PinOptions,
  PinProgress,
  PinStatus,
  RepositorySize,
  StateExport,
  Status
} from './types.ts'

export interface FollowOptions extends Abortable {
  readonly until?: WaitLevel | undefined
  readonly isBlind?: boolean | undefined
}

/** How many copies make a waiting call return: `min` is the pin's replication minimum, `all` every allocated peer. */
export type WaitLevel = 'min' | 'all'

/** Which peers are asked: every member, this one, or all but this one. */
export type Which = 'all' | 'local' | 'others'

/**
 * `local`: what the peer that answers has applied, which is everything that was acknowledged through it. `linearizable`: everything that was
 * acknowledged anywhere before the call; it costs one question to the leader, and needs one.
 */
export type Consistency = 'local' | 'linearizable'

export interface ReadOptions extends Abortable {
  /** Default: `local`. With `linearizable` a read can fail with ClusterError `no_leader`, `timeout`, `overloaded`. */
  readonly consistency?: Consistency | undefined
}

export interface StatusesOptions extends ReadOptions {
  /** Keeps peers with one of these statuses. */
  readonly filter?: readonly Status[] | undefined
  /** Names CIDs instead, and then `filter` is ignored. */
  readonly cids?: readonly Cid[] | undefined
  readonly local?: boolean | undefined
}

export interface RepositoriesOptions extends Abortable {
  readonly which?: Which | undefined
  /** Objects are not counted, which takes long. */
  readonly sizeOnly?: boolean | undefined
  /** What a peer may take at most, in milliseconds; later it is an item with an error. Default: a minute. */
  readonly limitMs?: number | undefined
}

export type CollectOptions = Pick<RepositoriesOptions, 'which' | 'signal'>

export interface ClusterApi {
  /** The peer that answers. Works at any time, also without a quorum or Kubo. */
  id(options?: Abortable): Promise<PeerInfo>

  version(options?: Abortable): Promise<string>

  /** Every member, unreachable ones last and with `error` set. At most 15 s. */
  peers(options?: Abortable): AsyncIterable<PeerInfo>

  /**
   * Takes `peer` out of the cluster, whoever it is and whether it runs or not: its pins go to others, then its vote. It keeps its data and stands
   * by. Nothing happens where it is no member.
   *
   * @param options.force also where it costs the majority, or what may be the only copy of a pin
   * @throws ClusterError `refused` for that without `force`, and always for the last peer with a vote; `no_leader`, `not_ready`
   */
  removePeer(peer: PeerId, options?: { force?: boolean | undefined } & Abortable): Promise<void>

  /**
   * Takes the peer that answers out of the cluster, as {@link removePeer} does, and then ends its process. One that was removed before only ends.
   *
   * @throws ClusterError as {@link removePeer}; it goes on as a member then
   */
  leave(options?: { force?: boolean | undefined } & Abortable): Promise<void>

  /**
   * Asks the cluster to keep `target` pinned; returns once a majority has it in the log and this peer has applied it. Kubo may still be
   * fetching: see {@link follow}. A path is resolved by Kubo once, now. Pinning a pinned CID replaces its options and asks Kubo again.
   *
   * @throws ClusterError `not_enough_peers` or `invalid` before anything is proposed; `no_leader` when nobody leads within the propose
   *   timeout; `outcome_unknown` when the cut fell in between, and asking again is safe; `overloaded`; `not_ready`.
   * @see https://ipfscluster.io/documentation/reference/api/ POST /pins/{cid}
   */
  pin(target: Cid | IpfsPath, options?: PinOptions & Abortable): Promise<Pin>

  /**
   * Ends the agreement to keep `target`; every peer's Kubo then drops it.
   * @param options.version only the pin as it was agreed then
   * @returns the pin as it was
   * @throws ClusterError `not_pinned`, `conflict` where it has another version, and as {@link pin}
   */
  unpin(target: Cid | IpfsPath, options?: { version?: number | undefined } & Abortable): Promise<Pin>

  /** The agreed pin. @throws ClusterError `not_pinned`, `not_ready` */
  allocation(cid: Cid, options?: ReadOptions): Promise<Pin>

  /**
   * The agreed pins, in flat memory: by CID from one consistent cut, or as the filter wants them, and then only those are read.
   * @throws ClusterError `not_ready` before the first item; `invalid` where the filter contradicts itself
   */
  allocations(options?: PinFilter & ReadOptions): AsyncIterable<Pin>

  /**
   * All agreed pins by CID, of every type, from one consistent cut and in flat memory: of each what a list of names shows, many at a time.
   * @throws ClusterError `not_ready` before the first item
   */
  pinPages(options?: ReadOptions): AsyncIterable<PinPage>

  /** What each peer says of `cid`; of an unknown CID every peer says `unpinned`. `local` asks only this peer. */
  status(cid: Cid, options?: { local?: boolean | undefined } & ReadOptions): Promise<PinStatus>

  /** As {@link status} for many. */
  statuses(options?: StatusesOptions): AsyncIterable<PinStatus>

  /**
   * Follows a pin until enough peers hold it: a first item at once, one after every change and at least one every 500 ms, the last one
   * with `done`. Of a pin on every peer, peers that are down are not waited for.
   *
   * @param options.isBlind nobody looks at nodes and bytes: then there may be none, and pins that Kubo has at once are cheaper
   * @throws ClusterError `pin_failed` as soon as too few peers are left without an error; `not_pinned` when it is unpinned meanwhile
   */
  follow(cid: Cid, options?: FollowOptions): AsyncIterable<PinProgress>

  /** How large the Kubos are, one item a peer as they answer. */
  repositories(options?: RepositoriesOptions): AsyncIterable<RepositorySize>

  /**
   * Has the Kubos remove what nobody pins, and tells what they remove as they remove it. A peer that does not answer, or fails, is an item with an
   * error and stops nothing. Ends with its caller.
   */
  collectGarbage(options?: CollectOptions): AsyncIterable<Collected>

  /**
   * Everything that is agreed, from one consistent cut, in flat memory. `linearizable`: nothing that was agreed before the call is missing; else as
   * far as this peer has come.
   * @throws ClusterError `not_ready`; with `linearizable` also `no_leader` and `timeout`
   */
  exportState(options?: ReadOptions): Promise<StateExport>

  /**
   * Has many pins agreed, some hundred in one entry of the log: each as it is given, but with the allocation that fits this cluster. Pins that are
   * not among them stay. Giving the same pins again changes nothing, so that an import that was cut off is simply repeated; a CID must not come twice.
   * The first item comes within a second, and so does each next one.
   *
   * @param pins read no faster than they are agreed; what it throws ends the import
   * @throws ClusterError as {@link pin}; what was counted until then is agreed
   */
  importPins(pins: AsyncIterable<Pin>, options?: ImportOptions & Abortable): AsyncIterable<ImportProgress>

  /** Roles, lag, space, queues, pins by state, and what is wrong. Works without a quorum. */
  overview(options?: Abortable): Promise<Overview>
}
