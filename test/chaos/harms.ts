/** What can be done to peers of a cluster, and how it is undone. */
import { setTimeout as sleep } from 'node:timers/promises'
import { deadline } from '../../src/lifetime.ts'
import { until } from '../support/until.ts'
import type { Disk } from './disks.ts'
import type { ChaosPeer } from './peer.ts'
import type { World } from './world.ts'

export interface Harm {
  /** For people: to whom it is done. */
  readonly what: string
  /** Peers whose clients must be able to go on writing meanwhile. */
  readonly goOn: readonly ChaosPeer[]
  /** Peers that reach nobody: their clients must be told so. */
  readonly alone: readonly ChaosPeer[]
  /** Where something had to be prepared, when it really began. */
  readonly beganMs?: number
  /** Afterwards all peers run and reach each other. @throws Error where the cluster does not do its part */
  heal(): Promise<void>
}

/** As long as an operator waits for one answer. */
const removeMs = 10_000
/** From the start of a newcomer to its vote, where others may be starting as well. */
const voteMs = 20_000
/** From its return to the first chunk of the state. */
const transferMs = 20_000

type IsCut = (from: number, to: number) => boolean

/** Of which nobody is promised anything, but for those that are named. */
export function harm(what: string, heal: () => Promise<void>, { goOn = [], alone = [] }: Partial<Pick<Harm, 'goOn' | 'alone'>> = {}): Harm {
  return { what, goOn, alone, heal }
}

export async function killed(world: World, victims: readonly ChaosPeer[]): Promise<Harm> {
  const goOn = othersThan(victims, world)
  await Promise.all(victims.map(peer => peer.kill()))
  return harm(names(victims), () => started(victims), { goOn })
}

export async function stopped(world: World, victim: ChaosPeer): Promise<Harm> {
  const goOn = othersThan([victim], world)
  await victim.stop()
  return harm(victim.name, () => started([victim]), { goOn })
}

/** From all others. */
export async function cutOff(world: World, victims: readonly ChaosPeer[]): Promise<Harm> {
  return cut(world, names(victims), between(victims), { goOn: othersThan(victims, world), alone: victims.length === 1 ? victims : [] })
}

export async function cut(world: World, what: string, isCut: IsCut, promises: Parameters<typeof harm>[2] = {}): Promise<Harm> {
  await world.wires.cutWhere(isCut)
  return harm(what, () => world.wires.heal(), promises)
}

export async function frozen(world: World, victims: readonly ChaosPeer[]): Promise<Harm> {
  const goOn = othersThan(victims, world)
  for (const peer of victims) peer.freeze()
  const thaw = async () => {
    for (const peer of victims) peer.thaw()
  }
  return harm(names(victims), thaw, { goOn })
}

/** Links come and go, each direction by itself. */
export async function flapping(world: World): Promise<Harm> {
  const { random, wires } = world
  const stop = new AbortController()
  const flap = async () => {
    while (!stop.signal.aborted) {
      const ends = new Set(world.peers.filter(() => random.chance(0.4)).map(({ number }) => number))
      const isDeaf = random.chance(0.5)
      await wires.heal(() => random.chance(0.7))
      await wires.cutWhere((from, to) => ends.has(isDeaf ? to : from) && random.chance(0.8))
      await sleep(random.pick([50, 200, 500, 900, 1_800]), undefined, { signal: stop.signal }).catch(() => {})
    }
  }
  const flapped = flap()
  return harm('all links', async () => {
    stop.abort()
    await flapped
    await wires.heal()
  })
}

/** A follower that lags, and the two that know more killed in the moment that it is back. */
export async function heirs(world: World): Promise<Harm> {
  const leader = await world.leader()
  const [heir, other] = othersThan([leader], world) as [ChaosPeer, ChaosPeer]
  await world.wires.cutWhere(between([heir]))
  const heal = async () => {
    await Promise.all([leader.kill(), other.kill()])
    await world.wires.heal()
    other.start()
    // The heir has all the time it needs to be elected, if anybody votes for it.
    await sleep(world.random.between(1_500, 3_000))
    leader.start()
  }
  return harm(`${heir.name} behind ${leader.name}`, heal, { goOn: [leader, other], alone: [heir] })
}

/** A newcomer is killed while it joins; where all have joined, members are killed. */
export async function joining(world: World): Promise<Harm> {
  const members = world.running
  const newcomer = world.peers.find(({ isRunning }) => !isRunning)
  if (newcomer === undefined) return killed(world, some(world, world.random.between(1, 2)))
  newcomer.joinThrough(members)
  newcomer.start()
  await sleep(world.random.between(300, 3_000))
  await newcomer.kill()
  const heal = async () => {
    newcomer.start()
    world.employ(newcomer)
  }
  return harm(newcomer.name, heal, { goOn: members })
}

/**
 * A member is taken out: it leaves, or another one removes it, which may be a dead one or one that knows nothing of it yet. At times the leader is
 * killed in the middle. Then it comes back as a new member.
 */
export async function churned(world: World): Promise<Harm> {
  const { random } = world
  const leader = await world.leader()
  const victim = random.chance(0.4) ? leader : (random.any(othersThan([leader], world)) ?? leader)
  const rest = othersThan([victim], world)
  const voters = rest.length + 1
  const how = random.pick(['leaves', 'is removed', 'is removed dead', 'is removed cut off'] as const)
  const remove = async () => {
    for (const end = performance.now() + 3 * removeMs; performance.now() < end; await sleep(100)) {
      const peer = random.any(othersThan([victim], world))
      if (peer !== undefined && (await world.client(peer).remove(victim.id, deadline(removeMs)))) return true
    }
    return false
  }
  if (how === 'is removed dead') await victim.kill()
  if (how === 'is removed cut off') await world.wires.cutWhere(between([victim]))
  const going = how === 'leaves' ? victim.leave(() => world.client(victim).remove('self', deadline(removeMs))) : remove()
  const isInterrupted = victim !== leader && random.chance(0.3)
  if (isInterrupted) {
    await sleep(random.between(0, 20))
    await leader.kill()
    leader.start()
  }
  const heal = async () => {
    await going
    // The answer may be lost, and who left in vain is still a member.
    if (!(await remove())) throw new Error(`nobody removes ${victim.name}`)
    await victim.kill()
    await world.wires.heal()
    await victim.moveDataAside()
    victim.joinThrough(rest)
    victim.start()
    // The newcomer itself goes through all members there have ever been.
    const [witness] = rest as [ChaosPeer]
    const known = () => world.client(witness).voters(deadline(1_000))
    await until(`${victim.name} has a vote`, async () => (await known().catch(() => 0)) === voters, voteMs)
  }
  return harm(`${victim.name} ${how}${isInterrupted ? `, ${leader.name} is killed` : ''}`, heal, { goOn: isInterrupted ? [] : rest })
}

/**
 * A follower is away until it needs the state. While that comes in, the follower or the leader, who sends it, is killed or frozen, or they do not reach
 * each other. Without its leader the third one needs the follower, and with it the whole of the state: nobody must go on before.
 */
export async function transferInterrupted(world: World): Promise<Harm> {
  const { random, wires } = world
  const leader = await world.leader()
  const receiver = random.any(othersThan([leader], world)) ?? leader
  const isDead = random.chance(0.3)
  if (isDead) await receiver.kill()
  else await wires.cutWhere(between([receiver]))
  await sleep(random.between(2_000, 3_500))
  const from = receiver.logBytes
  if (isDead) receiver.start()
  else await wires.heal()
  await until(`the state comes in at ${receiver.name}`, () => receiver.logged('state is coming in', from), transferMs)
  await sleep(random.between(0, 1_000))
  const sender = await world.leader()
  const others = othersThan([receiver], world)
  const what = `${receiver.name} gets the state${receiver.logged('state installed', from) ? ', and has it' : ''}`
  const beganMs = performance.now()
  const { heal, ...of } = await random.pick([
    () => killed(world, [receiver]),
    () => killed(world, [sender]),
    () => frozen(world, [receiver]),
    () => frozen(world, [sender]),
    () => cut(world, `${receiver.name} from all`, between([receiver])),
    () => cut(world, `${receiver.name} from ${sender.name}`, pair(receiver, sender))
  ])()
  const isWithoutSender = of.what === names([sender])
  return { ...harm(`${what}; ${of.what} is struck`, heal, { goOn: isWithoutSender ? [] : others }), beganMs }
}

export function pair(one: ChaosPeer, other: ChaosPeer): IsCut {
  const ends = [one.number, other.number]
  return (from, to) => ends.includes(from) && ends.includes(to)
}

/** Something is done to the disk of one peer, the leader half of the time. */
export async function diskHarm(
  world: World,
  strike: (disk: Disk) => Promise<void>,
  heal: (disk: Disk, victim: ChaosPeer) => Promise<void>
): Promise<Harm> {
  const leader = await world.leader()
  const victim = world.random.chance(0.5) ? leader : (world.random.any(othersThan([leader], world)) ?? leader)
  const disk = world.disks[victim.number] as Disk
  await strike(disk)
  const what = `${victim.name}, which ${victim === leader ? 'leads' : 'follows'}`
  return harm(what, () => heal(disk, victim), { goOn: othersThan([victim], world) })
}

export async function clocksJump(world: World): Promise<Harm> {
  const { random } = world
  const victims = some(world, random.between(1, 3))
  for (const peer of victims) {
    const distanceMs = random.pick([5_000, 60_000, 3_600_000, 86_400_000, 31_536_000_000])
    await peer.shiftClock(random.chance(0.5) ? distanceMs : -distanceMs)
  }
  // They stay wrong: nobody depends on them.
  return harm(names(victims), async () => {}, { goOn: world.running })
}

/** Those that run, and are not among `victims`. */
export function othersThan(victims: readonly ChaosPeer[], { running }: World): readonly ChaosPeer[] {
  return running.filter(peer => !victims.includes(peer))
}

export function between(side: readonly ChaosPeer[]): IsCut {
  const inside = new Set(side.map(({ number }) => number))
  return (from, to) => inside.has(from) !== inside.has(to)
}

/** Not more than there are. */
export function some({ running, random }: World, count: number): readonly ChaosPeer[] {
  const left = [...running]
  const chosen: ChaosPeer[] = []
  while (chosen.length < count && left.length > 0) chosen.push(...left.splice(random.below(left.length), 1))
  return chosen
}

export function names(peers: readonly ChaosPeer[]): string {
  return peers.map(({ name }) => name).join(', ')
}

async function started(peers: readonly ChaosPeer[]): Promise<void> {
  for (const peer of peers) peer.start()
}
