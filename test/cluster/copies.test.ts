import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Copies } from '../../cluster/copies.ts'
import type { LocalStatus } from '../../cluster/ipfs/tracker-api.ts'
import { fingerprint, underWay } from '../../cluster/messages.ts'
import { systemClock } from '../../src/clock.ts'
import { ClusterError } from '../../src/errors.ts'
import type { Cid, PeerId, Pin } from '../../src/types.ts'
import { inline } from '../support/cids.ts'

const cid = inline('copies')
const [self, other] = ['peer-1', 'peer-2'] as [PeerId, PeerId]
const word = (status: LocalStatus['status']): LocalStatus => ({
  status,
  error: '',
  attemptCount: 0,
  priorityPin: false,
  timestamp: 1,
  progress: null
})
const pin = (version: number, allocations: PeerId[] = []) => ({ cid, version, allocations, type: 'pin' }) as unknown as Pin

type Handler = (from: PeerId, payload: Uint8Array, options: { signal: AbortSignal }) => Promise<Uint8Array>

/** This peer's copies and another's, joined by calls. */
function two() {
  const handlers = new Map<string, Handler>()
  const pins = new Map<Cid, Pin>()
  const wakers = new Set<() => void>()
  const watch = (_cid: Cid, waker: () => void): Disposable => {
    wakers.add(waker)
    return { [Symbol.dispose]: () => wakers.delete(waker) }
  }
  const state = { status: word('pinning'), isDown: false, asked: [] as (readonly [Cid, number | null])[] }
  const tracker = {
    status: async (at: Cid, wish: { version: number } | null) => {
      state.asked.push([at, wish?.version ?? null])
      return state.status
    },
    onChange: watch
  }
  const rpc = {
    self,
    handle: () => {},
    call: async (peer: PeerId, method: string, payload: Uint8Array, { signal }: { signal?: AbortSignal } = {}) => {
      if (state.isDown) throw new ClusterError({ code: 'peer_unreachable', peer }, 'peer-2 does not answer')
      const handler = handlers.get(method)
      assert.ok(handler)
      return handler(self, payload, { signal: signal ?? new AbortController().signal })
    }
  }
  const pinset = { get: async (at: Cid) => pins.get(at), watch }
  const theirs = new Copies({
    rpc: { self: other, call: rpc.call, handle: (method: string, handler: Handler) => void handlers.set(method, handler) } as never,
    pinset,
    tracker,
    clock: systemClock
  })
  theirs.start()
  const mine = new Copies({ rpc: rpc as never, pinset, tracker, clock: systemClock })
  return { mine, pins, state, wakers, wake: () => [...wakers].forEach(waker => void waker()) }
}

test('a peer that has not heard of this version yet has it as good as queued', async () => {
  const { mine, pins, state } = two()
  for (const peer of [self, other]) assert.equal((await mine.of(peer, pin(5))).status, 'pin_queued')
  pins.set(cid, pin(4))
  assert.equal((await mine.of(other, pin(5))).status, 'pin_queued')
  assert.deepEqual(state.asked, [])
  pins.set(cid, pin(5))
  assert.equal((await mine.of(other, pin(5))).status, 'pinning')
})

test('a question waits until there is something new, and leaves nobody listening', async () => {
  const { mine, pins, state, wakers, wake } = two()
  pins.set(cid, pin(5))
  for (const peer of [self, other]) {
    state.status = word('pinning')
    const before = state.asked.length
    const answer = mine.of(peer, pin(5), { known: fingerprint(word('pinning')), waitMs: 5_000 })
    while (state.asked.length === before) await new Promise(resolve => setImmediate(resolve))
    state.status = word('pinned')
    wake()
    assert.equal((await answer).status, 'pinned')
    assert.equal(wakers.size, 0)
  }
})

test('the tracker is asked for what this peer should hold, by version, and for nothing where it should not', async () => {
  const { mine, pins, state } = two()
  pins.set(cid, pin(5, [self]))
  await mine.of(self, pin(5))
  await mine.of(other, pin(5))
  await mine.of(self, { cid, version: 0 })
  assert.deepEqual(
    state.asked.map(([, version]) => version),
    [5, null, null]
  )
})

test('a peer that does not answer is a copy that says so, for one and for many', async () => {
  const { mine, state } = two()
  state.isDown = true
  const copy = await mine.of(other, pin(5))
  assert.deepEqual([copy.status, copy.error], ['cluster_error', 'peer-2 does not answer'])
  const cids = Array.from({ length: 3 }, (_, index) => inline(`page ${index}`))
  assert.deepEqual(
    (await mine.ofMany(other, cids)).map(({ status }) => status),
    ['cluster_error', 'cluster_error', 'cluster_error']
  )
  state.isDown = false
  assert.equal((await mine.ofMany(other, cids)).length, 3)
  const abort = new AbortController()
  const waiting = mine.of(self, pin(5), { known: underWay, waitMs: 5_000, signal: abort.signal })
  abort.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
})
