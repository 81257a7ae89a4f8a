/** The kinds of harm by name, to which cluster, for how long, and what is promised meanwhile and afterwards. */
import type { Disk, DiskKind } from './disks.ts'
import * as harms from './harms.ts'
import type { ChaosPeer } from './peer.ts'
import type { World } from './world.ts'

export interface Nemesis {
  readonly about: string
  readonly founders: number
  /** Peers that join later. */
  readonly spare?: number
  readonly disk?: DiskKind
  /** Entries that a log keeps; who lacks more of them needs the state. Default: those of a new peer. */
  readonly trailingLogs?: number
  /** Pins that are there before the first strike, large ones. */
  readonly stock?: number
  /** Processes may end by themselves. */
  readonly mayDie?: boolean
  /** How long the harm lasts, in milliseconds. */
  readonly holdMs: readonly [low: number, high: number]
  /** From the end of the harm to the first acknowledged write of every peer; where processes are started, with their start. */
  readonly healedMs: number
  /** From its begin to that of every peer that must go on. */
  readonly goOnMs: number
  strike(world: World): Promise<harms.Harm>
}

/** Links and processes that stood still: everybody writes within two seconds, and those that are left elect a leader after 1.5 s of silence. */
const still = { founders: 3, holdMs: [2_500, 6_000], healedMs: 2_000, goOnMs: 5_000 } as const
/** Processes that are started again take a second for themselves, more where several start at once. */
const restarted = { founders: 3, holdMs: [1_000, 4_000], healedMs: 10_000, goOnMs: 3_000 } as const
const broken = { ...restarted, mayDie: true, goOnMs: still.goOnMs } as const

export const nemeses: Readonly<Record<string, Nemesis>> = {
  none: {
    ...still,
    about: 'nothing is done: what is found then is a mistake of the harness, or a very plain one of the product',
    holdMs: [500, 500],
    strike: async ({ running }) => harms.harm('nothing', async () => {}, { goOn: running })
  },
  'kill-leader': {
    ...restarted,
    about: 'kill -9 of the leader; it is started again later',
    strike: async world => harms.killed(world, [await world.leader()])
  },
  'kill-some': {
    ...restarted,
    about: 'kill -9 of one or two of five',
    founders: 5,
    strike: world => harms.killed(world, harms.some(world, world.random.between(1, 2)))
  },
  'kill-all': {
    ...restarted,
    about: 'kill -9 of all at once, in the middle of their writes',
    holdMs: [0, 500],
    strike: world => harms.killed(world, world.running)
  },
  'stop-leader': {
    ...restarted,
    about: 'SIGTERM to the leader; it is started again later',
    goOnMs: 2_000,
    strike: async world => harms.stopped(world, await world.leader())
  },
  'lagging-heir': {
    ...restarted,
    about: 'a follower is cut off for a while; in the moment that it is back, the two that know more are killed',
    holdMs: [1_000, 2_500],
    strike: harms.heirs
  },
  'cut-leader': {
    ...still,
    about: 'the leader is cut off from all others',
    strike: async world => harms.cutOff(world, [await world.leader()])
  },
  'cut-some': {
    ...still,
    about: 'one or two of five are cut off from the others',
    founders: 5,
    strike: world => harms.cutOff(world, harms.some(world, world.random.between(1, 2)))
  },
  'cut-halves': {
    ...still,
    about: 'four peers are cut into two and two: nobody may go on',
    founders: 4,
    async strike(world) {
      const half = harms.some(world, 2)
      return harms.cut(world, harms.names(half), harms.between(half))
    }
  },
  'cut-all': {
    ...still,
    about: 'no peer reaches any other',
    strike: world => harms.cut(world, 'every link', () => true, { alone: world.running })
  },
  'one-way': {
    ...still,
    about: 'the leader is heard and hears nobody, or the other way round',
    async strike(world) {
      const leader = await world.leader()
      const isDeaf = world.random.chance(0.5)
      return harms.cut(
        world,
        `${leader.name} ${isDeaf ? 'hears nobody' : 'is not heard'}`,
        (from, to) => (isDeaf ? to : from) === leader.number,
        { goOn: harms.othersThan([leader], world), alone: [leader] }
      )
    }
  },
  'half-cut': {
    ...still,
    about: 'one follower and the leader do not reach each other; both reach everybody else',
    async strike(world) {
      const leader = await world.leader()
      const [follower, other] = harms.othersThan([leader], world) as [ChaosPeer, ChaosPeer]
      return harms.cut(world, `${leader.name} and ${follower.name}`, harms.pair(leader, follower), { goOn: [leader, other] })
    }
  },
  bridge: {
    ...still,
    about: 'five peers of which all reach one, and only that one (Howard and Abraham, 2020)',
    founders: 5,
    async strike(world) {
      const [hub] = harms.some(world, 1) as [ChaosPeer]
      return harms.cut(world, `all but ${hub.name}`, (from, to) => from !== hub.number && to !== hub.number)
    }
  },
  flapping: {
    ...still,
    about: 'links between all peers come and go, each direction by itself',
    strike: harms.flapping
  },
  'freeze-leader': {
    ...still,
    about: 'the leader is stopped by SIGSTOP, and goes on where it was, believing that it leads',
    holdMs: [300, 6_000],
    strike: async world => harms.frozen(world, [await world.leader()])
  },
  'freeze-all': {
    ...still,
    about: 'all are stopped by SIGSTOP, as with the machine that they run on',
    strike: world => harms.frozen(world, world.running)
  },
  'full-disk': {
    ...restarted,
    about: 'the disk of one peer is full: it steps aside, and comes back by itself once there is room',
    goOnMs: still.goOnMs,
    disk: 'small',
    strike: world => harms.diskHarm(world, fill, disk => disk.free())
  },
  'failing-disk': {
    ...broken,
    about: 'the disk of one peer fails to write, and becomes read-only; the peer is started again on what reached it',
    disk: 'failing',
    strike: world => harms.diskHarm(world, fill, repair)
  },
  'stalled-disk': {
    ...still,
    about: 'writes to the disk of one peer neither fail nor end',
    disk: 'failing',
    strike: world =>
      harms.diskHarm(
        world,
        disk => disk.stall(),
        disk => disk.resume()
      )
  },
  clock: {
    ...still,
    about: 'the wall clocks of some peers jump by seconds to years, forward and back',
    holdMs: [500, 1_500],
    goOnMs: 2_000,
    strike: harms.clocksJump
  },
  join: {
    ...restarted,
    about: 'peers join and are killed while they do; members are killed as well',
    spare: 2,
    holdMs: [0, 1_500],
    strike: harms.joining
  },
  transfer: {
    ...restarted,
    about: 'a peer that is too far behind for the log is killed, frozen or cut off while the state comes in, or whoever sends it is',
    goOnMs: still.goOnMs,
    holdMs: [200, 2_500],
    trailingLogs: 50,
    stock: 5_000,
    strike: harms.transferInterrupted
  },
  churn: {
    ...restarted,
    about: 'members leave or are removed, also dead or cut off, also while the leader is killed, and join again with empty disks',
    founders: 4,
    goOnMs: still.goOnMs,
    strike: harms.churned
  }
}

const fill = (disk: Disk) => disk.fill()

async function repair(disk: Disk, victim: ChaosPeer): Promise<void> {
  await victim.kill()
  await disk.free()
  await disk.replace()
  victim.start()
}
