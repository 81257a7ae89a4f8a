import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Departure } from '../../cluster/departure.ts'
import { isFault } from '../../src/errors.ts'
import type { Cid, PeerId, Pin, PinStatus, Status } from '../../src/types.ts'
import { inline } from '../support/cids.ts'

const [a, b, c] = ['a', 'b', 'c'] as unknown as readonly [PeerId, PeerId, PeerId]
const cid = inline('departure')

/** Three voters; one pin, with these statuses. */
function world({
  connected = [b, c],
  statuses = {},
  voters = [a, b, c]
}: {
  connected?: PeerId[]
  statuses?: Record<string, Status>
  voters?: PeerId[]
}) {
  const done: string[] = []
  const status = { cid, peers: new Map(Object.entries(statuses).map(([id, status]) => [id, { status }])) } as unknown as PinStatus
  const departure = new Departure({
    self: a,
    consensus: {
      status: () => ({ removedAt: null, members: voters.map(id => ({ id, isVoter: true })) }) as never,
      removeMember: async id => void done.push(`removed ${id}`)
    },
    pins: { vacate: async (at: Cid, peer) => void done.push(`vacated ${at === cid ? peer : '?'}`) },
    pinset: {
      async *list() {
        yield { cid, allocations: Object.keys(statuses) } as unknown as Pin
      }
    },
    isConnected: peer => connected.includes(peer),
    async *statuses() {
      yield status
    },
    requireState: () => {},
    onLeft: () => done.push('left')
  })
  return { departure, done }
}

const refused = (words: RegExp) => (error: unknown) => isFault(error, 'refused') && words.test(error.message)

test('its pins go to others before its vote does', async () => {
  const { departure, done } = world({ statuses: { b: 'pinned', c: 'pinned' } })
  await departure.remove(c)
  assert.deepEqual(done, ['vacated c', 'removed c'])
})

test('whoever is no member is not removed, and that is no mistake', async () => {
  const { departure, done } = world({})
  await departure.remove('d' as unknown as PeerId)
  assert.deepEqual(done, [])
})

test('where those who are left would have no majority, it takes force', async () => {
  const { departure, done } = world({ connected: [c] })
  await assert.rejects(departure.remove(c), refused(/of the 2 voters that would be left only 1 are reached, 2 are needed/))
  await departure.remove(b)
  await departure.remove(c, { force: true })
  assert.deepEqual(done, ['removed b', 'removed c'])
})

test('what may have the only copy of a pin takes force, whether it answers or not', async () => {
  for (const own of ['pinned', 'cluster_error'] as const) {
    const { departure, done } = world({ statuses: { b: 'pinning', c: own } })
    await assert.rejects(departure.remove(c), refused(/only copy of 1 pin/), own)
    assert.deepEqual(done, [])
    await departure.remove(c, { force: true })
    assert.deepEqual(done, ['vacated c', 'removed c'])
  }
  const { departure, done } = world({ statuses: { b: 'pin_error', c: 'pin_error' } })
  await departure.remove(c)
  assert.deepEqual(done, ['vacated c', 'removed c'], 'what it does not have cannot be lost with it')
})

test('the last peer with a vote stays, also by force', async () => {
  const { departure } = world({ voters: [a], connected: [] })
  await assert.rejects(departure.remove(a, { force: true }), refused(/last peer with a vote/))
})

test('a peer that leaves is removed and then ends; asked again it only ends, and where it is refused it does neither', async () => {
  const { departure, done } = world({ statuses: { a: 'pinned', b: 'pinned' } })
  await departure.leave()
  await departure.leave()
  assert.deepEqual(done, ['vacated a', 'removed a', 'left', 'left'])
  const last = world({ voters: [a] })
  await assert.rejects(last.departure.leave({ force: true }), refused(/last peer with a vote/))
  assert.deepEqual(last.done, [])
})
