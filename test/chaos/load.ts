/** Clients of all peers, who pin, unpin and look at a few CIDs all the time, and write down what they saw. */
import { setTimeout as sleep } from 'node:timers/promises'
import { deadline } from '../../src/lifetime.ts'
import type { Cid } from '../../src/types.ts'
import type { Random } from '../sim/random.ts'
import { inline } from '../support/cids.ts'
import type { Answer, Client } from './client.ts'
import type { Operation } from './history.ts'
import type { Sighting } from './sightings.ts'

/** CIDs in use at once: few, so that clients meet. */
const keysOpen = 5
/** Then another one takes its place: the checker's work grows fast with the length of one history. */
const callsOfKey = 60
/** As long as an ordinary client waits; an answer later than that is no answer. */
const patienceMs = 10_000

export type Asked = 'pin' | 'unpin' | 'get'

export class Load {
  readonly operations: Operation[] = []
  readonly sightings: Sighting[] = []
  /** Names of pins that somebody said would not be. */
  readonly denied = new Set<string>()
  readonly refused = new Map<string, number>()
  readonly unknown = new Map<string, number>()
  acknowledged = 0
  readonly #random: Random
  readonly #label: string
  readonly #stop = new AbortController()
  readonly #keys: { readonly cid: Cid; calls: number }[] = []
  readonly #running: Promise<void>[] = []
  #keyCount = 0
  #names = 0
  hasLinearizableReads = false

  /** @param label makes the CIDs of this load its own */
  constructor(label: string, random: Random) {
    this.#label = label
    this.#random = random
  }

  /** One more worker on a peer, until {@link stop}. */
  work(peer: string, client: Client): void {
    const random = this.#random.fork()
    const run = async () => {
      while (!this.#stop.signal.aborted) {
        const answer = await this.#once(peer, client, random)
        // A peer that is down refuses at once.
        const pauseMs = answer.type === 'refused' ? 50 : random.between(0, 20)
        await sleep(pauseMs, undefined, { signal: this.#stop.signal }).catch(() => {})
      }
    }
    this.#running.push(run())
  }

  /** Ends when every call has an answer, or its time is over. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
  }

  /** A CID that nobody has used yet. */
  freshKey(): Cid {
    return inline(`${this.#label} ${this.#keyCount++}`)
  }

  /** Pins under a name of its own, and writes down what came of it. */
  pin(peer: string, client: Client, cid: Cid, signal: AbortSignal): Promise<Answer> {
    const name = `${this.#names++}`
    return this.#record({ key: cid, peer, kind: 'pin', name }, () => client.pin(cid, name, signal))
  }

  #once(peer: string, client: Client, random: Random): Promise<Answer> {
    const cid = this.#key(random)
    const signal = deadline(patienceMs)
    switch (random.pick(['pin', 'pin', 'pin', 'unpin', 'get', 'get'] as const)) {
      case 'pin':
        return this.pin(peer, client, cid, signal)
      case 'unpin':
        return this.#record({ key: cid, peer, kind: 'unpin' }, () => client.unpin(cid, signal))
      case 'get': {
        const consistency = this.hasLinearizableReads && random.chance(0.7) ? 'linearizable' : 'local'
        return this.#record({ key: cid, peer, kind: 'get', consistency }, () => client.get(cid, consistency, signal))
      }
    }
  }

  #key(random: Random): Cid {
    const at = random.below(keysOpen)
    const known = this.#keys[at]
    if (known !== undefined && known.calls++ < callsOfKey) return known.cid
    const cid = this.freshKey()
    this.#keys[at] = { cid, calls: 0 }
    return cid
  }

  async #record(
    asked: { readonly key: Cid; readonly peer: string } & (
      | { readonly kind: 'pin'; readonly name: string }
      | { readonly kind: 'unpin' }
      | { readonly kind: 'get'; readonly consistency: 'local' | 'linearizable' }
    ),
    ask: () => Promise<Answer>
  ): Promise<Answer> {
    const { key, peer, kind } = asked
    const calledAt = performance.now()
    const answer = await ask()
    const span = { key, peer, calledAt, returnedAt: performance.now() }
    const isLost = answer.type === 'unknown'
    if (answer.type === 'refused' || isLost) {
      const counts = isLost ? this.unknown : this.refused
      counts.set(answer.code, (counts.get(answer.code) ?? 0) + 1)
    }
    if (answer.type === 'refused') {
      if (kind === 'pin') this.denied.add(asked.name)
      return answer
    }
    const pin = answer.type === 'done' ? answer.pin : null
    if (kind === 'get') {
      if (isLost) return answer
      this.sightings.push({ ...span, pin })
      if (asked.consistency === 'linearizable') this.operations.push({ ...span, kind, found: pin?.name ?? null })
      return answer
    }
    if (isLost) {
      const open = { ...span, returnedAt: Number.POSITIVE_INFINITY }
      this.operations.push(kind === 'pin' ? { ...open, kind, name: asked.name } : { ...open, kind, found: undefined })
      return answer
    }
    if (pin === null) {
      // What is not pinned is refused after a look at the peer's own state: that is a local read.
      this.sightings.push({ ...span, pin })
      return answer
    }
    this.acknowledged++
    if (kind === 'pin') {
      this.operations.push({ ...span, kind, name: asked.name })
      this.sightings.push({ ...span, pin })
    } else {
      this.operations.push({ ...span, kind, found: pin.name })
      this.sightings.push({ ...span, pin: null, ended: pin })
    }
    return answer
  }
}
