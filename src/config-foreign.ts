/** Keys of ipfs-cluster that are no rows here: those that are ignored, and those with which a peer does not start. */

/** Keys and sections of ipfs-cluster that nothing here could ask for, and why. What lies under one is not looked at. */
export const withoutUse: Readonly<Record<string, string>> = {
  'cluster.no_announce_multiaddress': 'announce_multiaddress names what is announced',
  'cluster.enable_relay_hop': 'peers talk to each other directly',
  'cluster.connection_manager': 'a peer keeps one connection to each member',
  'cluster.resource_manager': 'streams and frames have fixed bounds',
  'cluster.pubsub': 'peers report to each other directly',
  'cluster.peer_watch_interval': 'a change of the members is seen at once',
  'cluster.mdns_interval': 'members are learned from any member, not searched for',
  'cluster.pin_only_on_trusted_peers': 'every member is trusted',
  'cluster.pin_only_on_untrusted_peers': 'every member is trusted',
  'cluster.disable_repinning': 'pins are not moved by themselves',
  'cluster.peerstore_file': 'addresses are kept in the agreed state',
  ...Object.fromEntries(
    ['cluster_name', 'batching', 'repair_interval', 'rebroadcast_interval', 'peerset_metric', 'datastore_namespace'].map(key => [
      `consensus.crdt.${key}`,
      'the peers agree by Raft'
    ])
  ),
  'consensus.raft.wait_for_leader_timeout': 'flotilla.propose_timeout bounds the wait',
  'consensus.raft.network_timeout': 'a silent connection is noticed by its heartbeats',
  'consensus.raft.commit_retries': 'a proposal is sent again until flotilla.propose_timeout, and counts once',
  'consensus.raft.commit_retry_delay': 'a proposal is sent again as soon as there is a leader',
  'consensus.raft.backups_rotate': 'no folder is moved away',
  'consensus.raft.election_timeout': 'heartbeat_timeout is the only one',
  'consensus.raft.commit_timeout': 'commits travel with what is sent next',
  'consensus.raft.max_append_entries': 'batches are bounded in bytes',
  'consensus.raft.snapshot_interval': 'the state is on disk at every moment',
  'consensus.raft.snapshot_threshold': 'the state is on disk at every moment',
  'consensus.raft.leader_lease_timeout': 'a leader asks its followers',
  'consensus.raft.data_folder': 'the data are in the folder of the peer',
  'consensus.raft.datastore_namespace': 'the store has one user',
  ...Object.fromEntries(
    ['restapi', 'pinsvcapi'].flatMap(api => [
      [`api.${api}.libp2p_listen_multiaddress`, 'the API is served over HTTP only'],
      [`api.${api}.id`, 'the API is served over HTTP only'],
      [`api.${api}.private_key`, 'the API is served over HTTP only'],
      [`api.${api}.http_log_file`, 'requests are in the log of the peer']
    ])
  ),
  'api.ipfsproxy.log_file': 'requests are in the log of the peer',
  'api.ipfsproxy.extract_headers_extra': 'the headers of Kubo are passed on as they come',
  'api.ipfsproxy.extract_headers_path': 'the headers of Kubo are passed on as they come',
  'api.ipfsproxy.extract_headers_ttl': 'the headers of Kubo are passed on as they come',
  'ipfs_connector.ipfshttp.connect_swarms_delay': 'Kubo connects by itself',
  'ipfs_connector.ipfshttp.repogc_timeout': 'a collection ends with its caller',
  'ipfs_connector.ipfshttp.informer_trigger_interval': 'free space is asked for on a schedule',
  'pin_tracker.stateless.max_pin_queue_size': 'what is wanted is on disk, not in a queue',
  'informer.numpin': 'pins are placed by free space',
  state: 'ipfs-cluster does not use it either',
  datastore: 'flotilla.store chooses the engine'
}

export interface Refusal {
  readonly because: string
  /** Whether this value asks for nothing that is not given. */
  isHarmless(value: unknown): boolean
}

const isUnset = (value: unknown) => value === '' || value === null
/** Of a file or of a variable. */
const isOff = (value: unknown) => isUnset(value) || value === false || /^(0|f|false)$/i.test(String(value))
const isForAll = (value: unknown) => (Array.isArray(value) ? value : String(value).split(',')).includes('*')
const noTls = { because: 'there is no TLS here: put a TLS proxy in front of it', isHarmless: isUnset }

/**
 * Keys of ipfs-cluster that protect something, or that name another configuration: a user would believe in what does not hold if they went
 * unheard, so a peer does not start with them. The variables of the same keys are refused alike.
 */
export const refused: Readonly<Record<string, Refusal>> = {
  source: { because: 'a configuration is not fetched from elsewhere: store the file itself', isHarmless: isUnset },
  'cluster.follower_mode': { because: 'every member may write', isHarmless: isOff },
  'consensus.crdt.trusted_peers': {
    because: 'every peer with cluster.secret is trusted here: give the secret to those peers alone, and remove the key',
    isHarmless: isForAll
  },
  'api.restapi.ssl_cert_file': noTls,
  'api.restapi.ssl_key_file': noTls,
  'api.pinsvcapi.ssl_cert_file': noTls,
  'api.pinsvcapi.ssl_key_file': noTls,
  'ipfs_connector.ipfshttp.unpin_disable': { because: 'an unpin removes the pin from Kubo', isHarmless: isOff }
}
