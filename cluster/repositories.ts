/** The repositories of all peers' Kubos: how large they are, and collecting what nobody pins. Observed and done by each peer for itself, never agreed. */
import { randomBytes } from 'node:crypto'
import type { CollectOptions, RepositoriesOptions, Which } from '../src/api.ts'
import { messageOf } from '../src/errors.ts'
import { type Abortable, deadline } from '../src/lifetime.ts'
import type { Collected, PeerId, RepositorySize } from '../src/types.ts'
import type { GarbageRuns } from './garbage-runs.ts'
import type { Kubo } from './ipfs/kubo.ts'
import {
  decodeGarbage,
  decodeSize,
  decodeSizeQuestion,
  encodeGarbageQuestion,
  encodeSize,
  encodeSizeQuestion,
  methods
} from './messages.ts'
import type { Rpc } from './net/rpc.ts'

export interface RepositoriesParts {
  readonly rpc: Pick<Rpc, 'self' | 'call' | 'handle'>
  readonly kubo: Pick<Kubo, 'size' | 'collect'>
  readonly runs: GarbageRuns
  readonly members: () => readonly PeerId[]
}

/** Counting the objects of a large repository takes long. */
const sizeMs = 60_000
/** As far as a timer can count. */
const sizeMsMax = 2 ** 31 - 1
/** One question about a collection waits so long for something to tell. */
const waitMs = 2_000
const answerMs = 10_000

export class Repositories {
  readonly #parts: RepositoriesParts

  constructor(parts: RepositoriesParts) {
    this.#parts = parts
  }

  /** Serves the questions of other members. */
  start(): void {
    const { rpc, kubo, runs } = this.#parts
    rpc.handle(methods.size, async (_from, payload, { signal }) =>
      encodeSize(await kubo.size({ isSizeOnly: decodeSizeQuestion(payload), signal }))
    )
    runs.serve(rpc)
  }

  /** One item a peer, as they answer. */
  sizes({ which, sizeOnly = false, limitMs = sizeMs, signal }: RepositoriesOptions = {}): AsyncIterable<RepositorySize> {
    const { rpc, kubo } = this.#parts
    const nothing = { repoBytes: 0n, maxBytes: 0n, objects: 0n }
    return merged(this.#peers(which), async function* (peer): AsyncGenerator<RepositorySize, void, undefined> {
      const limit = deadline(Math.min(limitMs, sizeMsMax), signal)
      try {
        const size =
          peer === rpc.self
            ? await kubo.size({ isSizeOnly: sizeOnly, signal: limit })
            : decodeSize(await rpc.call(peer, methods.size, encodeSizeQuestion(sizeOnly), { signal: limit }))
        yield { peer, ...size, error: '' }
      } catch (error) {
        signal?.throwIfAborted()
        yield { peer, ...nothing, error: messageOf(error) }
      }
    })
  }

  /** What is removed, as it is removed; a peer that cannot go on ends with an item that says why. */
  collect({ which, signal }: CollectOptions = {}): AsyncIterable<Collected> {
    const { rpc, kubo } = this.#parts
    return merged(this.#peers(which), async function* (peer): AsyncGenerator<Collected, void, undefined> {
      try {
        const items = peer === rpc.self ? kubo.collect({ signal }) : collectThere(rpc, peer, { signal })
        for await (const item of items) yield { peer, ...item }
      } catch (error) {
        signal?.throwIfAborted()
        yield { peer, cid: null, error: messageOf(error) }
      }
    })
  }

  #peers(which: Which = 'all'): readonly PeerId[] {
    const { rpc, members } = this.#parts
    return members().filter(peer => which === 'all' || (peer === rpc.self) === (which === 'local'))
  }
}

/** Asks again and again for what has been removed meanwhile; the peer stops where nobody asks any more. */
async function* collectThere(
  rpc: Pick<Rpc, 'call'>,
  peer: PeerId,
  { signal }: Abortable
): AsyncGenerator<Omit<Collected, 'peer'>, void, undefined> {
  const run = randomBytes(8).toString('hex')
  for (let isFirst = true; ; isFirst = false) {
    const question = encodeGarbageQuestion({ run, isFirst, waitMs })
    const { items, isOver } = decodeGarbage(await rpc.call(peer, methods.garbage, question, { signal: deadline(answerMs, signal) }))
    yield* items
    if (isOver) return
  }
}

/** Items of several streams as they come, one ahead of each. */
async function* merged<T>(
  peers: readonly PeerId[],
  open: (peer: PeerId) => AsyncGenerator<T, void, undefined>
): AsyncGenerator<T, void, undefined> {
  const streams = peers.map(open)
  const step = async (stream: AsyncGenerator<T, void, undefined>) => ({ stream, next: await stream.next() })
  const waiting = new Map(streams.map(stream => [stream, step(stream)]))
  try {
    while (waiting.size > 0) {
      const { stream, next } = await Promise.race(waiting.values())
      if (next.done) waiting.delete(stream)
      else {
        waiting.set(stream, step(stream))
        yield next.value
      }
    }
  } finally {
    for (const step of waiting.values()) step.catch(() => {})
    await Promise.allSettled(streams.map(stream => stream.return()))
  }
}
