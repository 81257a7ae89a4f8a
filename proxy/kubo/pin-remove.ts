/** `pin/rm`: the agreement ends, and the answer comes when the Kubo behind this door has dropped its pin too. */
import { isFault } from '../../src/errors.ts'
import type { Cid } from '../../src/types.ts'
import { type Asked, failure, resolve } from './asked.ts'
import { cidText } from './cid-text.ts'
import { pinsText } from './pin-add.ts'

/** Between two looks whether Kubo has dropped a pin. */
const lookMs = 10
/** A Kubo that takes longer is not waited for: it drops the pin when it can. */
const looksMax = 500

export async function pinRemove(asked: Asked): Promise<void> {
  const { api, call, answer, kubo, signal, args } = asked
  const isRecursive = call.flag('recursive', true)
  const removed: Cid[] = []
  for (const word of args) {
    const cid = await resolve(asked, word)
    try {
      const pin = await api.allocation(cid, { signal })
      if (pin.mode === 'recursive' && !isRecursive) throw failure(`${cidText(cid, call.cidBase)} is pinned recursively`)
      await api.unpin(cid, { signal })
      await dropped(asked, cid)
    } catch (error) {
      if (!isFault(error, 'not_pinned')) throw error
      // Not the cluster's: it may be a pin of this Kubo alone, which nobody could remove otherwise.
      await kubo.json('pin/rm', { arg: cid, recursive: String(isRecursive) }, signal)
    }
    removed.push(cid)
  }
  await answer.write(pinsText(asked, 'PinOutput', removed, cid => `unpinned ${cid}\n`))
  answer.end()
}

/** So that a garbage collection right after the answer works. */
async function dropped({ api, signal }: Asked, cid: Cid): Promise<void> {
  for (let look = 0; look < looksMax; look++) {
    const { peers } = await api.status(cid, { local: true, signal })
    const [own] = peers.values()
    if (own?.status !== 'unpinning' && own?.status !== 'unpin_queued') return
    await new Promise(resolve => setTimeout(resolve, lookMs))
    signal.throwIfAborted()
  }
}
