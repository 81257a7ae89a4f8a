/** The serving side of calls: one handler a method, members only unless a method is open, each call cancelled with its stream. */
import { ClusterError } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import type { Frames } from './frames.ts'
import { kinds, readHead, readNamed, sendAnswer, sendFault } from './link.ts'
import type { CallHandler } from './rpc.ts'

/** Calls of one stream that may be under way at once. */
const callsMax = 10_000

export class CallServer {
  readonly #isMember: (peer: PeerId) => boolean
  readonly #methods = new Map<string, { readonly handler: CallHandler; readonly open: boolean }>()
  readonly #running = new Map<Frames, Map<number, AbortController>>()

  constructor(isMember: (peer: PeerId) => boolean) {
    this.#isMember = isMember
  }

  handle(method: string, handler: CallHandler, open: boolean): void {
    if (this.#methods.has(method)) throw new Error(`method ${method} has a handler already`)
    this.#methods.set(method, { handler, open })
  }

  /** @throws Error for a frame that is neither a request nor a cancellation: the stream is then closed */
  serve(peer: PeerId, frames: Frames, frame: Buffer): void {
    const { kind, id, body } = readHead(frame)
    if (kind === kinds.cancel) return this.#running.get(frames)?.get(id)?.abort(new Error('the caller gave up'))
    if (kind !== kinds.request) throw new Error('a frame of an unknown kind')
    const { name, payload } = readNamed(body)
    void this.#run(peer, frames, id, name, payload)
  }

  /** The stream is gone: nobody waits for its calls. */
  gone(frames: Frames): void {
    for (const abort of this.#running.get(frames)?.values() ?? []) abort.abort(new Error('the caller is gone'))
    this.#running.delete(frames)
  }

  /** Channel and payload of a message. @throws Error for any other frame */
  static message(frame: Buffer): { readonly channel: string; readonly payload: Uint8Array } {
    const { kind, body } = readHead(frame)
    if (kind !== kinds.message) throw new Error('a frame of an unknown kind')
    const { name, payload } = readNamed(body)
    return { channel: name, payload }
  }

  async #run(peer: PeerId, frames: Frames, id: number, name: string, payload: Uint8Array): Promise<void> {
    const running = this.#running.get(frames) ?? new Map<number, AbortController>()
    this.#running.set(frames, running)
    const abort = new AbortController()
    try {
      const method = this.#methods.get(name)
      if (method === undefined)
        throw new ClusterError({ code: 'refused' }, `this peer does not know the method ${name}: it may run another version`)
      if (!method.open && !this.#isMember(peer))
        throw new ClusterError({ code: 'not_a_member' }, `peer ${peer} is not a member of this cluster`)
      if (running.size >= callsMax)
        throw new ClusterError({ code: 'overloaded', retryAfterMs: 1_000 }, 'too many calls of one peer are under way')
      running.set(id, abort)
      sendAnswer(frames, id, await method.handler(peer, payload, { signal: abort.signal }))
    } catch (error) {
      if (!frames.isClosed) sendFault(frames, id, error)
    } finally {
      running.delete(id)
    }
  }
}
