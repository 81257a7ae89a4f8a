/** JSON and query strings as ipfs-cluster 1.1.6 writes and reads them. The samples have its shapes: nulls, zero times, absent fields. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../src/errors.ts'
import type { Multiaddr, Pin, PinOptions, PinStatus } from '../../src/types.ts'
import { statuses } from '../../src/types.ts'
import {
  errorFromJson,
  overviewFromJson,
  overviewToJson,
  peerInfoFromJson,
  peerInfoToJson,
  pinFromJson,
  pinStatusFromJson,
  pinStatusToJson,
  pinToJson,
  pinTypes
} from '../../src/wire.ts'
import { faultFromHeader, faultToHeader, fromHeaderText, toHeaderText } from '../../src/wire-fault.ts'
import { readCids, readPinFilter, readPinOptions, readStatusFilter, writePinFilter, writePinOptions } from '../../src/wire-options.ts'
import { formatTime, lastMs, parseTime } from '../../src/wire-time.ts'
import { MemoryCluster, memoryPeers } from '../support/memory-cluster.ts'
import { testCid } from '../support/rest.ts'

const [peerA, peerB] = memoryPeers
const cid = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPMbd'
const now = Date.parse('2026-05-11T10:17:41Z')

const goPin = {
  replication_factor_min: -1,
  replication_factor_max: -1,
  name: '',
  mode: 'recursive',
  shard_size: 0,
  user_allocations: null,
  expire_at: '0001-01-01T00:00:00Z',
  metadata: null,
  pin_update: null,
  origins: [],
  cid,
  type: 'pin',
  allocations: [],
  max_depth: -1,
  reference: null,
  timestamp: '2026-05-11T10:17:41Z'
}

suite('a pin', () => {
  test('written by Go reads as a noun and is written again byte for byte', () => {
    const pin = pinFromJson(goPin)
    assert.equal(pin.expireAt, null)
    assert.equal(pin.timestamp, now)
    assert.equal(JSON.stringify(pinToJson(pin)), JSON.stringify(goPin))
  })

  test('in the shape of an answer to POST, with empty maps and nanoseconds, is the same pin', () => {
    const posted = { ...goPin, metadata: {}, origins: null, allocations: null, timestamp: '2026-05-11T12:17:41.000000001+02:00' }
    assert.deepEqual(pinFromJson(posted), pinFromJson(goPin))
  })

  test('of an old export without type and depth is a plain pin, as deep as its mode', () => {
    const { type: _type, max_depth: _depth, ...old } = goPin
    assert.deepEqual(pinFromJson(old), pinFromJson(goPin))
    assert.equal(pinFromJson({ ...old, mode: 'direct' }).maxDepth, 0)
  })

  test('its version, which Go does not have, follows the fields that Go knows', () => {
    const keys = Object.keys(pinToJson({ ...pinFromJson(goPin), version: 7 }))
    assert.deepEqual(keys, [...Object.keys(goPin), 'version'])
  })

  test('that is damaged is refused with the name of the field', () => {
    const damages = { cid: 'no', name: 7, allocations: ['x'], timestamp: 'today', metadata: { a: 1 }, origins: 'x', max_depth: '1' }
    for (const [field, value] of Object.entries(damages)) {
      const reads = () => pinFromJson({ ...goPin, [field]: value })
      assert.throws(reads, error => isFault(error, 'invalid') && error.message.includes(`"${field}"`), field)
    }
    for (const value of [null, undefined, [], 'x', {}])
      assert.throws(
        () => pinFromJson(value),
        error => isFault(error, 'invalid')
      )
  })

  test('survives the wire, whatever it holds', () => {
    fc.assert(fc.property(pins(), pin => assert.deepEqual(pinFromJson(overTheWire(pinToJson(pin))), pin)))
  })
})

suite('a status', () => {
  const goStatus = {
    cid,
    name: 'x',
    allocations: [peerA],
    origins: null,
    created: '2026-05-11T10:17:41Z',
    metadata: null,
    peer_map: {
      [peerB]: { peername: 'b', status: 'remote', timestamp: '0001-01-01T00:00:00Z', error: '', attempt_count: 0, priority_pin: false },
      [peerA]: {
        peername: 'a',
        ipfs_peer_id: peerA,
        ipfs_peer_addresses: ['/ip4/10.0.0.1/tcp/4001'],
        status: 'pin_error',
        timestamp: '2026-05-11T10:17:41.5Z',
        error: 'no providers',
        attempt_count: 2,
        priority_pin: true
      }
    }
  }

  test('written by Go reads with its peers in order', () => {
    const status = pinStatusFromJson(goStatus)
    assert.deepEqual([...status.peers.keys()], [peerA, peerB].sort())
    assert.deepEqual(status.peers.get(peerA), {
      peerName: 'a',
      ipfsId: peerA,
      ipfsAddresses: ['/ip4/10.0.0.1/tcp/4001'],
      status: 'pin_error',
      timestamp: now + 500,
      error: 'no providers',
      attemptCount: 2,
      priorityPin: true,
      progress: null
    })
  })

  test('never carries an empty peer id, which Go refuses', () => {
    const text = JSON.stringify(pinStatusToJson(pinStatusFromJson(goStatus)))
    assert.equal(text.match(/ipfs_peer_id/g)?.length, 1)
    assert.doesNotMatch(text, /ipfs_peer_id":""|progress/)
  })

  test('that this version does not know is undefined', () => {
    const odd = { ...goStatus, peer_map: { [peerA]: { status: 'levitating' } } }
    assert.equal(pinStatusFromJson(odd).peers.get(peerA)?.status, 'undefined')
  })

  test('survives the wire, whatever it holds', () => {
    fc.assert(fc.property(pinStatuses(), status => assert.deepEqual(pinStatusFromJson(overTheWire(pinStatusToJson(status))), status)))
  })
})

suite('a peer', () => {
  test('that Go could not reach reads with its error, and an absent Kubo', () => {
    const unreached = {
      id: peerA,
      addresses: null,
      cluster_peers: null,
      cluster_peers_addresses: null,
      version: '',
      commit: '',
      rpc_protocol_version: '',
      error: 'dial backoff',
      ipfs: { addresses: null, error: '' },
      peername: ''
    }
    const info = peerInfoFromJson(unreached)
    assert.deepEqual([info.id, info.error, info.addresses, info.ipfs.id], [peerA, 'dial backoff', [], null])
    assert.deepEqual(Object.keys(peerInfoToJson(info)), Object.keys(unreached))
    assert.deepEqual(Object.keys(peerInfoToJson(info).ipfs as object), ['addresses', 'error'])
  })

  test('and the overview survive the wire', async () => {
    const cluster = new MemoryCluster()
    cluster.problems = ['peer-2 is silent']
    const info = await cluster.id()
    const overview = await cluster.overview()
    assert.deepEqual(peerInfoFromJson(overTheWire(peerInfoToJson(info))), info)
    assert.deepEqual(overviewFromJson(overTheWire(overviewToJson(overview))), overview)
  })
})

suite('times', () => {
  test('are written without an empty fraction; the zero time is never', () => {
    assert.equal(formatTime(now), '2026-05-11T10:17:41Z')
    assert.equal(formatTime(now + 40), '2026-05-11T10:17:41.040Z')
    assert.equal(formatTime(null), '0001-01-01T00:00:00Z')
    assert.equal(parseTime('0001-01-01T00:00:00Z'), null)
  })

  test('are read with any offset and any number of decimals', () => {
    assert.equal(parseTime('2026-05-11T10:17:41.123456789Z'), now + 123)
    assert.equal(parseTime('2026-05-11t03:17:41-07:00'), now)
  })

  test('that do not exist are refused', () => {
    for (const text of [
      '',
      'now',
      '2026-05-11',
      '2026-05-11 10:17:41Z',
      '2026-02-30T00:00:00Z',
      '2026-13-01T00:00:00Z',
      '2026-05-11T24:00:00Z'
    ]) {
      assert.equal(parseTime(text), undefined, text)
    }
  })

  test('survive the wire', () => {
    fc.assert(fc.property(instants(), ms => assert.equal(parseTime(formatTime(ms)), ms)))
  })
})

suite('pin options in a query', () => {
  const read = (query: string) => readPinOptions(queryOf(query), now)
  const refusal = (query: string) => {
    try {
      read(query)
    } catch (error) {
      if (isFault(error, 'invalid')) return error.message
      throw error
    }
    return 'nothing refused'
  }

  test('that a Go client sends without being asked ask for nothing', () => {
    assert.deepEqual(read('replication-min=0&replication-max=0&name=&mode=recursive&shard-size=0&user-allocations='), {})
  })

  test('are all understood', () => {
    const origin = `/ip4/1.2.3.4/tcp/4001/p2p/${peerA}`
    const query = `replication-min=1&replication-max=2&name=a%20b&mode=direct&user-allocations=${peerB},junk&expire-at=2026-05-12T00:00:00Z&meta-k=v&meta-=x&pin-update=${cid}&origins=${origin}`
    assert.deepEqual(read(query), {
      name: 'a b',
      mode: 'direct',
      replicationMin: 1,
      replicationMax: 2,
      userAllocations: [peerB],
      expireAt: Date.parse('2026-05-12T00:00:00Z'),
      metadata: { k: 'v' },
      pinUpdate: cid,
      origins: [origin]
    })
  })

  test('replication sets both factors and beats the two; the first of repeated keys counts', () => {
    assert.deepEqual(read('replication=3&replication-min=1&replication-max=2'), { replicationMin: 3, replicationMax: 3 })
    assert.deepEqual(read('name=a&name=b'), { name: 'a' })
  })

  test('expire-in counts from now, and only without expire-at', () => {
    assert.deepEqual(read('expire-in=1h30m'), { expireAt: now + 5_400_000 })
    assert.deepEqual(read('expire-at=2026-05-12T00:00:00Z&expire-in=junk'), { expireAt: Date.parse('2026-05-12T00:00:00Z') })
    assert.deepEqual(read('expire-at=0001-01-01T00:00:00Z'), {})
  })

  test('that are wrong are refused in one sentence that names the key', () => {
    assert.match(refusal('replication-min=two'), /^parameter replication-min invalid/)
    assert.match(refusal('replication=1.5'), /^parameter replication invalid/)
    assert.match(refusal('shard-size=-1'), /^parameter shard-size invalid/)
    assert.match(refusal('expire-at=tomorrow'), /^expire-at cannot be parsed/)
    assert.match(refusal('expire-in=900ms'), /^expire-in duration too short/)
    assert.match(refusal('expire-in=99999999999h'), /^expire-in duration too long/)
    assert.match(refusal('expire-in=soon'), /^parameter expire-in invalid/)
    assert.match(refusal('pin-update=x'), /^parameter pin-update invalid/)
    assert.match(refusal('origins=/ip4/1.2.3.4/tcp/4001'), /^parameter origins invalid: .*\/p2p\//)
  })

  test('survive the wire', () => {
    fc.assert(
      fc.property(pinOptions(), options => {
        assert.deepEqual(readPinOptions(queryOf(writePinOptions(options).toString()), now), options)
      })
    )
  })
})

suite('filters', () => {
  test('name statuses, some several at once; unknown names beside known ones are passed over', () => {
    assert.equal(readStatusFilter({}), undefined)
    assert.deepEqual(readStatusFilter({ filter: 'pinned, queued,nonsense' }), ['pinned', 'pin_queued', 'unpin_queued'])
    assert.throws(() => readStatusFilter({ filter: 'nonsense' }), /^ClusterError: invalid filter value/)
    assert.throws(() => readStatusFilter({ filter: 'undefined' }), /^ClusterError: invalid filter value/)
  })

  test('name types of pins', () => {
    assert.equal(readPinFilter({ filter: 'all' }).types, undefined)
    assert.deepEqual(readPinFilter({ filter: 'pin,nonsense' }).types, ['pin'])
    assert.throws(() => readPinFilter({ filter: 'nonsense' }), /^ClusterError: invalid filter value/)
  })

  test('of pins come back as they went in, and what makes no sense is named', () => {
    const filter = { types: ['pin'], name: 'a&b', namePrefix: undefined, after: 1_000, before: 2_500, order: 'newest', limit: 7 } as const
    const query = Object.fromEntries(writePinFilter(filter))
    assert.deepEqual({ namePrefix: undefined, ...readPinFilter(query) }, filter)
    for (const [key, value] of [
      ['order', 'up'],
      ['limit', '-1'],
      ['after', 'yesterday']
    ] as const)
      assert.throws(() => readPinFilter({ [key]: value }), new RegExp(`parameter ${key} invalid`))
  })

  test('name CIDs, all of which must be some', () => {
    assert.deepEqual(readCids({ cids: `${cid},${testCid(1)}` }), [cid, testCid(1)])
    assert.throws(
      () => readCids({ cids: `${cid},x` }),
      error => isFault(error, 'invalid')
    )
  })
})

test('a fault too large for a header keeps its code', () => {
  const peers = Array.from({ length: 100 }, () => peerA)
  const text = faultToHeader({ code: 'pin_failed', peers })
  assert.deepEqual(faultFromHeader(text), { code: 'pin_failed', peers: [] })
  for (const junk of ['', 'x', 'null', '[]', '{"code":"new_in_version_9"}', '{"code":"not_pinned","cid":"x"}']) {
    assert.equal(faultFromHeader(junk), undefined)
  }
})

test('any text fits into a header and loses no more than its line breaks', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), text => {
      const header = toHeaderText(text)
      assert.doesNotMatch(header, /[^\t\x20-\x7e\x80-\xff]/)
      if (!/\p{Cc}/u.test(text)) assert.equal(fromHeaderText(header), text)
    })
  )
})

test('a body is an error only with code and message', () => {
  assert.deepEqual(errorFromJson({ code: 404, message: 'no' }), { status: 404, message: 'no' })
  for (const body of [null, 'x', {}, { code: '404', message: 'no' }, { Message: 'no', Code: 0 }])
    assert.equal(errorFromJson(body), undefined)
})

function overTheWire(json: unknown): unknown {
  return JSON.parse(JSON.stringify(json))
}

/** As the door's framework parses it: repeated keys are lists. */
function queryOf(text: string): Record<string, string | string[]> {
  const all = new URLSearchParams(text)
  return Object.fromEntries([...new Set(all.keys())].map(key => [key, all.getAll(key).length > 1 ? all.getAll(key) : (all.get(key) ?? '')]))
}

function instants() {
  return fc.integer({ min: 1, max: lastMs })
}

function someCids() {
  return fc.integer({ min: 0, max: 1_000 }).map(testCid)
}

function metadata() {
  // Keys such as "__proto__" must survive as well.
  return fc.dictionary(fc.oneof(fc.string({ minLength: 1, unit: 'grapheme' }), fc.constant('__proto__')), fc.string({ unit: 'grapheme' }), {
    noNullPrototype: true,
    maxKeys: 4
  })
}

function addresses() {
  return fc.array(
    fc.nat({ max: 65_535 }).map(port => `/ip4/10.0.0.1/tcp/${port}/p2p/${peerA}` as Multiaddr),
    { maxLength: 3 }
  )
}

function pins(): fc.Arbitrary<Pin> {
  return fc
    .record({
      cid: someCids(),
      type: fc.constantFrom(...pinTypes),
      name: fc.string({ unit: 'grapheme' }),
      mode: fc.constantFrom('recursive', 'direct'),
      replicationMin: fc.integer({ min: -1, max: 9 }),
      replicationMax: fc.integer({ min: -1, max: 9 }),
      allocations: fc.subarray([...memoryPeers]),
      expireAt: fc.option(instants()),
      metadata: metadata(),
      pinUpdate: fc.option(someCids()),
      origins: addresses(),
      reference: fc.option(someCids()),
      shardSize: fc.nat(),
      timestamp: instants(),
      version: fc.nat()
    })
    .map(pin => ({ ...pin, maxDepth: pin.mode === 'direct' ? 0 : -1 }))
}

function pinStatuses(): fc.Arbitrary<PinStatus> {
  const one = fc.record(
    {
      peerName: fc.string(),
      ipfsId: fc.option(fc.constant(String(peerA))),
      ipfsAddresses: addresses(),
      status: fc.constantFrom(...statuses),
      timestamp: fc.oneof(instants(), fc.constant(0)),
      error: fc.string(),
      attemptCount: fc.nat(),
      priorityPin: fc.boolean(),
      progress: fc.option(fc.record({ nodes: fc.nat(), bytes: fc.option(fc.nat()) }, plain))
    },
    plain
  )
  return fc
    .record({
      cid: someCids(),
      name: fc.string(),
      allocations: fc.subarray([...memoryPeers]),
      origins: addresses(),
      created: fc.oneof(instants(), fc.constant(0)),
      metadata: metadata(),
      entries: fc.array(one, { minLength: 0, maxLength: memoryPeers.length })
    })
    .map(({ entries, ...status }) => {
      const sorted = [...memoryPeers].sort()
      return { ...status, peers: new Map(entries.map((entry, index) => [sorted[index] ?? peerA, entry])) }
    })
}

function pinOptions(): fc.Arbitrary<PinOptions> {
  const factor = fc.oneof(fc.constant(-1), fc.integer({ min: 1, max: 99 }))
  return fc.record(
    {
      name: fc.string({ minLength: 1, unit: 'grapheme' }),
      mode: fc.constant('direct' as const),
      replicationMin: factor,
      replicationMax: factor,
      userAllocations: fc.subarray([...memoryPeers], { minLength: 1 }),
      expireAt: instants(),
      metadata: metadata().filter(map => Object.keys(map).length > 0),
      pinUpdate: someCids(),
      origins: addresses().filter(list => list.length > 0)
    },
    { requiredKeys: [], noNullPrototype: true }
  )
}

/** Objects as JSON.parse makes them. */
const plain = { noNullPrototype: true } as const
