/** The contract of `Rpc` over the simulated network, for one life of a peer. */
import type { CallHandler, MessageHandler, Rpc } from '../../cluster/net/rpc.ts'
import { ClusterError } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import type { Network } from './network.ts'
import type { Life } from './peer.ts'
import type { Random } from './random.ts'

export interface RpcWorld {
  readonly network: Network
  readonly random: Random
  readonly now: number
  after(delay: number, work: () => void): void
  /** The life of `id` that is running now. */
  rpcOf(id: PeerId): SimRpc | undefined
  /** Called for each message and call before it is handled. */
  arrived(from: PeerId, to: PeerId, channel: string, payload: Uint8Array): void
}

interface Pending {
  readonly to: PeerId
  readonly fail: () => void
}

export class SimRpc implements Rpc {
  readonly self: PeerId
  readonly #world: RpcWorld
  readonly #life: Life
  readonly #methods = new Map<string, { readonly handler: CallHandler; readonly isOpen: boolean }>()
  readonly #channels = new Map<string, MessageHandler>()
  readonly #listeners = new Set<(peer: PeerId, isUp: boolean) => void>()
  readonly #calls = new Set<Pending>()
  #members: ReadonlySet<PeerId> = new Set()

  constructor(self: PeerId, world: RpcWorld, life: Life) {
    this.self = self
    this.#world = world
    this.#life = life
  }

  call(to: PeerId, method: string, payload: Uint8Array, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Uint8Array> {
    const { network, now } = this.#world
    const bytes = payload.slice()
    return new Promise((resolve, reject) => {
      // Whoever is dead waits for ever.
      if (this.#life.isOver) return
      if (signal?.aborted) return reject(signal.reason)
      const unreachable = () => new ClusterError({ code: 'peer_unreachable', peer: to }, `${to} does not answer`)
      let isSettled = false
      const settle = (end: () => void): void => {
        if (isSettled || this.#life.isOver) return
        isSettled = true
        this.#calls.delete(pending)
        signal?.removeEventListener('abort', abort)
        end()
      }
      const fail = (error: unknown) => this.#life.run(() => settle(() => reject(error)))
      const pending: Pending = { to, fail: () => fail(unreachable()) }
      const abort = () => settle(() => reject(signal?.reason))
      this.#calls.add(pending)
      signal?.addEventListener('abort', abort, { once: true })
      // Not connected: it dials, and gives up soon.
      const isConnected = network.isConnected(this.self, to)
      if (!isConnected && !network.reaches(this.self, to)) return this.#later(1 + this.#world.random.below(500), () => fail(unreachable()))
      this.#later(network.delay(this.self, to, now) + (isConnected ? 0 : 20), () => {
        const answered = (answer: Uint8Array | Error): void => {
          if (network.isCut(to, this.self)) return
          this.#later(network.delay(to, this.self, this.#world.now), () => {
            this.#life.run(() => settle(() => (answer instanceof Error ? reject(answer) : resolve(answer))))
          })
        }
        if (!network.isCut(this.self, to)) this.#world.rpcOf(to)?.serve(this.self, method, bytes, answered)
      })
    })
  }

  /** A call of `from` arrives here. */
  serve(from: PeerId, method: string, payload: Uint8Array, answered: (answer: Uint8Array | Error) => void): void {
    this.#life.run(() => {
      this.#world.arrived(from, this.self, method, payload)
      const served = this.#methods.get(method)
      if (served === undefined || (!served.isOpen && !this.#members.has(from))) {
        const code = served === undefined ? 'not_ready' : 'not_a_member'
        return answered(new ClusterError({ code }, `${method} is not served`))
      }
      void this.#answer(served.handler, from, payload).then(answer => {
        if (!this.#life.isOver) answered(answer)
      })
    })
  }

  /** A fault travels as its code; anything else is a bug, and the caller sees that it is none of its own. */
  async #answer(handler: CallHandler, from: PeerId, payload: Uint8Array): Promise<Uint8Array | Error> {
    try {
      return (await handler(from, payload, { signal: new AbortController().signal })).slice()
    } catch (error) {
      return error instanceof ClusterError ? error : new Error(`a call failed: ${error}`)
    }
  }

  send(to: PeerId, channel: string, payload: Uint8Array): boolean {
    const { network, now } = this.#world
    if (this.#life.isOver || !network.isConnected(this.self, to)) return false
    this.#life.sending(to, payload)
    const bytes = payload.slice()
    for (const delay of network.delays(this.self, to, now)) {
      this.#later(delay, () => this.#world.rpcOf(to)?.receiveFrom(this.self, channel, bytes))
    }
    return true
  }

  receiveFrom(from: PeerId, channel: string, payload: Uint8Array): void {
    this.#life.run(() => {
      if (!this.#members.has(from)) return
      this.#world.arrived(from, this.self, channel, payload)
      this.#channels.get(channel)?.(from, payload)
    })
  }

  handle(method: string, handler: CallHandler, { open = false }: { open?: boolean } = {}): void {
    this.#methods.set(method, { handler, isOpen: open })
  }

  receive(channel: string, handler: MessageHandler): void {
    this.#channels.set(channel, handler)
  }

  setMembers(members: readonly { readonly id: PeerId }[]): void {
    const before = this.#members
    this.#members = new Set(members.map(({ id }) => id))
    for (const { id } of members) if (!before.has(id) && this.isConnected(id)) this.connection(id, true)
  }

  isConnected(peer: PeerId): boolean {
    return this.#members.has(peer) && this.#world.network.isConnected(this.self, peer)
  }

  onConnection(listener: (peer: PeerId, isUp: boolean) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  /** The network noticed something. */
  connection(peer: PeerId, isUp: boolean): void {
    this.#life.run(() => {
      if (!isUp) for (const { to, fail } of [...this.#calls]) if (to === peer) fail()
      if (this.#members.has(peer)) for (const listener of [...this.#listeners]) listener(peer, isUp)
    })
  }

  #later(delay: number, work: () => void): void {
    this.#world.after(delay, work)
  }
}
