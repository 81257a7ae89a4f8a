import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Informer } from '../../../cluster/health/informer.ts'
import { Monitor } from '../../../cluster/health/monitor.ts'
import { decodeReport, encodeReport, type Report } from '../../../cluster/health/report.ts'
import { openLog } from '../../../src/log.ts'
import type { PeerId } from '../../../src/types.ts'
import { FakeKubo } from '../../support/fake-kubo.ts'
import { fastClock } from '../../support/tracker-world.ts'
import { until } from '../../support/until.ts'

const log = openLog({ level: 'silent', name: 'test' })
const report: Report = {
  name: 'a',
  version: '1',
  ipfsId: 'kubo',
  ipfsAddresses: [],
  freeBytes: 7,
  kuboError: '',
  counts: { queued: 1, pinning: 2, failed: 3, unpinning: 4, pinned: 5 },
  applied: 9,
  stateHash: '1:00'
}

test('the informer follows Kubo: space, silence, and its return, telling of changes only', async () => {
  await using fake = await FakeKubo.start()
  await using kubo = fake.client({ requestTimeoutMs: 100 })
  let changes = 0
  await using informer = new Informer({ kubo, clock: fastClock(), log, onChange: () => changes++ }, { intervalMs: 1_000 })
  assert.match(informer.identity.error, /not asked/)
  informer.start()
  await until('a first look', () => informer.freeBytes === 9_000)
  assert.equal(informer.identity.id, 'kubo-id')
  const looks = fake.count('repo/stat')
  await until('more looks', () => fake.count('repo/stat') > looks + 3)
  assert.equal(changes, 1)
  fake.repoBytes = 20_000
  await until('a full Kubo', () => informer.freeBytes === 0)
  fake.faults.set('repo/stat', { type: 'hang' })
  await until('a silent Kubo', () => informer.freeBytes === null)
  assert.match(informer.identity.error, /did not answer/)
  await fake.stop()
  await until('a dead Kubo', () => /does not answer/.test(informer.identity.error))
  // Who it is stays known.
  assert.equal(informer.identity.id, 'kubo-id')
  fake.faults.clear()
  await fake.start()
  await until('its return', () => informer.freeBytes === 0 && informer.identity.error === '')
})

test('a peer that fell silent keeps its last word, marked by its age; who is no member is forgotten', () => {
  let nowMs = 1_000
  const monitor = new Monitor({ clock: { ...fastClock(), monotonicMs: () => nowMs } })
  const [a, b] = ['a', 'b'] as [PeerId, PeerId]
  assert.equal(monitor.of(a), undefined)
  monitor.hear(a, report)
  monitor.hear(b, report)
  nowMs += 60_000
  assert.deepEqual(monitor.of(a), { report, ageMs: 60_000 })
  monitor.keep(new Set([b]))
  assert.equal(monitor.of(a), undefined)
  assert.ok(monitor.of(b))
})

test('a report goes over the wire as it is, and what is none is refused', () => {
  assert.deepEqual(decodeReport(encodeReport(report)), report)
  assert.throws(() => decodeReport(encodeReport({ ...report, freeBytes: 'much' as never })))
  assert.throws(() => decodeReport(new Uint8Array([1, 2, 3])))
})
