/** What this peer can say of its Kubo: space and identity, asked now and then, so that nobody waits for Kubo to be told. */
import type { Clock } from '../../src/clock.ts'
import { messageOf } from '../../src/errors.ts'
import { logFailures, Tasks } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import type { KuboIdentity } from '../../src/types.ts'
import type { Kubo } from '../ipfs/kubo.ts'

export interface InformerParts {
  readonly kubo: Pick<Kubo, 'id' | 'space'>
  readonly clock: Clock
  readonly log: Log
  /** Called after every change. */
  readonly onChange: () => void
}

const retryMs = 2_000

export class Informer implements AsyncDisposable {
  readonly #parts: InformerParts
  readonly #intervalMs: number
  readonly #tasks: Tasks
  #identity: KuboIdentity = { id: null, addresses: [], error: 'Kubo was not asked yet' }
  #freeBytes: number | null = null

  constructor(parts: InformerParts, { intervalMs }: { intervalMs: number }) {
    this.#parts = parts
    this.#intervalMs = intervalMs
    this.#tasks = new Tasks(logFailures(parts.log))
  }

  /** As it was at the last look. */
  get identity(): KuboIdentity {
    return this.#identity
  }

  /** Bytes that Kubo may still take (its limit minus what it has); `null` while it does not say. */
  get freeBytes(): number | null {
    return this.#freeBytes
  }

  start(): void {
    this.#tasks.run('informer', async stop => {
      for (;;) {
        const isAnswered = await this.#look(stop)
        await this.#parts.clock.sleep(isAnswered ? this.#intervalMs : retryMs, { signal: stop })
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]()
  }

  async #look(stop: AbortSignal): Promise<boolean> {
    const before = JSON.stringify([this.#identity, this.#freeBytes])
    try {
      this.#identity = await this.#parts.kubo.id({ signal: stop })
      const { repoBytes, maxBytes } = await this.#parts.kubo.space({ signal: stop })
      this.#freeBytes = Math.max(0, maxBytes - repoBytes)
    } catch (error) {
      stop.throwIfAborted()
      this.#identity = { ...this.#identity, error: messageOf(error) }
      this.#freeBytes = null
    }
    if (JSON.stringify([this.#identity, this.#freeBytes]) !== before) this.#parts.onChange()
    return this.#identity.error === ''
  }
}
