/**
 * The links between the peers. Messages are dropped, doubled, delayed and overtaken; links are cut, each direction for itself. Whatever arrives
 * was sent, unchanged. A peer notices late that a connection is gone, and later than its process that it is back.
 */
import type { PeerId } from '../../src/types.ts'
import type { Random } from './random.ts'

export interface Weather {
  readonly dropChance: number
  readonly duplicateChance: number
  readonly delayMax: number
  /** Share of messages that take `spikeMax` at most instead of `delayMax`. */
  readonly spikeChance: number
  readonly spikeMax: number
  /** A link delivers in the order of sending, as a stream does. */
  readonly isOrdered: boolean
}

export const fairWeather: Weather = { dropChance: 0, duplicateChance: 0, delayMax: 5, spikeChance: 0, spikeMax: 0, isOrdered: true }

/** What the network does to a peer. */
export interface Endpoint {
  readonly id: PeerId
  readonly isUp: boolean
  /** The connection to `peer` came up or is noticed to be lost. */
  connection(peer: PeerId, isUp: boolean): void
}

/** After a crash the other side is told by its system; after a cut it has to find out. */
const resetMax = 20
const silenceMax = 1_500
const dialMax = 300

export class Network {
  weather: Weather
  readonly #random: Random
  readonly #after: (delay: number, work: () => void) => void
  readonly #peers = new Map<PeerId, Endpoint>()
  readonly #cut = new Set<string>()
  /** Connections as each side sees them. */
  readonly #seen = new Set<string>()
  /** By link: when the last message sent so far arrives. */
  readonly #lastArrival = new Map<string, number>()

  constructor(weather: Weather, random: Random, after: (delay: number, work: () => void) => void) {
    this.weather = weather
    this.#random = random
    this.#after = after
  }

  add(peer: Endpoint): void {
    this.#peers.set(peer.id, peer)
  }

  /** Cuts every link for which `isCut` says so, and heals the others. */
  shape(isCut: (from: PeerId, to: PeerId) => boolean): void {
    this.#cut.clear()
    const ids = [...this.#peers.keys()]
    for (const from of ids) for (const to of ids) if (from !== to && isCut(from, to)) this.#cut.add(`${from}>${to}`)
    for (const [position, one] of ids.entries()) for (const other of ids.slice(position + 1)) this.#look(one, other, silenceMax)
  }

  /** The process of `id` began or ended. */
  changed(id: PeerId): void {
    for (const other of this.#peers.keys()) {
      if (other === id) continue
      // A process that ended sees nothing any more.
      if (!this.#isUp(id)) this.#seen.delete(`${id}>${other}`)
      this.#look(other, id, this.#isUp(id) ? dialMax : resetMax)
    }
  }

  isConnected(from: PeerId, to: PeerId): boolean {
    return this.#seen.has(`${from}>${to}`)
  }

  /** Bytes could get from one to the other now, and back. */
  reaches(one: PeerId, other: PeerId): boolean {
    return this.#isUp(one) && this.#isUp(other) && !this.isCut(one, other) && !this.isCut(other, one)
  }

  isCut(from: PeerId, to: PeerId): boolean {
    return this.#cut.has(`${from}>${to}`)
  }

  /** How long each copy of a message travels; none where it is lost. */
  delays(from: PeerId, to: PeerId, now: number): readonly number[] {
    const { dropChance, duplicateChance } = this.weather
    if (this.isCut(from, to) || this.#random.chance(dropChance)) return []
    const first = this.delay(from, to, now)
    return this.#random.chance(duplicateChance) ? [first, this.delay(from, to, now)] : [first]
  }

  delay(from: PeerId, to: PeerId, now: number): number {
    const { delayMax, spikeChance, spikeMax, isOrdered } = this.weather
    const delay = 1 + this.#random.below(this.#random.chance(spikeChance) ? spikeMax : delayMax)
    if (!isOrdered) return delay
    const link = `${from}>${to}`
    const arrival = Math.max(now + delay, this.#lastArrival.get(link) ?? 0)
    this.#lastArrival.set(link, arrival)
    return arrival - now
  }

  #isUp(id: PeerId): boolean {
    return this.#peers.get(id)?.isUp ?? false
  }

  /** Both sides will notice how things are between them, each in its own time. */
  #look(one: PeerId, other: PeerId, noticedMax: number): void {
    for (const [from, to] of [
      [one, other],
      [other, one]
    ] as const) {
      const isUp = this.reaches(from, to)
      if (this.isConnected(from, to) === isUp) continue
      this.#after(1 + this.#random.below(isUp ? dialMax : noticedMax), () => this.#notice(from, to))
    }
  }

  #notice(from: PeerId, to: PeerId): void {
    const isUp = this.reaches(from, to)
    if (!this.#isUp(from) || this.isConnected(from, to) === isUp) return
    if (isUp) this.#seen.add(`${from}>${to}`)
    else this.#seen.delete(`${from}>${to}`)
    this.#peers.get(from)?.connection(to, isUp)
  }
}
