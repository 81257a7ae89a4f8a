/**
 * What every `ClusterApi` promises, whoever implements it: the peer itself, or the typed client with HTTP in between. A suite asks only
 * through the interface; `open` gives it a fresh cluster and CIDs of content that every peer's Kubo can pin at once.
 */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { ClusterApi } from '../../src/api.ts'
import { parseCid } from '../../src/codec.ts'
import { isFault } from '../../src/errors.ts'
import { PinCursor } from '../../src/pin-page.ts'
import type { Cid, IpfsPath } from '../../src/types.ts'
import { collect, streamOf } from './stream.ts'

export interface Subject extends AsyncDisposable {
  readonly api: ClusterApi
  /** A new CID with every call, whose content is there. */
  nextCid(): Promise<Cid>
}

/** Nobody pins it. */
const stranger = parseCid('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy')

export function clusterApiSuite(name: string, open: () => Promise<Subject>): void {
  suite(`${name} keeps the promises of ClusterApi`, () => {
    test('the peer that answers describes itself as a member', async () => {
      await using subject = await open()
      const info = await subject.api.id()
      assert.equal(info.error, '')
      assert.ok(info.clusterPeers.includes(info.id))
      assert.match(await subject.api.version(), /^\d+\.\d+\.\d+/)
    })

    test('every member is listed once', async () => {
      await using subject = await open()
      const { clusterPeers } = await subject.api.id()
      const peers = await collect(subject.api.peers())
      assert.deepEqual(peers.map(peer => peer.id).sort(), [...clusterPeers].sort())
    })

    test('every repository is told of once, and only those that were asked for', async () => {
      await using subject = await open()
      const { id, clusterPeers } = await subject.api.id()
      const asked = async (which: 'all' | 'local' | 'others') => {
        const sizes = await collect(subject.api.repositories({ which }))
        assert.ok(sizes.every(({ maxBytes, error }) => maxBytes > 0n === (error === '')))
        return sizes.map(({ peer }) => peer).toSorted()
      }
      assert.deepEqual(await asked('all'), [...clusterPeers].sort())
      assert.deepEqual(await asked('local'), [id])
      assert.deepEqual(await asked('others'), [...clusterPeers].filter(peer => peer !== id).sort())
    })

    test('garbage is told of by those that were asked, and is not what is pinned', async () => {
      await using subject = await open()
      const { id } = await subject.api.id()
      const cid = await subject.nextCid()
      await subject.api.pin(cid)
      const items = await collect(subject.api.collectGarbage({ which: 'local' }))
      assert.ok(items.every(item => item.peer === id && item.cid !== cid))
    })

    test('a pin comes back with what was asked for, and is agreed', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      const expireAt = Date.now() + 3_600_000
      const asked = { name: 'a & b / ü', metadata: { k: 'v', 'two words': 'x=y' }, replicationMin: 1, replicationMax: 1, expireAt }
      const pin = await subject.api.pin(cid, asked)
      const { name, metadata, replicationMin, replicationMax } = pin
      assert.deepEqual({ name, metadata, replicationMin, replicationMax, expireAt: pin.expireAt }, asked)
      assert.equal(pin.cid, cid)
      assert.equal(pin.allocations.length, 1)
      assert.deepEqual(await subject.api.allocation(cid), pin)
    })

    test('a direct pin is direct', async () => {
      await using subject = await open()
      const pin = await subject.api.pin(await subject.nextCid(), { mode: 'direct' })
      assert.deepEqual([pin.mode, pin.maxDepth], ['direct', 0])
    })

    test('the path of a CID is the CID', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      const pin = await subject.api.pin(`/ipfs/${cid}` as IpfsPath)
      assert.equal(pin.cid, cid)
    })

    test('pinning again replaces the options', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      await subject.api.pin(cid, { name: 'first', metadata: { a: '1' } })
      await subject.api.pin(cid, { name: 'second' })
      const { name, metadata } = await subject.api.allocation(cid)
      assert.deepEqual({ name, metadata }, { name: 'second', metadata: {} })
    })

    test('unpinning gives back the pin; a second time it is not pinned', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      const pin = await subject.api.pin(cid)
      assert.deepEqual(await subject.api.unpin(cid), pin)
      await assert.rejects(subject.api.unpin(cid), error => isFault(error, 'not_pinned') && error.fault.cid === cid)
      await assert.rejects(subject.api.allocation(cid), error => isFault(error, 'not_pinned'))
    })

    test('a pin that was renewed meanwhile is not unpinned for the one before', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      const first = await subject.api.pin(cid, { name: 'first' })
      const second = await subject.api.pin(cid, { name: 'second' })
      await assert.rejects(subject.api.unpin(cid, { version: first.version }), error => isFault(error, 'conflict'))
      assert.deepEqual(await subject.api.unpin(cid, { version: second.version }), second)
    })

    test('an impossible pin is refused before anything is agreed', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      const refusals = [
        [{ replicationMin: 3, replicationMax: 2 }, 'invalid'],
        [{ expireAt: Date.now() - 60_000 }, 'invalid'],
        [{ replicationMin: 1_000, replicationMax: 1_000 }, 'not_enough_peers']
      ] as const
      for (const [options, code] of refusals) {
        await assert.rejects(subject.api.pin(cid, options), error => isFault(error, code), code)
      }
      await assert.rejects(subject.api.allocation(cid), error => isFault(error, 'not_pinned'))
    })

    test('all agreed pins are listed, by type', async () => {
      await using subject = await open()
      assert.deepEqual(await collect(subject.api.allocations()), [])
      const cids = [await subject.nextCid(), await subject.nextCid(), await subject.nextCid()]
      for (const cid of cids) await subject.api.pin(cid)
      const listed = await collect(subject.api.allocations({ types: ['pin'] }))
      assert.deepEqual(listed.map(pin => pin.cid).sort(), cids.sort())
      assert.deepEqual(await collect(subject.api.allocations({ types: ['shard-pin'] })), [])
    })

    test('pages have all agreed pins, with what a list shows of them', async () => {
      await using subject = await open()
      assert.deepEqual(await collect(subject.api.pinPages()), [])
      const [first, second] = [await subject.nextCid(), await subject.nextCid()]
      await subject.api.pin(first, { name: 'ü <&>' })
      await subject.api.pin(second, { mode: 'direct' })
      const shown: (readonly [Cid, boolean, boolean, string])[] = []
      for await (const page of subject.api.pinPages({ consistency: 'linearizable' })) {
        for (const cursor = new PinCursor(page); cursor.next(); ) {
          shown.push([cursor.cid, cursor.isDirect, cursor.isPlain, cursor.name])
        }
      }
      const order = ([one]: readonly [Cid, ...unknown[]], [other]: readonly [Cid, ...unknown[]]) => (one < other ? -1 : 1)
      const expected = [[first, false, true, 'ü <&>'] as const, [second, true, true, ''] as const]
      assert.deepEqual(shown.toSorted(order), expected.toSorted(order))
    })

    test('a linearizable read has what was agreed before it', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      const pin = await subject.api.pin(cid)
      const fresh = { consistency: 'linearizable' } as const
      assert.deepEqual(await subject.api.allocation(cid, fresh), pin)
      assert.deepEqual(
        (await collect(subject.api.allocations(fresh))).map(({ cid }) => cid),
        [cid]
      )
      assert.equal((await subject.api.status(cid, fresh)).cid, cid)
      assert.deepEqual(
        (await collect(subject.api.statuses(fresh))).map(({ cid }) => cid),
        [cid]
      )
    })

    test('what is exported can be imported again, and changes nothing then', async () => {
      await using subject = await open()
      const cids = [await subject.nextCid(), await subject.nextCid()].sort()
      for (const cid of cids) await subject.api.pin(cid, { name: `of ${cid}`, metadata: { k: 'v' } })
      const { index, pins } = await subject.api.exportState({ consistency: 'linearizable' })
      assert.ok(index > 0)
      const exported = await collect(pins)
      assert.deepEqual(
        exported.map(({ cid, name }) => [cid, name]).sort(),
        cids.map(cid => [cid, `of ${cid}`])
      )
      const again = (await collect(subject.api.importPins(streamOf(exported)))).at(-1)
      assert.deepEqual(again, { pins: 2, added: 0, replaced: 0, unchanged: 2, done: true })
    })

    test('an import adds and replaces, or keeps what is there', async () => {
      await using subject = await open()
      const [known, fresh] = [await subject.api.pin(await subject.nextCid(), { name: 'before' }), await subject.nextCid()] as const
      const given = [
        { ...known, name: 'after' },
        { ...known, cid: fresh, name: 'fresh' }
      ]
      const kept = (await collect(subject.api.importPins(streamOf(given), { existing: 'keep' }))).at(-1)
      assert.deepEqual(kept, { pins: 2, added: 1, replaced: 0, unchanged: 1, done: true })
      assert.equal((await subject.api.allocation(known.cid)).name, 'before')
      assert.equal((await subject.api.allocation(fresh)).name, 'fresh')
      const replaced = (await collect(subject.api.importPins(streamOf(given)))).at(-1)
      assert.deepEqual(replaced, { pins: 2, added: 0, replaced: 1, unchanged: 1, done: true })
      assert.equal((await subject.api.allocation(known.cid)).name, 'after')
    })

    test('a followed pin ends done, and is pinned then', async () => {
      await using subject = await open()
      const cid = await subject.nextCid()
      await subject.api.pin(cid)
      const last = (await collect(subject.api.follow(cid, { until: 'all' }))).at(-1)
      assert.ok(last?.done)
      assert.ok(last.pinned >= last.wanted)
      const pinned = await subject.api.status(cid)
      assert.ok([...pinned.peers.values()].some(peer => peer.status === 'pinned'))
    })

    test('what nobody pinned cannot be followed', async () => {
      await using subject = await open()
      await assert.rejects(collect(subject.api.follow(stranger)), error => isFault(error, 'not_pinned') && error.fault.cid === stranger)
    })

    test('of an unknown CID every peer says unpinned', async () => {
      await using subject = await open()
      const status = await subject.api.status(stranger)
      assert.ok(status.peers.size > 0)
      assert.ok([...status.peers.values()].every(peer => peer.status === 'unpinned'))
    })

    test('a local status asks only the peer that answers', async () => {
      await using subject = await open()
      const { id } = await subject.api.id()
      const cid = await subject.nextCid()
      await subject.api.pin(cid)
      assert.deepEqual([...(await subject.api.status(cid, { local: true })).peers.keys()], [id])
    })

    test('statuses are filtered by peer, or named by CID', async () => {
      await using subject = await open()
      const cids = [await subject.nextCid(), await subject.nextCid()] as const
      for (const cid of cids) {
        await subject.api.pin(cid)
        await collect(subject.api.follow(cid, { until: 'all' }))
      }
      const pinned = await collect(subject.api.statuses({ filter: ['pinned'] }))
      assert.deepEqual(pinned.map(one => one.cid).sort(), [...cids].sort())
      assert.deepEqual(await collect(subject.api.statuses({ filter: ['pin_error'] })), [])
      const named = await collect(subject.api.statuses({ cids: [cids[1]] }))
      assert.deepEqual(
        named.map(one => one.cid),
        [cids[1]]
      )
    })

    test('an abort rejects with its own reason', async () => {
      await using subject = await open()
      const reason = new Error('changed my mind')
      const signal = AbortSignal.abort(reason)
      const cid = await subject.nextCid()
      await assert.rejects(subject.api.pin(cid, { signal }), error => error === reason)
      await assert.rejects(collect(subject.api.allocations({ signal })), error => error === reason)
    })

    test('the overview counts the pins and names the one who answers', async () => {
      await using subject = await open()
      await subject.api.pin(await subject.nextCid())
      const overview = await subject.api.overview()
      assert.equal(overview.answeredBy, (await subject.api.id()).id)
      assert.equal(overview.pins, 1)
      assert.ok(overview.peers.some(peer => peer.id === overview.answeredBy))
    })
  })
}
