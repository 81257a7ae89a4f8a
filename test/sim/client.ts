/** Clients of all peers: what they were told must be true, and they must be told something. */
import { parseMultiaddr } from '../../src/codec.ts'
import { isFault } from '../../src/errors.ts'
import { operation } from './machine.ts'
import type { SimPeer } from './peer.ts'
import type { Random } from './random.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

/** Faults that say: it is in no log. */
const never = ['no_leader', 'overloaded', 'not_ready'] as const

interface Question {
  readonly peer: SimPeer
  readonly life: number
  readonly what: string
}

export class Clients {
  readonly #world: World
  readonly #random: Random
  #serial = 0
  readonly #open = new Set<Question>()
  readonly #acknowledged: number[] = []
  readonly #denied: { readonly name: string; readonly serial: number }[] = []

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.length
  }

  /** One write through `peer`; `done` is called if it is acknowledged. */
  write(peer: SimPeer, done: () => void = () => {}): void {
    const { history } = this.#world
    const serial = ++this.#serial
    const size = serial % 20 === 0 ? 300 : 4
    this.#ask(peer, `write ${serial}`, async consensus => {
      try {
        const { index, result } = await consensus.propose(operation(serial, size))
        this.#world.note(`${peer.name} wrote ${serial} at ${index}`)
        history.answered(peer.name, serial, index, result)
        this.#acknowledged.push(serial)
        done()
      } catch (error) {
        if (error instanceof Violation) throw error
        this.#world.count(isFault(error, 'outcome_unknown') ? 'outcome_unknown' : 'refused write')
        if (isFault(error, 'outcome_unknown') || isFault(error, 'storage_failed')) return
        if (!never.some(code => isFault(error, code))) throw new Violation('the peer failed', `${peer.name}: ${error}`, { cause: error })
        history.requireAbsent(peer.name, serial)
        this.#denied.push({ name: peer.name, serial })
      }
    })
  }

  /** A linearizable read: behind it, the peer has everything that was committed anywhere before it. */
  read(peer: SimPeer, done: () => void = () => {}): void {
    const { invariants } = this.#world
    const committed = invariants.committed
    this.#ask(peer, 'read', async consensus => {
      try {
        await consensus.readBarrier()
      } catch (error) {
        if (error instanceof Violation) throw error
        this.#world.count('refused read')
        return
      }
      const { applied } = consensus.status()
      if (applied < committed)
        throw new Violation('I20 read safety', `${peer.name} reads at ${applied}, ${committed} were committed when it was asked`)
      done()
    })
  }

  /** Tells the others another address of `peer`, through any peer. */
  renew({ id, name }: SimPeer): void {
    const through = this.#random.any(this.#world.running())
    const address = parseMultiaddr(`/ip4/127.0.0.1/tcp/${this.#random.between(2_000, 9_000)}/p2p/${id}`)
    const isMember = through?.consensus?.status().members.some(member => member.id === id)
    if (!isMember) return
    through?.consensus?.addMember({ id, name, addresses: [address] }).then(
      () => this.#world.count('renewed'),
      () => this.#world.count('not renewed')
    )
  }

  /** Takes a peer out of the cluster, through any peer. */
  remove({ id }: SimPeer): void {
    const through = this.#random.any(this.#world.running())
    const isAlone = (through?.consensus?.status().members.length ?? 0) < 3
    if (through === undefined || isAlone) return
    this.#ask(through, 'remove', async consensus => {
      try {
        await consensus.removeMember(id)
        this.#world.count('removed')
      } catch (error) {
        if (error instanceof Violation) throw error
        this.#world.count('not removed')
      }
    })
  }

  /** The members may still change. */
  get isRemoving(): boolean {
    return [...this.#open].some(({ peer, life, what }) => what === 'remove' && peer.isUp && peer.life === life)
  }

  /** Now and then something, at any peer that runs. */
  ask(): void {
    const peer = this.#random.any(this.#world.running())
    if (peer === undefined) return
    if (this.#random.chance(0.25)) return this.read(peer)
    for (let times = this.#random.pick([1, 1, 1, 4]); times > 0; times--) this.write(peer)
  }

  /** Nothing is open that was asked of a process that still runs. @throws Violation */
  requireAnswered(): void {
    for (const { peer, life, what } of this.#open) {
      if (peer.isUp && peer.life === life) throw new Violation('I25 every question ends', `${peer.name} never answers: ${what}`)
    }
  }

  /** At the end. @throws Violation */
  requireTruth(): void {
    const { history } = this.#world
    for (const { name, serial } of this.#denied) history.requireAbsent(name, serial)
    for (const serial of this.#acknowledged) {
      if (!history.has(serial)) throw new Violation('acknowledged is never lost', `${serial}`)
    }
  }

  #ask(peer: SimPeer, what: string, work: (consensus: NonNullable<SimPeer['consensus']>) => Promise<void>): void {
    const { consensus, life } = peer
    if (consensus === undefined) return
    const question = { peer, life, what }
    this.#open.add(question)
    work(consensus).then(
      () => this.#open.delete(question),
      error => this.#world.fail(error)
    )
  }
}
