/** A state comes to a peer whose log begins too long ago: real daemons and stores. A Kubo only where the pins are to get there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inline } from '../support/cids.ts'
import { type Daemon, Daemons, says } from '../support/daemons.ts'
import { FakeKubo } from '../support/fake-kubo.ts'
import { until } from '../support/until.ts'

const pinsMin = 20_500
const clients = 64
const shortLog = { CLUSTER_RAFT_TRAILINGLOGS: '500' }

async function count({ client }: Daemon): Promise<number> {
  let pins = 0
  for await (const _ of client.allocations()) pins++
  return pins
}

test('a fourth peer is killed while the state of 20,000 pins comes in, goes on where it was, and serves all of them; writes go on', async () => {
  await using daemons = await Daemons.open({ peers: 4 })
  const first = await daemons.start(0, shortLog)
  await says(first, 'ready')
  const second = await daemons.start(1, shortLog)
  const third = await daemons.start(2, shortLog)
  for (const daemon of [second, third]) await says(daemon, 'ready')
  let pins = 0
  const pinUntil = (isEnough: () => boolean) =>
    Promise.all(
      Array.from({ length: clients }, async () => {
        while (!isEnough()) await first.client.pin(inline(`snapshot ${pins++}`))
      })
    )
  await pinUntil(() => pins >= pinsMin)

  let isOver = false
  const writing = pinUntil(() => isOver)
  const killed = await daemons.start(3, shortLog)
  await says(killed, 'state is coming in')
  killed.child.kill('SIGKILL')
  const before = pins
  const fourth = await daemons.start(3, shortLog)
  await says(fourth, 'part of a state is here')
  await says(fourth, 'state installed')
  await says(fourth, 'ready')
  await until(
    'it is ready to answer',
    () =>
      count(fourth)
        .then(found => found > 0)
        .catch(() => false),
    60_000
  )
  isOver = true
  await writing
  assert.ok(pins > before, 'writes went on')
  await until('it has every pin', async () => (await count(fourth)) === pins, 60_000)
  assert.equal(await count(first), pins)
})

test('pins that arrive inside a state go to the Kubo of that peer at once, as none of them comes to its tracker one by one', async () => {
  await using kubo = await FakeKubo.start()
  await using daemons = await Daemons.open({ peers: 3 })
  const first = await daemons.start(0, shortLog)
  await says(first, 'ready')
  const second = await daemons.start(1, shortLog)
  const third = await daemons.start(2, { ...shortLog, CLUSTER_IPFSHTTP_NODEMULTIADDRESS: kubo.api })
  for (const daemon of [second, third]) await says(daemon, 'ready')
  await first.client.pin(inline('before'))
  await until('its Kubo has a pin', () => kubo.pins.size === 1)
  const reaches = (voters: number) => async () => (await first.client.overview()).votersReached === voters
  await until('it has its vote', reaches(3))
  third.child.kill('SIGSTOP')
  // Before that its socket would take what it hears when it thaws.
  await until('it is given up', reaches(2), 30_000)
  const names = Array.from({ length: 1_500 }, (_, place) => `inside ${place}`)
  for (let from = 0; from < names.length; from += clients) {
    await Promise.all(names.slice(from, from + clients).map(name => first.client.pin(inline(name))))
  }
  third.child.kill('SIGCONT')
  await says(third, 'state installed')
  await until('its Kubo has them all', () => kubo.pins.size === 1 + names.length, 30_000)
})
