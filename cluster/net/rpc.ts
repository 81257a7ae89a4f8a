/** Calls between peers, as the floors above see them. `network.ts` implements it over libp2p. */
import type { Abortable } from '../../src/lifetime.ts'
import type { PeerId } from '../../src/types.ts'

/**
 * `message`: no answer, may be dropped, order kept while the connection lives (Raft).
 * `call`: one request, one answer or one error.
 */
export type CallHandler = (from: PeerId, payload: Uint8Array, options: { readonly signal: AbortSignal }) => Promise<Uint8Array>
export type MessageHandler = (from: PeerId, payload: Uint8Array) => void

export interface Rpc {
  readonly self: PeerId
  /**
   * Calls `method` on `to`; dials when there is no connection. A call to oneself is a broken invariant.
   * @throws ClusterError with the fault the handler threw (it travels as code and message); `peer_unreachable` when the peer cannot be
   *   reached or the connection breaks before the answer; `not_a_member` or `wrong_cluster` when it does not want us
   */
  call(to: PeerId, method: string, payload: Uint8Array, options?: Abortable): Promise<Uint8Array>
  /** Sends if a connection is up or can be made, else drops; false when it was dropped at once (queue full, not connected). Never throws. */
  send(to: PeerId, channel: string, payload: Uint8Array): boolean
  /** `open: true` lets non-members call it (they still know the secret). One handler a method. */
  handle(method: string, handler: CallHandler, options?: { open?: boolean }): void
  receive(channel: string, handler: MessageHandler): void
  /** Members and where to dial them; from now on only these are served. Connections are kept up to each of them, and dialled anew when lost. */
  setMembers(members: readonly { readonly id: PeerId; readonly addresses: readonly string[] }[]): void
  /** Peers with a live connection that answered lately. */
  isConnected(peer: PeerId): boolean
  /** Called when a member's connection comes up or is lost. */
  onConnection(listener: (peer: PeerId, isUp: boolean) => void): Disposable
}
