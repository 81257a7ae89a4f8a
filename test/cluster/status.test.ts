import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Copies, type Copy } from '../../cluster/copies.ts'
import type { LocalStatus } from '../../cluster/ipfs/tracker-api.ts'
import { fingerprint } from '../../cluster/messages.ts'
import { judge, type KnownPeer, PinStatuses } from '../../cluster/status.ts'
import { systemClock } from '../../src/clock.ts'
import { ClusterError, isFault } from '../../src/errors.ts'
import type { Cid, PeerId, Pin, PinProgress, Status } from '../../src/types.ts'
import { inline } from '../support/cids.ts'
import { examplePin } from '../support/pins.ts'
import { collect } from '../support/stream.ts'
import { until } from '../support/until.ts'

const cid = inline('status')
const [self, second, third] = ['peer-1', 'peer-2', 'peer-3'] as [PeerId, PeerId, PeerId]
const known = (id: PeerId, isAlive = true): KnownPeer => ({ id, name: id, ipfsId: null, ipfsAddresses: [], isAlive })
const copy = (status: LocalStatus['status'], changes: Partial<LocalStatus> = {}): LocalStatus => {
  return { status, error: '', attemptCount: 0, priorityPin: false, timestamp: 1, progress: null, ...changes }
}
const agreed = (changes: Partial<Pin> = {}): Pin => {
  return {
    ...examplePin,
    cid,
    replicationMin: 2,
    replicationMax: 3,
    allocations: [self, second, third],
    timestamp: 1,
    version: 5,
    ...changes
  }
}

/** Three peers: this one's tracker, and what the others answer. */
class Three {
  readonly pins = new Map<Cid, Pin>()
  readonly operations = new Map<Cid, LocalStatus>()
  readonly copies = new Map<PeerId, LocalStatus | ClusterError>()
  readonly questions: [PeerId, number][] = []
  members = [known(self), known(second), known(third)]
  isReady = true
  readonly #watchers = new Set<() => void>()
  readonly statuses: PinStatuses

  constructor() {
    const pinset = {
      get: async (at: Cid) => this.pins.get(at),
      list: () => this.#list(),
      watch: (_cid: Cid, watcher: () => void) => this.#watch(watcher)
    }
    const answer = (peer: PeerId): Copy => {
      const found = this.copies.get(peer) ?? copy('pin_queued')
      if (found instanceof ClusterError) throw found
      return found
    }
    const real = new Copies({
      rpc: { self } as never,
      pinset,
      tracker: { status: async () => copy('pinned'), onChange: () => this.#watch(() => {}) },
      clock: systemClock
    })
    this.statuses = new PinStatuses({
      self,
      pinset,
      copies: {
        remote: () => real.remote(),
        silent: reason => real.silent(reason),
        of: async (peer, _pin, { signal, waitMs = 0, known = '' } = {}) => {
          const look = () => {
            try {
              return answer(peer)
            } catch (error) {
              return real.silent(error)
            }
          }
          const seen = (now: Copy) => known === fingerprint(now as LocalStatus)
          const end = performance.now() + waitMs
          while (seen(look()) && performance.now() < end && !signal?.aborted) await new Promise(resolve => setTimeout(resolve, 1))
          signal?.throwIfAborted()
          return look()
        },
        ofMany: async (peer, cids) => {
          this.questions.push([peer, cids.length])
          return cids.map(() => answer(peer))
        }
      },
      tracker: { operations: () => this.operations, isPartial: false },
      clock: systemClock,
      members: () => this.members,
      requireState: () => {
        if (!this.isReady) throw new ClusterError({ code: 'not_ready' }, 'joining')
      }
    })
  }

  change(change: () => void): void {
    change()
    for (const watcher of this.#watchers) watcher()
  }

  async *#list(): AsyncIterable<Pin> {
    yield* this.pins.values()
  }

  #watch(watcher: () => void): Disposable {
    this.#watchers.add(watcher)
    return { [Symbol.dispose]: () => this.#watchers.delete(watcher) }
  }
}

const everyone = (three: Three, status: LocalStatus['status']) => {
  for (const { id } of three.members) three.copies.set(id, copy(status))
}

test('following a pin ends when enough peers hold it: the minimum, or all', async () => {
  for (const [level, wanted] of [
    ['min', 2],
    ['all', 3]
  ] as const) {
    const three = new Three()
    three.pins.set(cid, agreed())
    everyone(three, 'pinning')
    const seen: PinProgress[] = []
    const follow = (async () => {
      for await (const progress of three.statuses.follow(cid, { until: level })) seen.push(progress)
    })()
    await until('a first word', () => seen.length > 0)
    assert.deepEqual([seen[0]?.done, seen[0]?.wanted], [false, wanted])
    for (const id of [self, second, third].slice(0, wanted)) three.copies.set(id, copy('pinned'))
    await follow
    assert.deepEqual([seen.at(-1)?.done, seen.at(-1)?.pinned], [true, wanted])
  }
})

test('a pin that cannot reach the level is a fault with the words of the first failure', async () => {
  const three = new Three()
  three.pins.set(cid, agreed())
  three.copies.set(self, copy('pinned'))
  for (const id of [second, third]) three.copies.set(id, copy('pin_error', { error: 'merkledag: not found' }))
  await assert.rejects(
    collect(three.statuses.follow(cid)),
    error => isFault(error, 'pin_failed') && error.message === 'merkledag: not found' && error.fault.peers.length === 2
  )
})

test('a pin that is unpinned meanwhile, and one that never was, are said to be that', async () => {
  const three = new Three()
  await assert.rejects(collect(three.statuses.follow(cid)), error => isFault(error, 'not_pinned'))
  three.pins.set(cid, agreed())
  everyone(three, 'pinning')
  let isFirst = true
  await assert.rejects(
    (async () => {
      for await (const _progress of three.statuses.follow(cid)) {
        if (isFirst) three.change(() => three.pins.delete(cid))
        isFirst = false
      }
    })(),
    error => isFault(error, 'not_pinned')
  )
})

test('who leaves, or aborts, is followed no longer', async () => {
  const three = new Three()
  three.pins.set(cid, agreed())
  everyone(three, 'pinning')
  for await (const _progress of three.statuses.follow(cid)) break
  const abort = new AbortController()
  const follow = collect(three.statuses.follow(cid, { signal: abort.signal }))
  abort.abort(new Error('enough'))
  await assert.rejects(follow, /enough/)
})

test('a peer without state answers not_ready, never an empty list', async () => {
  const three = new Three()
  three.isReady = false
  await assert.rejects(three.statuses.one(cid), error => isFault(error, 'not_ready'))
  await assert.rejects(collect(three.statuses.many()), error => isFault(error, 'not_ready'))
  await assert.rejects(collect(three.statuses.follow(cid)), error => isFault(error, 'not_ready'))
})

const judged = (pin: Pin, copies: Record<string, Copy['status']>, { dead = [] as PeerId[], until = 'min' as const } = {}) => {
  const holders = [self, second, third].filter(id => pin.allocations.length === 0 || pin.allocations.includes(id))
  const answers = Object.entries(copies).map(([id, status]) => [id as PeerId, { ...copy('pinned'), status }] as const)
  return judge(
    pin,
    holders.map(id => known(id, !dead.includes(id))),
    new Map(answers),
    until
  )
}

test('a copy of a peer that holds the pin no longer does not count', () => {
  const pin = agreed({ allocations: [self, second], replicationMin: 2 })
  assert.deepEqual(judged(pin, { [self]: 'pinned', [third]: 'pinned' }).done, false)
  assert.deepEqual(judged(pin, { [self]: 'pinned', [second]: 'pinned' }).done, true)
})

test('a failure beside a dead peer is not waited for in vain', () => {
  assert.throws(
    () => judged(agreed(), { [self]: 'pinned', [second]: 'pin_error', [third]: 'cluster_error' }, { dead: [third] }),
    error => isFault(error, 'pin_failed')
  )
})

test('of a pin on every peer the living ones are waited for, and no others', () => {
  const pin = agreed({ allocations: [], replicationMin: -1, replicationMax: -1 })
  assert.equal(judged(pin, { [self]: 'pinned', [second]: 'pinned', [third]: 'cluster_error' }).done, true)
  assert.equal(judged(pin, { [self]: 'pinned', [second]: 'pinning' }, { dead: [third] }).done, false)
  assert.throws(
    () => judged(pin, { [self]: 'pinned', [second]: 'pin_error' }, { dead: [third] }),
    error => isFault(error, 'pin_failed')
  )
})

test('a long list asks each peer a question a page, and filters by status', async () => {
  const three = new Three()
  const cids = Array.from({ length: 2_500 }, (_, index) => inline(`listed ${index}`))
  for (const one of cids) three.pins.set(one, agreed({ cid: one, allocations: [self, second] }))
  three.copies.set(self, copy('pinned'))
  three.copies.set(second, copy('pin_error', { error: 'full' }))
  const all = await collect(three.statuses.many())
  assert.equal(all.length, 2_500)
  assert.deepEqual(
    [...(all[0]?.peers.values() ?? [])].map(({ status }) => status),
    ['pinned', 'pin_error', 'remote'] satisfies Status[]
  )
  assert.deepEqual(
    three.questions.filter(([peer]) => peer === second).map(([, count]) => count),
    [1_000, 1_000, 500]
  )
  assert.equal(three.questions.filter(([peer]) => peer === third).length, 0)
  const failed = await collect(three.statuses.many({ filter: ['pin_error'] }))
  assert.deepEqual([failed.length, failed[0]?.peers.size], [2_500, 1])
})
