import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConsensusStatus } from '../../cluster/consensus/consensus.ts'
import type { Report } from '../../cluster/health/report.ts'
import { overview } from '../../cluster/overview.ts'
import type { PeerId } from '../../src/types.ts'

const [a, b, c] = ['a', 'b', 'c'] as [PeerId, PeerId, PeerId]
const report = (changes: Partial<Report> = {}): Report => ({
  name: '',
  version: '1',
  ipfsId: null,
  ipfsAddresses: [],
  freeBytes: 100,
  kuboError: '',
  counts: { queued: 0, pinning: 0, failed: 0, unpinning: 0, pinned: 5 },
  applied: 10,
  stateHash: '1:0',
  ...changes
})

function look({
  connected = [b, c],
  reports = {},
  status = {},
  ageMs = 0,
  differing = {}
}: {
  connected?: PeerId[]
  reports?: Record<string, Report>
  status?: Partial<ConsensusStatus>
  ageMs?: number
  differing?: Record<string, number>
} = {}) {
  const members = [a, b, c].map(id => ({ id, isVoter: true, name: `peer-${id}`, addresses: [] }))
  const consensus: ConsensusStatus = {
    clusterId: 'x',
    role: 'leader',
    term: 3,
    leader: a,
    commit: 12,
    applied: 12,
    members,
    behind: new Map(),
    isReady: true,
    removedAt: null,
    ...status
  }
  return overview({
    self: a,
    status: () => consensus,
    isConnected: id => connected.includes(id),
    known: id => ({ report: reports[id] ?? report(), ageMs }),
    pins: () => 5,
    differs: id => differing[id]
  })
}

test('a healthy cluster has no problems, and says who leads and who lags', () => {
  const seen = look()
  assert.deepEqual(seen.problems, [])
  assert.deepEqual(
    seen.peers.map(({ role, lagEntries }) => [role, lagEntries]),
    [
      ['leader', 0],
      ['follower', 2],
      ['follower', 2]
    ]
  )
  assert.deepEqual(seen.copies, { pinned: 15 })
})

test('what is wrong is said in sentences, the worst first', () => {
  const counts = { queued: 3, pinning: 0, failed: 2, unpinning: 0, pinned: 5 }
  const { problems } = look({
    connected: [b],
    ageMs: 65_000,
    status: { leader: null, role: 'candidate' },
    reports: { [b]: report({ kuboError: 'Kubo does not answer at /ip4/127.0.0.1/tcp/5001: refused', freeBytes: 0, counts }) }
  })
  assert.deepEqual(problems, [
    'There is no leader, so pins cannot be changed: an election is under way. Reads go on, and may be out of date.',
    'peer-c does not answer peer-a for 65 s. It gets what it missed when it is back.',
    'peer-b: pins wait, because Kubo does not answer at /ip4/127.0.0.1/tcp/5001: refused',
    'peer-b: 2 pins failed and will be tried again; "flotilla status <cid>" says why.',
    'peer-b: its Kubo is full (Datastore.StorageMax), so it takes no new pins.'
  ])
})

test('without a quorum the sentence counts, and a peer that is not reached adds no copies', () => {
  const seen = look({ connected: [], status: { leader: null, role: 'candidate' } })
  assert.match(seen.problems[0] ?? '', /1 of 3 voters are reached, 2 are needed/)
  assert.deepEqual(seen.copies, { pinned: 5 })
  assert.equal(seen.peers[1]?.freeBytes, null)
})

test('a peer that joins says so first', () => {
  assert.match(look({ status: { isReady: false, role: 'learner' } }).problems[0] ?? '', /joining, or catching up/)
})

test('a peer with another state is named before everything else, and where most differ, this one is', () => {
  assert.match(look({ differing: { [b]: 9 } }).problems[0] ?? '', /^peer-b holds another state than peer-a at index 9, .*: stop it/)
  assert.match(
    look({ differing: { [b]: 9, [c]: 10 } }).problems[0] ?? '',
    /^peer-a holds another state than peer-b and peer-c .* its own is wrong/
  )
  assert.equal(look().peers[1]?.stateHash, '1:0')
})
