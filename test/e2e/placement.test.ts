/** Where pins are, while their peers come and go: real daemons in front of Kubos that fetch nothing. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { isFault } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import { inline } from '../support/cids.ts'
import { type Daemon, Daemons, says } from '../support/daemons.ts'
import { FakeKubo } from '../support/fake-kubo.ts'
import { until } from '../support/until.ts'

const pins = 12

class World implements AsyncDisposable {
  readonly kubos: readonly FakeKubo[]
  readonly peers: Daemon[] = []
  readonly #daemons: Daemons

  private constructor(daemons: Daemons, kubos: readonly FakeKubo[]) {
    this.#daemons = daemons
    this.kubos = kubos
  }

  /** Three peers, and pins of two copies each. */
  static async open(): Promise<World> {
    const kubos = await Promise.all([0, 1, 2].map(() => FakeKubo.start()))
    const world = new World(await Daemons.open({ peers: 3 }), kubos)
    for (const number of [0, 1, 2]) await world.start(number)
    const { client } = world.peer(0)
    await until('every peer says how much room it has', async () => (await client.overview()).peers.every(peer => peer.freeBytes !== null))
    await world.reaches(0, 3)
    for (let number = 0; number < pins; number++) await client.pin(inline(`placement ${number}`))
    await until('all copies are there', () => kubos.reduce((sum, kubo) => sum + kubo.pins.size, 0) === 2 * pins)
    return world
  }

  peer(number: number): Daemon {
    const peer = this.peers[number]
    assert.ok(peer)
    return peer
  }

  async start(number: number): Promise<void> {
    this.peers[number] = await this.#daemons.start(number, {
      CLUSTER_IPFSHTTP_NODEMULTIADDRESS: this.kubos[number]?.api ?? '',
      CLUSTER_REPLICATIONFACTORMIN: '2',
      CLUSTER_REPLICATIONFACTORMAX: '2'
    })
    await says(this.peer(number), 'ready')
  }

  async kill(number: number): Promise<void> {
    const { child } = this.peer(number)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async reaches(number: number, voters: number): Promise<void> {
    const { client } = this.peer(number)
    await until(`peer ${number} reaches ${voters}`, async () => (await client.overview()).votersReached === voters, 30_000)
  }

  async idOf(number: number): Promise<PeerId> {
    return (await this.peer(number).client.id()).id
  }

  /** Every pin as `number` has it; the version tells of each entry that named the pin. */
  async placements(number: number): Promise<readonly string[]> {
    const found: string[] = []
    for await (const { cid, version, allocations } of this.peer(number).client.allocations())
      found.push(`${cid} ${version} ${allocations.join(' ')}`)
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemons[Symbol.asyncDispose]()
    for (const kubo of this.kubos) await kubo[Symbol.asyncDispose]()
  }
}

test('no pin moves by itself while a peer is killed, frozen and back, again and again', async () => {
  await using world = await World.open()
  const before = await world.placements(0)
  assert.equal(before.length, pins)
  for (let time = 0; time < 2; time++) {
    await world.kill(2)
    await world.reaches(0, 2)
    await world.start(2)
    await world.reaches(0, 3)
    world.peer(2).child.kill('SIGSTOP')
    await world.reaches(0, 2)
    world.peer(2).child.kill('SIGCONT')
    await world.reaches(0, 3)
  }
  // Behind whatever was decided meanwhile.
  await world.peer(0).client.pin(inline('afterwards'))
  for (const number of [0, 1, 2]) {
    await until('it has that', async () => (await world.placements(number)).length === pins + 1)
    assert.deepEqual(
      (await world.placements(number)).filter(line => before.includes(line)),
      before
    )
  }
})

test('a peer that reaches nobody moves no pin, also where it is told to; the same call moves them once it has a majority', async () => {
  await using world = await World.open()
  const before = await world.placements(0)
  const third = await world.idOf(2)
  await world.kill(1)
  await world.kill(2)
  const { client } = world.peer(0)
  await until('it leads no longer', async () => (await client.overview()).leader === null)
  await assert.rejects(client.removePeer(third), error => isFault(error, 'refused'))
  await assert.rejects(client.removePeer(third, { force: true }), error => isFault(error, 'no_leader'))
  assert.deepEqual(await world.placements(0), before)
  await world.start(1)
  await world.reaches(0, 2)
  for (const number of [0, 1]) assert.deepEqual(await world.placements(number), before)
  await client.removePeer(third)
  assert.ok((await world.placements(0)).every(line => !line.includes(third)))
  await until('all copies are there', () => world.kubos[0]?.pins.size === pins && world.kubos[1]?.pins.size === pins, 30_000)
})
