/** Peers as they describe themselves: this one from what it knows, the others by asking them. */
import { messageOf } from '../src/errors.ts'
import { type Abortable, deadline } from '../src/lifetime.ts'
import type { KuboIdentity, Multiaddr, PeerId, PeerInfo } from '../src/types.ts'
import type { ClusterMember, ConsensusStatus } from './consensus/consensus.ts'
import { decodePeerInfo, encodePeerInfo, methods } from './messages.ts'
import type { Rpc } from './net/rpc.ts'

export interface PeersParts {
  readonly rpc: Pick<Rpc, 'self' | 'call' | 'handle'>
  readonly status: () => ConsensusStatus
  readonly addresses: () => readonly Multiaddr[]
  readonly kubo: () => KuboIdentity
  readonly name: string
  readonly version: string
}

/** The name under which the protocol between peers is known to clients. */
const rpcProtocolVersion = '/flotilla/1'
const answerMs = 15_000

export class Peers {
  readonly #parts: PeersParts

  constructor(parts: PeersParts) {
    this.#parts = parts
  }

  start(): void {
    this.#parts.rpc.handle(methods.id, async () => encodePeerInfo(this.own()))
  }

  own(): PeerInfo {
    const { rpc, status, addresses, kubo, name, version } = this.#parts
    const members = status().members
    return {
      id: rpc.self,
      name,
      addresses: addresses(),
      clusterPeers: members.map(({ id }) => id),
      clusterPeersAddresses: members.filter(({ id }) => id !== rpc.self).flatMap(({ addresses }) => addresses),
      version,
      rpcProtocolVersion,
      error: '',
      ipfs: kubo()
    }
  }

  /** As they answer; those that do not come last. */
  async *all({ signal }: Abortable = {}): AsyncIterable<PeerInfo> {
    const limit = deadline(answerMs, signal)
    const asked = new Map(
      this.#parts.status().members.map(member => [member.id, this.#ask(member, limit).then(info => ({ id: member.id, info }))])
    )
    const failed: PeerInfo[] = []
    while (asked.size > 0) {
      const { id, info } = await Promise.race(asked.values())
      asked.delete(id)
      if (info.error === '') yield info
      else failed.push(info)
    }
    yield* failed.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  }

  async #ask({ id, name, addresses }: ClusterMember, signal: AbortSignal): Promise<PeerInfo> {
    if (id === this.#parts.rpc.self) return this.own()
    try {
      return decodePeerInfo(await this.#parts.rpc.call(id, methods.id, new Uint8Array(), { signal }))
    } catch (error) {
      return unreachable(id, name, addresses, messageOf(error))
    }
  }
}

function unreachable(id: PeerId, name: string, addresses: readonly Multiaddr[], error: string): PeerInfo {
  return {
    id,
    name,
    addresses,
    clusterPeers: [],
    clusterPeersAddresses: [],
    version: '',
    rpcProtocolVersion: '',
    error,
    ipfs: { id: null, addresses: [], error: '' }
  }
}
