/** Peers that join by an invitation, and clusters with one secret that stay two: real daemons, without Kubo. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { formatInvitation, parseInvitation } from '../../src/invitation.ts'
import { inline } from '../support/cids.ts'
import type { TestHost } from '../support/host.ts'
import { TestHosts } from '../support/hosts.ts'
import { until } from '../support/until.ts'

test('an invitation of one line is enough to join, and its secret is shown nowhere else', async () => {
  await using world = await TestHosts.open('a', 'b', 'c')
  const [a, b, c] = world.hosts as [TestHost, TestHost, TestHost]
  await a.run('flotilla init')
  await a.start()
  const { out } = await a.run('flotilla peers add')
  assert.match(out, /^flotilla-invitation-1:\S+\n$/)
  const secret = Buffer.from(parseInvitation(out).secret?.reveal() ?? []).toString('hex')
  const byStdin = await b.run('flotilla init --join -', { stdin: out })
  await writeFile(join(world.desk, 'invitation'), out)
  const byFile = await c.run('flotilla init --join invitation')
  for (const { code, out, err } of [byStdin, byFile]) {
    assert.equal(code, 0, err)
    assert.match(out, /"flotilla daemon" joins cluster [0-9a-f]{32}\n$/)
    assert.ok(!(out + err).includes(secret))
  }
  await Promise.all([b.start(), c.start()])
  await using client = a.client()
  await until('all three vote', async () => (await client.overview()).peers.filter(({ isVoter }) => isVoter).length === 3)
  assert.equal(await secretOf(b), secret)
  for (const host of [a, b, c]) {
    assert.ok(!host.log.includes(secret) && !host.log.includes(out.trim()))
    assert.doesNotMatch(await readFile(`/proc/${host.pid}/cmdline`, 'utf8'), /invitation/)
  }
  await b.kill()
  await b.start()
  assert.equal((await client.overview()).peers.length, 3, 'a member comes back without being invited again')
})

test('what is no invitation is refused before anything is written, and an invitation on the command line too', async () => {
  await using world = await TestHosts.open('a')
  const [a] = world.hosts as [TestHost]
  const valid = formatInvitation({ clusterId: 'c', secret: null, addresses: [] as never })
  for (const [script, said, options] of [
    ['flotilla init --join -', /an invitation is one line/, { stdin: 'hello' }],
    ['flotilla init --join -', /the invitation is damaged/, { stdin: valid }],
    [`flotilla init --join ${valid}`, /every process list shows/, {}],
    ['flotilla init --join nowhere', /cannot be read from nowhere/, {}],
    ['flotilla init', /an invitation is one line/, { variables: { FLOTILLA_INVITATION: 'x' } }]
  ] as const) {
    const { code, err } = await a.run(script, options)
    assert.equal(code, 2, script)
    assert.match(err, said)
  }
  await assert.rejects(readFile(join(a.folder, 'service.json')), /ENOENT/)
})

test('an invitation leads into the cluster it is from and into no other one, though secret and address fit', async () => {
  await using world = await TestHosts.open('a', 'b')
  const [a, b] = world.hosts as [TestHost, TestHost]
  await a.run('flotilla init')
  await a.start()
  const invitation = parseInvitation((await a.run('flotilla peers add')).out)
  const stale = formatInvitation({ ...invitation, clusterId: '0'.repeat(32) })
  await b.run('flotilla init', { variables: { FLOTILLA_INVITATION: stale } })
  await assert.rejects(b.start(), new RegExp(`belongs to cluster ${invitation.clusterId}, this peer to cluster ${'0'.repeat(32)}`))
  await using client = a.client()
  assert.equal((await client.overview()).peers.length, 1)
})

test('members of a cluster that was recovered from are not mixed into the new one, whatever they remember', async () => {
  await using world = await TestHosts.open('a', 'b', 'c')
  const [a, b, c] = world.hosts as [TestHost, TestHost, TestHost]
  await a.run('flotilla init')
  await a.start()
  const { out } = await a.run('flotilla peers add')
  for (const host of [b, c]) {
    await host.run('flotilla init --join -', { stdin: out })
    await host.start()
  }
  {
    await using client = a.client()
    await until('all three vote', async () => (await client.overview()).peers.filter(({ isVoter }) => isVoter).length === 3)
    await client.pin(inline('shared'))
  }
  for (const host of [a, b, c]) await host.kill()
  const { out: asked } = await a.run('flotilla recover')
  const [, place = ''] = /--accept-data-loss (\S+)/.exec(asked) ?? []
  const recovered = await a.run(`flotilla recover --accept-data-loss ${place}`)
  assert.equal(recovered.code, 0, recovered.err)
  await Promise.all([a.start(), b.start(), c.start()])
  await using one = a.client()
  await using other = b.client()
  await until('each cluster has a leader', async () => (await one.overview()).leader !== null && (await other.overview()).leader !== null)
  await one.pin(inline('new'))
  await other.pin(inline('old'))
  const [seenByA, seenByB] = [await one.overview(), await other.overview()]
  assert.notEqual(seenByA.clusterId, seenByB.clusterId)
  assert.deepEqual([seenByA.peers.length, seenByA.pins, seenByB.votersReached, seenByB.pins], [1, 2, 2, 2])
  await until('it is said', () => /belongs to cluster [0-9a-f]{32}, this peer to cluster/.test(b.log + c.log))
})

test('a bootstrap address that stays in the unit file does a member no harm', async () => {
  await using world = await TestHosts.open('a', 'b')
  const [a, b] = world.hosts as [TestHost, TestHost]
  await a.run('flotilla init')
  await a.start()
  const secret = await secretOf(a)
  await b.run('flotilla init', { variables: { CLUSTER_SECRET: secret } })
  await b.start('--bootstrap', a.address)
  await using client = a.client()
  await using restarted = b.client()
  const two = async () => (await client.overview()).votersReached === 2
  await until('both vote', two)
  await restarted.pin(inline('before'))
  const { peers, clusterId } = await client.overview()
  for (let time = 0; time < 2; time++) {
    await b.kill()
    await b.start('--bootstrap', a.address)
    await until('it is back', async () => (await restarted.overview()).leader !== null && (await two()))
    assert.ok(await restarted.allocation(inline('before')))
  }
  const after = await restarted.overview()
  assert.deepEqual([after.clusterId, after.peers.map(({ id }) => id).sort()], [clusterId, peers.map(({ id }) => id).sort()])
})

async function secretOf(host: TestHost): Promise<string> {
  return JSON.parse(await readFile(join(host.folder, 'service.json'), 'utf8')).cluster.secret
}
