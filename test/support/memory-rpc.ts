/** Peers of one process that call each other: the contract of `Rpc`, with links that can be cut. Bytes are copied, as a socket does. */

import type { CallHandler, MessageHandler, Rpc } from '../../cluster/net/rpc.ts'
import { ClusterError } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'

export class MemoryNetwork {
  readonly #peers = new Map<PeerId, MemoryRpc>()
  readonly #cut = new Set<string>()

  open(id: PeerId): MemoryRpc {
    const rpc = new MemoryRpc(id, this)
    this.#peers.set(id, rpc)
    for (const other of this.#peers.values()) if (other !== rpc) this.#announce(other, id, true)
    return rpc
  }

  /** The peer is gone: everybody notices. */
  close(id: PeerId): void {
    this.#peers.delete(id)
    for (const other of this.#peers.values()) this.#announce(other, id, false)
  }

  cut(a: PeerId, b: PeerId): void {
    this.#cut.add(`${a}>${b}`).add(`${b}>${a}`)
  }

  heal(): void {
    this.#cut.clear()
  }

  peer(from: PeerId, to: PeerId): MemoryRpc | undefined {
    return this.#cut.has(`${from}>${to}`) ? undefined : this.#peers.get(to)
  }

  #announce(to: MemoryRpc, peer: PeerId, isUp: boolean): void {
    for (const listener of to.connectionListeners) listener(peer, isUp)
  }
}

export class MemoryRpc implements Rpc {
  readonly self: PeerId
  readonly connectionListeners = new Set<(peer: PeerId, isUp: boolean) => void>()
  readonly methods = new Map<string, { readonly handler: CallHandler; readonly isOpen: boolean }>()
  readonly channels = new Map<string, MessageHandler>()
  members: readonly { readonly id: PeerId }[] = []
  readonly #network: MemoryNetwork

  constructor(self: PeerId, network: MemoryNetwork) {
    this.self = self
    this.#network = network
  }

  async call(to: PeerId, method: string, payload: Uint8Array, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Uint8Array> {
    await new Promise(resolve => setImmediate(resolve))
    const peer = this.#network.peer(this.self, to)
    const served = peer?.methods.get(method)
    if (peer === undefined || served === undefined) throw new ClusterError({ code: 'peer_unreachable', peer: to }, `${to} does not answer`)
    if (!served.isOpen && !peer.isMember(this.self)) throw new ClusterError({ code: 'not_a_member' }, `${this.self} is no member`)
    const answer = await served.handler(this.self, payload.slice(), { signal: signal ?? new AbortController().signal })
    if (this.#network.peer(to, this.self) !== this) throw new ClusterError({ code: 'peer_unreachable', peer: to }, `${to} is gone`)
    return answer.slice()
  }

  send(to: PeerId, channel: string, payload: Uint8Array): boolean {
    if (this.#network.peer(this.self, to) === undefined) return false
    const copy = payload.slice()
    setImmediate(() => {
      const peer = this.#network.peer(this.self, to)
      if (peer?.isMember(this.self)) peer.channels.get(channel)?.(this.self, copy)
    })
    return true
  }

  handle(method: string, handler: CallHandler, { open = false }: { open?: boolean } = {}): void {
    this.methods.set(method, { handler, isOpen: open })
  }

  receive(channel: string, handler: MessageHandler): void {
    this.channels.set(channel, handler)
  }

  setMembers(members: readonly { readonly id: PeerId }[]): void {
    this.members = members
  }

  isMember(peer: PeerId): boolean {
    return this.members.some(({ id }) => id === peer)
  }

  isConnected(peer: PeerId): boolean {
    return this.#network.peer(this.self, peer) !== undefined
  }

  onConnection(listener: (peer: PeerId, isUp: boolean) => void): Disposable {
    this.connectionListeners.add(listener)
    return { [Symbol.dispose]: () => this.connectionListeners.delete(listener) }
  }
}
