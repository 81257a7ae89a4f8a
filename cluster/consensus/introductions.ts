/**
 * Peers tell each other who the members are, when a connection comes up and when it changes. A founder that was away while others joined, or a peer
 * whose members all changed, knows the present ones only by that: it would not listen to a leader that it never heard of.
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import type { Clock } from '../../src/clock.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { deadline, type Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { PeerId } from '../../src/types.ts'
import type { Rpc } from '../net/rpc.ts'
import type { Placed } from '../raft/membership.ts'
import { decodeConfiguration, encodeConfiguration } from './codec.ts'
import type { Driver } from './driver.ts'

export interface IntroductionParts {
  readonly driver: Driver
  readonly rpc: Rpc
  readonly clock: Clock
  readonly log: Log
  /** Owns the calls. */
  readonly tasks: Tasks
}

const method = 'consensus/introduce'
const callMs = 3_000
const againMs = 1_000
/** Between two questions of a peer without a leader. */
const askMs = 2_000
const shape = z.tuple([z.int().nonnegative(), z.custom<Uint8Array>(value => value instanceof Uint8Array)])

export class Introductions {
  readonly #parts: IntroductionParts
  /** By peer: the index of the configuration that it was told of since its connection came up. */
  readonly #told = new Map<PeerId, number>()
  readonly #telling = new Set<PeerId>()

  constructor(parts: IntroductionParts) {
    this.#parts = parts
  }

  start(): Disposable {
    const { rpc, driver, clock } = this.#parts
    rpc.handle(
      method,
      async (_from, payload) => {
        driver.introduced(parsed(payload))
        return written(driver.settled)
      },
      // Whoever is in the cluster may say so; the links refuse peers of other clusters.
      { open: true }
    )
    this.spread()
    const subscriptions = new DisposableStack()
    subscriptions.use(
      rpc.onConnection((peer, isUp) => {
        if (isUp) this.#tell(peer)
        else this.#told.delete(peer)
      })
    )
    subscriptions.use(clock.every(askMs, () => this.#ask()))
    return subscriptions
  }

  /** The members changed. */
  spread(): void {
    const { driver, rpc } = this.#parts
    for (const { id } of driver.status().members) if (id !== rpc.self && rpc.isConnected(id)) this.#tell(id)
  }

  /** Without a leader: somebody may know of one that this peer does not listen to, or that this peer is a member no more. */
  #ask(): void {
    const { leader, removedAt } = this.#parts.driver.status()
    if (leader !== null || removedAt !== null) return
    this.#told.clear()
    this.spread()
  }

  #tell(peer: PeerId): void {
    if (this.#telling.has(peer) || this.#told.get(peer) === this.#parts.driver.settled.index) return
    this.#telling.add(peer)
    this.#parts.tasks.run('introduction', async stop => {
      try {
        await this.#untilTold(peer, stop)
      } finally {
        this.#telling.delete(peer)
      }
    })
  }

  async #untilTold(peer: PeerId, stop: AbortSignal): Promise<void> {
    const { driver, rpc, clock, log } = this.#parts
    while (!stop.aborted && rpc.isConnected(peer) && this.#told.get(peer) !== driver.settled.index) {
      const { settled } = driver
      try {
        driver.introduced(parsed(await rpc.call(peer, method, written(settled), { signal: deadline(callMs, stop) })))
        this.#told.set(peer, settled.index)
      } catch (error) {
        if (stop.aborted) return
        log.debug({ peer, reason: messageOf(error) }, 'members not told yet')
        await clock.sleep(againMs, { signal: stop })
      }
    }
  }
}

function written({ index, configuration }: Placed): Uint8Array {
  return encode([index, encodeConfiguration(configuration)])
}

/** @throws ClusterError `invalid` */
function parsed(payload: Uint8Array): Placed {
  try {
    const [index, configuration] = shape.parse(decode(payload))
    return { index, configuration: decodeConfiguration(configuration) }
  } catch (error) {
    throw new ClusterError({ code: 'invalid' }, `not an introduction: ${messageOf(error)}`, { cause: error })
  }
}
