/** Peers that join by an invitation, and clusters with one secret that stay two: real daemons, without Kubo. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { formatInvitation, parseInvitation } from '../../src/invitation.ts'
import { inline } from '../support/cids.ts'
import { TestHost } from '../support/host.ts'
import { freeBase } from '../support/local-cluster.ts'
import { until } from '../support/until.ts'

test('an invitation of one line is enough to join, and its secret is shown nowhere else', async () => {
  await using world = await World.open('a', 'b', 'c')
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
  await using world = await World.open('a')
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
  await using world = await World.open('a', 'b')
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
  await using world = await World.open('a', 'b', 'c')
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

class World implements AsyncDisposable {
  readonly desk: string
  readonly hosts: readonly TestHost[]

  private constructor(desk: string, hosts: readonly TestHost[]) {
    this.desk = desk
    this.hosts = hosts
  }

  static async open(...names: string[]): Promise<World> {
    const desk = await mkdtemp(join(tmpdir(), 'flotilla-joining-'))
    const port = await freeBase(names.length)
    return new World(desk, await Promise.all(names.map((name, at) => TestHost.open(name, { desk, port: port + 10 * at }))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) await host[Symbol.asyncDispose]()
    await rm(this.desk, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

async function secretOf(host: TestHost): Promise<string> {
  return JSON.parse(await readFile(join(host.folder, 'service.json'), 'utf8')).cluster.secret
}
