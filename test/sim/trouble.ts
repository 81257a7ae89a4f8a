/** What goes wrong in the safety phase, one thing after the other, each for a while, with quiet times between. */
import { toMember } from '../../cluster/consensus/members.ts'
import type { Configuration } from '../../cluster/raft/types.ts'
import type { PeerId } from '../../src/types.ts'
import { newcomer } from '../support/newcomer.ts'
import type { SimPeer } from './peer.ts'
import { type Trouble, tickMs } from './plan.ts'
import type { World } from './world.ts'

export function makeTrouble(trouble: Trouble, world: World): void {
  const { peers, network, random } = world
  const peer = chosen(world)
  switch (trouble) {
    case 'partition': {
      const side = new Set([...peers.keys()].filter(() => random.chance(0.5)))
      network.shape(random.chance(0.3) ? () => false : (from, to) => side.has(from) !== side.has(to))
      break
    }
    case 'isolate':
      network.shape((from, to) => from === peer.id || to === peer.id)
      break
    case 'usurp':
      usurp(world)
      break
    case 'one_way': {
      const isDeaf = random.chance(0.5)
      network.shape((from, to) => (isDeaf ? to : from) === peer.id && random.chance(0.7))
      break
    }
    case 'bridge':
      // Everybody reaches one peer, and only that one (Howard and Abraham, 2020).
      network.shape((from, to) => from !== peer.id && to !== peer.id)
      break
    case 'flap':
      flap(world, peer.id, random.between(4, 20))
      break
    case 'crash':
      outage(world, peer)
      break
    case 'crash_all':
      for (const each of peers.values()) outage(world, each)
      break
    case 'pause':
      peer.pause()
      later(world, random.between(100, 4_000), () => peer.resume())
      break
    case 'slow_disk':
      peer.disk.delayMax = 1_000
      later(world, random.between(500, 4_000), () => {
        peer.disk.delayMax = world.plan.diskDelayMax
      })
      break
    case 'broken_disk':
      if (peer.isUp) peer.disk.isBroken = true
      break
    case 'elect_now':
      peer.poke(core => core.campaign())
      break
    case 'transfer':
      leaderOf(peers)?.poke(core => world.count(core.transfer(random.any([...peers.keys()]) ?? peer.id) ?? 'handing over'))
      break
    case 'stop':
      peer.stop({ forMs: random.pick([1, 200, 2_000]) })
      break
    case 'forget_leader':
      peer.poke(core => core.forgetLeader())
      break
    case 'unreachable':
      peer.poke(core => core.unreachable(random.any([...peers.keys()]) ?? peer.id))
      break
    case 'change_members':
      changeMembers(world)
      break
    case 'remove':
      world.clients.remove(peer)
      break
    case 'renew':
      world.clients.renew(peer)
      break
  }
}

/** A leader goes on alone, taking writes that nobody else has, while the others find another one; then it is let in again, or they are cut off. */
function usurp(world: World): void {
  const { peers, network, random, clients } = world
  const leader = leaderOf(peers)
  if (leader === undefined) return
  const alone = new Set([leader.id])
  const friend = random.any([...peers.keys()])
  if (friend !== undefined && random.chance(0.3)) alone.add(friend)
  network.shape((from, to) => alone.has(from) !== alone.has(to))
  for (let times = random.between(1, 5); times > 0; times--) later(world, random.between(1, 900), () => clients.write(leader))
  for (let times = random.below(4); times > 0; times--) later(world, random.between(1, 1_500), () => clients.read(leader))
  later(world, random.between(1_000, 4_000), () => {
    const next = leaderOf(peers)
    network.shape((from, to) => next !== undefined && random.chance(0.5) && (from === next.id || to === next.id))
  })
}

/** The leader, as often as anybody else: it is where most can go wrong. */
function chosen({ peers, random }: World): SimPeer {
  const leader = leaderOf(peers)
  const peer = leader !== undefined && random.chance(0.5) ? leader : random.any([...peers.values()])
  if (peer === undefined) throw new Error('a world has peers')
  return peer
}

/** A leader of the highest term that is up. */
export function leaderOf(peers: ReadonlyMap<PeerId, SimPeer>): SimPeer | undefined {
  let found: SimPeer | undefined
  for (const peer of peers.values()) {
    if (!peer.hasCore || peer.core.role !== 'leader') continue
    if (found === undefined || peer.core.term > found.core.term) found = peer
  }
  return found
}

function outage(world: World, peer: SimPeer): void {
  if (!peer.isUp) return
  peer.crash()
  later(world, world.random.pick([1, 200, 2_000, 6_000]), () => peer.start())
}

function flap(world: World, id: PeerId, times: number): void {
  const isCut = times % 2 === 1
  world.network.shape((from, to) => isCut && (from === id || to === id))
  if (times > 0) later(world, world.random.between(1, 10) * tickMs, () => flap(world, id, times - 1))
}

function later(world: World, delay: number, work: () => void): void {
  world.after(delay, () => {
    if (!world.isCalm) work()
  })
}

/** One vote more or less, at the core of a leader, which refuses what must not be. Several leaders may try at once. */
function changeMembers(world: World): void {
  const { peers, random } = world
  const leaders = [...peers.values()].filter(peer => peer.hasCore && !peer.isPaused && peer.core.role === 'leader')
  const leader = random.any(leaders)
  if (leader === undefined) return
  const next = changed(leader, world)
  if (next === undefined) return
  const outcome = leader.core.proposeConfiguration({ members: next })
  world.count('refused' in outcome ? outcome.refused : 'members changed')
}

function changed(leader: SimPeer, world: World): Configuration['members'] | undefined {
  const { peers, random } = world
  const { configuration, followers } = leader.core.status()
  const { members } = configuration
  // Whoever has a log keeps its promises: one that has none may not be given a vote.
  const hasLog = (id: string) => (peers.get(id as PeerId)?.disk.durable.lastIndex ?? 0) > 0
  const learner = random.any(
    members.filter(({ id, isVoter }) => !isVoter && followers.some(({ id: other, match }) => other === id && match > 0))
  )
  const outsider = random.any([...peers.keys()].filter(id => hasLog(id) && !members.some(member => member.id === id)))
  const member = random.any(members)
  const choices: ('add' | 'promote' | 'remove' | 'demote')[] = ['remove', 'demote']
  if (outsider !== undefined) choices.push('add', 'add', 'add')
  if (learner !== undefined) choices.push('promote', 'promote')
  switch (random.any(choices)) {
    case 'add':
      // A voter at once: the core allows it, though the cluster above begins with learners.
      return outsider && [...members, { id: outsider, isVoter: random.chance(0.4), context: contextOf(outsider, world) }]
    case 'promote':
      return learner && members.map(each => (each === learner ? { ...each, isVoter: true } : each))
    case 'remove':
      return members.filter(each => each !== member)
    case 'demote':
      return members.map(each => (each === member ? { ...each, isVoter: false } : each))
    case undefined:
      return undefined
  }
}

function contextOf(id: PeerId, { peers }: World): Uint8Array {
  return toMember(newcomer(Number(peers.get(id)?.name.slice(1))), false).context
}
