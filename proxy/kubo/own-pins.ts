/**
 * The pins that Kubo makes by itself for uploads, of roots that this peer is not to hold. They go when the peers that are to hold the content have it,
 * and not before: until then nothing else keeps it.
 */
import { isFault } from '../../src/errors.ts'
import type { Cid, PeerId, Pin } from '../../src/types.ts'
import { type Asked, agreed } from './asked.ts'

/** Beyond this the calls wait themselves. */
const waitingMax = 1_000

type Parts = Pick<Asked, 'api' | 'kubo' | 'signal' | 'tasks' | 'waitFor'> & { readonly self: PeerId }

export class OwnPins {
  #waiting = 0

  /** @param pin agreed, and with as many copies as `waitFor` says */
  async release(parts: Parts, pin: Pin): Promise<void> {
    if (holds(parts.self, pin)) return
    if (parts.waitFor !== 'committed') return drop(parts, pin.cid)
    if (this.#waiting >= waitingMax) return dropWhenElsewhere(parts, pin.cid)
    this.#waiting++
    parts.tasks.run('drop a pin of kubo', async signal => {
      try {
        await dropWhenElsewhere({ ...parts, signal }, pin.cid)
      } finally {
        this.#waiting--
      }
    })
  }
}

async function dropWhenElsewhere(parts: Parts, cid: Cid): Promise<void> {
  const { api, signal } = parts
  try {
    for await (const { done } of api.follow(cid, { until: 'min', signal })) if (done) break
  } catch (error) {
    // Nobody could fetch it: this may be the only copy.
    if (isFault(error, 'pin_failed')) return
    if (!isFault(error, 'not_pinned')) throw error
  }
  await drop(parts, cid)
}

async function drop(parts: Parts, cid: Cid): Promise<void> {
  const { kubo, signal, self } = parts
  // It may have been given to this peer meanwhile.
  const pin = await agreed(parts, cid)
  if (pin !== undefined && holds(self, pin)) return
  try {
    await kubo.json('pin/rm', { arg: cid }, signal)
  } catch (error) {
    // Somebody else may have removed it meanwhile; then all is as it should be.
    if (!isFault(error, 'kubo_error')) throw error
  }
}

function holds(self: PeerId, { allocations }: Pin): boolean {
  return allocations.length === 0 || allocations.includes(self)
}
