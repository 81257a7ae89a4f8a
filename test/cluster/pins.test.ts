import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pins } from '../../cluster/pins.ts'
import { decodeOperation, encodeResult } from '../../cluster/state/operations.ts'
import { systemClock } from '../../src/clock.ts'
import { ClusterError, isFault } from '../../src/errors.ts'
import type { Cid, IpfsPath, PeerId, Pin } from '../../src/types.ts'
import { inline } from '../support/cids.ts'

const cid = inline('pins')
const peers = [1, 2, 3].map(number => ({ id: `peer-${number}` as PeerId, isAlive: true, freeBytes: number * 100 }))

/** One peer that agrees with itself at once. */
class Agreed {
  readonly pins = new Map<Cid, Pin>()
  proposals = 0
  /** Called before an operation is applied: what somebody else does in between. */
  meanwhile: ((proposal: number) => void) | undefined
  #index = 10

  readonly consensus = {
    isReady: true,
    propose: async (data: Uint8Array) => {
      this.meanwhile?.(++this.proposals)
      const operation = decodeOperation(data)
      assert.ok(operation.type === 'pin' || operation.type === 'unpin')
      const at = operation.type === 'pin' ? operation.pin.cid : operation.cid
      const version = this.pins.get(at)?.version ?? 0
      if (version !== operation.basedOn) return { index: ++this.#index, result: encodeResult({ status: 'conflict', version }) }
      this.#index++
      if (operation.type === 'pin') this.pins.set(at, { ...operation.pin, version: this.#index })
      else this.pins.delete(at)
      return { index: this.#index, result: encodeResult({ status: 'done' }) }
    }
  }

  readonly verbs = new Pins(
    {
      consensus: this.consensus,
      pinset: {
        get: async at => this.pins.get(at),
        expired: async function* (this: Agreed, nowMs: number) {
          for (const pin of [...this.pins.values()]) if (pin.expireAt !== null && pin.expireAt <= nowMs) yield pin.cid
        }.bind(this)
      },
      clock: systemClock,
      resolve: async () => cid,
      candidates: () => peers
    },
    { replicationMin: 1, replicationMax: 2 }
  )

  /** Somebody else renews a pin. */
  touch(at: Cid, changes: Partial<Pin> = {}): void {
    const pin = this.pins.get(at)
    if (pin) this.pins.set(at, { ...pin, ...changes, version: ++this.#index })
  }
}

test('a pin takes the default factors and as many peers as it wants; a path is pinned by what it names', async () => {
  const agreed = new Agreed()
  const pin = await agreed.verbs.pin('/ipns/example.org' as IpfsPath, { name: 'site' })
  assert.deepEqual(pin, agreed.pins.get(cid))
  assert.deepEqual(pin.allocations, ['peer-2', 'peer-3'])
  assert.equal(pin.name, 'site')
})

test('a change in between is looked at, and the pin is decided anew', async () => {
  const agreed = new Agreed()
  await agreed.verbs.pin(cid, { name: 'first' })
  agreed.meanwhile = proposal => proposal <= 3 && agreed.touch(cid, { name: 'other' })
  const pin = await agreed.verbs.pin(cid, { name: 'mine' })
  assert.equal(pin.name, 'mine')
  assert.equal(agreed.pins.get(cid)?.version, pin.version)
  assert.equal(agreed.proposals, 4)
})

test('one that is changed again and again is given up as a conflict', async () => {
  const agreed = new Agreed()
  await agreed.verbs.pin(cid)
  agreed.meanwhile = () => agreed.touch(cid)
  await assert.rejects(agreed.verbs.pin(cid), error => isFault(error, 'conflict'))
  await assert.rejects(agreed.verbs.unpin(cid), error => isFault(error, 'conflict'))
})

test('a pin that is unpinned in between is not unpinned twice', async () => {
  const agreed = new Agreed()
  await agreed.verbs.pin(cid)
  agreed.meanwhile = () => agreed.pins.delete(cid)
  await assert.rejects(agreed.verbs.unpin(cid), error => isFault(error, 'not_pinned'))
})

test('a peer without state changes nothing', async () => {
  const agreed = new Agreed()
  agreed.consensus.isReady = false
  await assert.rejects(agreed.verbs.pin(cid), error => isFault(error, 'not_ready'))
  await assert.rejects(agreed.verbs.unpin(cid), error => isFault(error, 'not_ready'))
  assert.equal(agreed.proposals, 0)
})

test('factors that make no sense, a time that is over and a step from recursive to direct are refused before anything is proposed', async () => {
  const agreed = new Agreed()
  const wrong = [
    { replicationMin: 3, replicationMax: 2 },
    { replicationMin: -2, replicationMax: 1 },
    { replicationMin: -1, replicationMax: 2 },
    { expireAt: Date.now() - 1 }
  ]
  for (const options of wrong) await assert.rejects(agreed.verbs.pin(cid, options), error => isFault(error, 'invalid'))
  await assert.rejects(agreed.verbs.pin(cid, { replicationMin: 4, replicationMax: 4 }), error => isFault(error, 'not_enough_peers'))
  assert.equal(agreed.proposals, 0)
  await agreed.verbs.pin(cid)
  await assert.rejects(agreed.verbs.pin(cid, { mode: 'direct' }), error => isFault(error, 'refused'))
})

test('a pin by update takes the options and the peers of its source', async () => {
  const agreed = new Agreed()
  const from = inline('from')
  await assert.rejects(agreed.verbs.pin(cid, { pinUpdate: from }), error => isFault(error, 'not_pinned'))
  const source = await agreed.verbs.pin(from, { name: 'v1', replicationMin: 1, replicationMax: 1, metadata: { a: 'b' } })
  const pin = await agreed.verbs.pin(cid, { pinUpdate: from, name: 'v2' })
  assert.deepEqual([pin.name, pin.allocations, pin.metadata, pin.pinUpdate], ['v2', source.allocations, { a: 'b' }, from])
})

test('what has expired goes; what was renewed meanwhile stays and is not counted', async () => {
  const agreed = new Agreed()
  const cids = ['a', 'b', 'c'].map(inline)
  for (const one of cids) await agreed.verbs.pin(one)
  for (const one of cids) agreed.touch(one, { expireAt: Date.now() - 1 })
  agreed.proposals = 0
  agreed.meanwhile = proposal => proposal === 2 && agreed.touch(cids[1] ?? cid, { expireAt: Date.now() + 60_000 })
  assert.equal(await agreed.verbs.expire(), 2)
  assert.deepEqual([...agreed.pins.keys()], [cids[1]])
})

test('what cannot be agreed now leaves the expired pins for the next look', async () => {
  const agreed = new Agreed()
  await agreed.verbs.pin(cid)
  agreed.touch(cid, { expireAt: Date.now() - 1 })
  agreed.meanwhile = () => {
    throw new ClusterError({ code: 'no_leader', voters: 3, reached: 1 }, 'no leader')
  }
  assert.equal(await agreed.verbs.expire(), 0)
  agreed.meanwhile = undefined
  assert.equal(await agreed.verbs.expire(), 1)
})

test('the place of a peer that goes is given to another; where too few are left to nobody, and the only one keeps it', async () => {
  const agreed = new Agreed()
  await agreed.verbs.pin(cid)
  await agreed.verbs.vacate(cid, 'peer-3' as PeerId, {})
  assert.deepEqual(agreed.pins.get(cid)?.allocations, ['peer-1', 'peer-2'])
  agreed.touch(cid, { replicationMin: 3, replicationMax: 3, allocations: ['peer-1', 'peer-2', 'peer-3'] as unknown as PeerId[] })
  await agreed.verbs.vacate(cid, 'peer-3' as PeerId, {})
  assert.deepEqual(agreed.pins.get(cid)?.allocations, ['peer-1', 'peer-2'])
  agreed.touch(cid, { allocations: ['peer-1'] as unknown as PeerId[] })
  await agreed.verbs.vacate(cid, 'peer-1' as PeerId, {})
  assert.deepEqual(agreed.pins.get(cid)?.allocations, ['peer-1'])
  agreed.pins.clear()
  await agreed.verbs.vacate(cid, 'peer-1' as PeerId, {})
  assert.equal(agreed.pins.size, 0)
})
