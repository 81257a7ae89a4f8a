import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { inspect } from 'node:util'
import { places, variableOf } from '../../src/config.ts'
import { refused, withoutUse } from '../../src/config-foreign.ts'
import { parseConfig, type Variables } from '../../src/config-parse.ts'
import { isFault } from '../../src/errors.ts'

const secret = '0123456789abcdef'.repeat(4)
const load = (json: unknown, variables: Variables = {}) =>
  parseConfig(typeof json === 'string' ? json : JSON.stringify(json), { file: 'service.json', variables })
const refusal = (json: unknown, variables?: Variables): string => {
  try {
    load(json, variables)
  } catch (error) {
    assert.ok(isFault(error, 'cannot_start'))
    return error.message
  }
  throw new Error('it was taken')
}

test('an empty object is a whole configuration: the defaults of ipfs-cluster, over TCP only', () => {
  const { config, ignored } = load({})
  assert.deepEqual(ignored, [])
  assert.deepEqual(config.cluster.listenMultiaddress, ['/ip4/0.0.0.0/tcp/9096'])
  assert.equal(config.cluster.secret, null)
  assert.deepEqual([config.cluster.replicationFactorMin, config.cluster.replicationFactorMax], [-1, -1])
  assert.equal(config.cluster.pinRecoverIntervalMs, 12 * 60_000)
  assert.deepEqual(config.api.restapi?.httpListenMultiaddress, ['/ip4/127.0.0.1/tcp/9094'])
  assert.deepEqual(config.api.restapi?.corsExposedHeaders, ['Content-Type', 'X-Stream-Output', 'X-Chunked-Output', 'X-Content-Length'])
  assert.deepEqual(config.api.ipfsproxy?.listenMultiaddress, ['/ip4/127.0.0.1/tcp/9095'])
  assert.equal(config.ipfsConnector.ipfshttp.unpinTimeoutMs, 3 * 3_600_000)
  assert.equal(config.flotilla.pinWait, 'min')
})

test('values of the file become numbers of milliseconds, checked addresses, and a secret that does not show', () => {
  const { config } = load({
    cluster: {
      secret,
      state_sync_interval: '1m30s',
      listen_multiaddress: '/ip4/10.0.0.1/tcp/9096',
      peer_addresses: ['/dns4/a/tcp/1', '/dns4/b/tcp/2']
    },
    api: { restapi: { basic_auth_credentials: { ann: 'hunter2' } }, ipfsproxy: {} }
  })
  assert.equal(config.cluster.stateSyncIntervalMs, 90_000)
  assert.deepEqual(config.cluster.listenMultiaddress, ['/ip4/10.0.0.1/tcp/9096'])
  assert.deepEqual(config.cluster.peerAddresses, ['/dns4/a/tcp/1', '/dns4/b/tcp/2'])
  assert.equal(Buffer.from(config.cluster.secret?.reveal() ?? []).toString('hex'), secret)
  assert.deepEqual(config.api.restapi?.basicAuthCredentials?.reveal(), { ann: 'hunter2' })
  for (const text of [JSON.stringify(config), inspect(config, { depth: 9 }), String(config.cluster.secret)]) {
    assert.doesNotMatch(text, /0123456789abcdef|hunter2|1, ?35, ?69/)
  }
})

test('secrets of the Kubo door are written as Kubo writes them, and do not show', () => {
  const door_access = { ann: { AuthSecret: 'bearer:hunter2', AllowedPaths: ['/api/v0/pin', ''] } }
  const { config } = load({ flotilla: { door_access, kubo_authorization: 'basic:kubo:hunter2' } })
  assert.deepEqual(config.flotilla.doorAccess?.reveal(), { ann: { secret: 'bearer:hunter2', paths: ['/api/v0/pin'] } })
  assert.equal(config.flotilla.kuboAuthorization?.reveal(), 'basic:kubo:hunter2')
  assert.doesNotMatch(JSON.stringify(config) + inspect(config, { depth: 9 }), /hunter2/)
  const variables = { CLUSTER_FLOTILLA_DOORACCESS: JSON.stringify(door_access) }
  assert.deepEqual(load({}, variables).config.flotilla.doorAccess?.reveal(), config.flotilla.doorAccess?.reveal())
  for (const wrong of [
    {},
    { ann: {} },
    { ann: { AuthSecret: 'hunter2', AllowedPaths: ['/'] } },
    { ann: { AuthSecret: 'bearer:hunter2', AllowedPaths: [] } },
    { ann: { AuthSecret: 'bearer:hunter2', AllowedPaths: ['/'], AllowedPath: [] } },
    'bearer:hunter2'
  ]) {
    const message = refusal({ flotilla: { door_access: wrong } })
    assert.match(message, /^service\.json: flotilla\.door_access is something else, expected null, or an object of names/)
    assert.doesNotMatch(message, /hunter2/)
  }
})

test('a Kubo behind https', () => {
  const { config } = load({ api: { ipfsproxy: { node_https: true, node_multiaddress: '/dns4/kubo/tcp/443/https' } } })
  assert.equal(config.api.ipfsproxy?.nodeHttps, true)
})

test('a duration longer than any timer counts as the longest there is', () => {
  assert.equal(load({ ipfs_connector: { ipfshttp: { pin_timeout: '9000h' } } }).config.ipfsConnector.ipfshttp.pinTimeoutMs, 2 ** 31 - 1)
})

test('a door that the section "api" lacks is not opened; without the section all are', () => {
  const { api } = load({ api: { restapi: {} } }).config
  assert.deepEqual([api.restapi === null, api.ipfsproxy, api.pinsvcapi], [false, null, null])
  assert.ok(load({}).config.api.ipfsproxy)
  // A variable does not open what the file leaves out, as in ipfs-cluster.
  const variables = { CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: '/ip4/0.0.0.0/tcp/9095' }
  assert.equal(load({ api: { restapi: {} } }, variables).config.api.ipfsproxy, null)
})

suite('variables go over the file', () => {
  const file = { cluster: { secret, peername: 'file', state_sync_interval: '1m0s' }, api: { restapi: {}, ipfsproxy: {} } }

  test('under the names that ipfs-cluster gives them', () => {
    const documented = [
      'CLUSTER_PEERNAME CLUSTER_SECRET CLUSTER_LISTENMULTIADDRESS CLUSTER_LEAVEONSHUTDOWN CLUSTER_REPLICATIONFACTORMIN CLUSTER_REPLICATIONFACTORMAX',
      'CLUSTER_MONITORPINGINTERVAL CLUSTER_PEERADDRESSES CLUSTER_RAFT_INITPEERSET CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS',
      'CLUSTER_RESTAPI_BASICAUTHCREDENTIALS CLUSTER_RESTAPI_CORSALLOWEDORIGINS CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS',
      'CLUSTER_IPFSPROXY_LISTENMULTIADDRESS CLUSTER_IPFSPROXY_NODEMULTIADDRESS CLUSTER_IPFSHTTP_NODEMULTIADDRESS CLUSTER_STATELESS_CONCURRENTPINS',
      'CLUSTER_PUBSUBMON_CHECKINTERVAL CLUSTER_BALANCED_ALLOCATEBY CLUSTER_DISK_METRICTTL CLUSTER_TAGS_TAGS CLUSTER_METRICS_ENABLESTATS',
      'CLUSTER_TRACING_ENABLETRACING'
    ]
    const names = new Set(places.map(({ row }) => row.variable))
    assert.deepEqual(
      documented
        .join(' ')
        .split(' ')
        .filter(name => !names.has(name)),
      []
    )
    assert.equal(names.size, places.length)
  })

  test('lists by commas, pairs by colons, booleans and numbers as Go reads them', () => {
    const { config } = load(file, {
      CLUSTER_PEERNAME: 'variable',
      CLUSTER_PEERADDRESSES: '/dns4/a/tcp/1, /dns4/b/tcp/2',
      CLUSTER_RESTAPI_BASICAUTHCREDENTIALS: 'ann:a:b,ben:c',
      CLUSTER_RESTAPI_CORSALLOWCREDENTIALS: 'F',
      CLUSTER_REPLICATIONFACTORMIN: '1',
      CLUSTER_REPLICATIONFACTORMAX: '+2',
      CLUSTER_TAGS_TAGS: 'group:b'
    })
    assert.equal(config.cluster.peername, 'variable')
    assert.deepEqual(config.cluster.peerAddresses, ['/dns4/a/tcp/1', '/dns4/b/tcp/2'])
    assert.deepEqual(config.api.restapi?.basicAuthCredentials?.reveal(), { ann: 'a:b', ben: 'c' })
    assert.equal(config.api.restapi?.corsAllowCredentials, false)
    assert.deepEqual([config.cluster.replicationFactorMin, config.cluster.replicationFactorMax], [1, 2])
    assert.deepEqual(config.informer.tags.tags, { group: 'b' })
  })

  test('an empty one counts: it opens the network, it empties a list; only of a duration it says nothing', () => {
    const { config } = load(file, { CLUSTER_SECRET: '', CLUSTER_RESTAPI_CORSALLOWEDORIGINS: '', CLUSTER_STATESYNCINTERVAL: '' })
    assert.equal(config.cluster.secret, null)
    assert.deepEqual(config.api.restapi?.corsAllowedOrigins, [])
    assert.equal(config.cluster.stateSyncIntervalMs, 60_000)
  })

  test('one that does not fit is named', () => {
    assert.equal(
      refusal(file, { CLUSTER_STATELESS_CONCURRENTPINS: 'many' }),
      'the variable CLUSTER_STATELESS_CONCURRENTPINS is "many", expected a whole number from 1 to 1000'
    )
    assert.match(refusal(file, { CLUSTER_RESTAPI_BASICAUTHCREDENTIALS: '' }), /^the variable CLUSTER_RESTAPI_BASICAUTHCREDENTIALS is/)
  })
})

suite('a mistake is one sentence with the key, what was found and what is expected', () => {
  const mistakes: readonly (readonly [unknown, string | RegExp])[] = [
    [
      '{"cluster": {"peername": "a" "b"}}',
      'service.json is not JSON at line 1, column 30: look there for a missing or extra comma, quote or bracket'
    ],
    ['', /^service\.json is not JSON at line 1, column 1:/],
    [[], 'service.json is a list, expected a JSON object with sections such as "cluster"'],
    [{ cluster: 'x' }, 'service.json: cluster is text, expected a section, that is a JSON object'],
    [
      { cluster: { state_sync_interval: 'soon' } },
      'service.json: cluster.state_sync_interval is "soon", expected a duration such as 30s or 1h30m, 1s or more'
    ],
    [{ cluster: { state_sync_interval: 5 } }, /state_sync_interval is 5, expected a duration/],
    [{ cluster: { peername: 5 } }, 'service.json: cluster.peername is 5, expected text'],
    [
      { cluster: { listen_multiaddress: '/ip4/10.0.0.256/tcp/1' } },
      /listen_multiaddress is "\/ip4\/10\.0\.0\.256\/tcp\/1", expected an address/
    ],
    [{ cluster: { listen_multiaddress: [] } }, 'service.json: cluster.listen_multiaddress is empty, expected at least one address'],
    [
      { api: { restapi: { http_listen_multiaddress: '/ip4/1.2.3.4/udp/1' } } },
      /http_listen_multiaddress is .* expected an address such as/
    ],
    [
      { api: { restapi: { max_header_bytes: 4095 } } },
      'service.json: api.restapi.max_header_bytes is 4095, expected a whole number, 4096 or more'
    ],
    [{ consensus: { raft: { init_peerset: ['nobody'] } } }, /init_peerset is \["nobody"\], expected a list of peer ids/],
    [{ flotilla: { store: 'sqlite' } }, 'service.json: flotilla.store is "sqlite", expected one of auto, rocksdb, leveldb'],
    [
      { cluster: { replication_factor_min: 3, replication_factor_max: 2 } },
      /replication_factor_min is 3 and cluster\.replication_factor_max is 2, expected both -1/
    ],
    [{ cluster: { replication_factor_max: 2 } }, /replication_factor_min is -1 and cluster\.replication_factor_max is 2/],
    [{ cluster: { peernmae: 'a' } }, 'service.json: unknown key cluster.peernmae (did you mean cluster.peername?)'],
    [{ replication_factor_min: 1 }, 'service.json: unknown key replication_factor_min (did you mean cluster.replication_factor_min?)'],
    [{ clutser: { peername: 'a' }, zzzzzzzz: 1 }, /^service\.json: unknown keys clutser.*; zzzzzzzz$/],
    [{ consensus: { raft: 5 } }, 'service.json: consensus.raft is a number, expected a section, that is a JSON object']
  ]
  for (const [json, sentence] of mistakes) {
    test(typeof json === 'string' ? `"${json}"` : JSON.stringify(json), () => {
      const message = refusal(json)
      if (typeof sentence === 'string') assert.equal(message, sentence)
      else assert.match(message, sentence)
    })
  }

  test('of a secret only its length is told', () => {
    assert.match(
      refusal({ cluster: { secret: 'c0ffee' } }),
      /^service\.json: cluster\.secret is 3 bytes long, expected 32 bytes as 64 hexadecimal digits/
    )
    assert.match(
      refusal({ cluster: { secret: 'hunter2' } }),
      /cluster\.secret is 7 characters that are not all pairs of hexadecimal digits/
    )
    const messages = [
      refusal({ cluster: { secret: 'hunter2' } }),
      refusal({}, { CLUSTER_SECRET: 'hunter2' }),
      refusal({ cluster: 'hunter2' }),
      refusal('"hunter2"'),
      refusal('{"cluster": {"secret": "hunter2}}'),
      refusal({ api: { restapi: { basic_auth_credentials: { ann: ['hunter2'] } } } }),
      refusal({ api: { restapi: { headers: { authorization: 'hunter2' } } } })
    ]
    for (const message of messages) assert.doesNotMatch(message, /hunter2/)
  })
})

suite('a service.json of ipfs-cluster', () => {
  const generated = () => JSON.parse(readFileSync(resolve(import.meta.dirname, '../support/go-service.json'), 'utf8'))

  test('as its init writes it, loads with the values that are our defaults', () => {
    const { config } = load(generated())
    const { config: own } = load({})
    assert.equal(config.cluster.peername, 'go-peer')
    assert.equal(Buffer.from(config.cluster.secret?.reveal() ?? []).toString('hex'), secret)
    const { peername, secret: _own, listenMultiaddress } = own.cluster
    assert.deepEqual({ ...config, cluster: { ...config.cluster, peername, secret: null, listenMultiaddress } }, own)
    // An address over QUIC stands beside that over TCP, and is nothing to stop for.
    assert.deepEqual(config.cluster.listenMultiaddress, ['/ip4/0.0.0.0/tcp/9096', '/ip4/0.0.0.0/udp/9096/quic'])
  })

  test('every key of it either has an effect or is named', () => {
    const named = load(generated()).ignored
    for (const path of ['api.ipfsproxy.read_header_timeout', 'api.ipfsproxy.max_header_bytes', 'consensus.raft.election_timeout']) {
      assert.ok(named.includes(path), `${path} is not named`)
    }
    const effective = new Set(places.filter(({ row }) => !row.isInert).map(({ row }) => row.path))
    assert.deepEqual(
      named.filter(path => effective.has(path)),
      []
    )
    assert.equal(new Set(named).size, named.length)
  })

  test('what is ignored is named in the order of the file, a section that is not looked into once', () => {
    const { ignored } = load({
      cluster: { dial_peer_timeout: '3s', connection_manager: { high_water: 400 }, mdns_interval: '10s' },
      consensus: { raft: { commit_retries: 1 }, crdt: { cluster_name: 'a', batching: { max_batch_size: 0 } } },
      datastore: { pebble: { pebble_options: { anything: 1 } } }
    })
    assert.deepEqual(ignored, [
      'cluster.dial_peer_timeout',
      'cluster.connection_manager',
      'cluster.mdns_interval',
      'consensus.raft.commit_retries',
      'consensus.crdt.cluster_name',
      'consensus.crdt.batching',
      'datastore'
    ])
  })

  test('variables without effect are named too: inert ones, ones without use, and mistyped ones', () => {
    const variables = {
      CLUSTER_SECERT: 'x',
      CLUSTER_MDNSINTERVAL: '0s',
      CLUSTER_METRICS_REPORTINGINTERVAL: '30s',
      CLUSTER_ID: 'x',
      PATH: ''
    }
    assert.deepEqual(load({}, variables).ignored, ['CLUSTER_MDNSINTERVAL', 'CLUSTER_METRICS_REPORTINGINTERVAL', 'CLUSTER_SECERT'])
  })
})

suite('what protects is honoured or refused, never ignored', () => {
  const cases: readonly (readonly [path: string, harmful: unknown, harmless: readonly unknown[]])[] = [
    ['source', 'http://example.com/service.json', ['', null]],
    ['cluster.follower_mode', true, [false]],
    ['consensus.crdt.trusted_peers', ['12D3KooWA'], [['*'], '*']],
    ['api.restapi.ssl_cert_file', 'cert.pem', ['', null]],
    ['api.restapi.ssl_key_file', 'key.pem', ['']],
    ['api.pinsvcapi.ssl_cert_file', 'cert.pem', ['']],
    ['api.pinsvcapi.ssl_key_file', 'key.pem', ['']],
    ['ipfs_connector.ipfshttp.unpin_disable', true, [false]]
  ]

  test('every key that is refused is tried here', () => {
    assert.deepEqual(cases.map(([path]) => path).toSorted(), Object.keys(refused).toSorted())
  })

  for (const [path, harmful, harmless] of cases) {
    const file = (value: unknown) => path.split('.').reduceRight((inner, name) => ({ [name]: inner }), value)

    test(`${path} in the file or as a variable`, () => {
      assert.match(refusal(file(harmful)), new RegExp(`^service\\.json: ${path.replaceAll('.', '\\.')} cannot be used: `))
      assert.match(refusal({}, { [variableOf(path)]: String(harmful) }), new RegExp(`^the variable ${variableOf(path)} cannot be used: `))
      for (const value of harmless) {
        load(file(value))
        load({}, { [variableOf(path)]: String(value ?? '') })
      }
    })
  }

  test('an address that promises TLS, where none is', () => {
    assert.match(refusal({ api: { restapi: { http_listen_multiaddress: '/ip4/127.0.0.1/tcp/9094/https' } } }), /there is no TLS here/)
  })

  test('listening for peers over QUIC alone, which nobody could reach', () => {
    assert.match(refusal({ cluster: { listen_multiaddress: '/ip4/0.0.0.0/udp/9096/quic' } }), /has no TCP address, expected one such as/)
  })
})

test('no key is in two lists', () => {
  const paths = [...places.map(({ row }) => row.path), ...Object.keys(withoutUse), ...Object.keys(refused)]
  assert.deepEqual(
    paths.filter((path, position) => paths.indexOf(path) !== position),
    []
  )
})
