/** Room on a peer's disk: whether a peer ended for want of it, and waiting until there is some again. */
import { statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFault } from '../src/errors.ts'

/** Enough to go on with: a fiftieth of the disk, within these bounds. */
const leastBytes = 4 << 20
const mostBytes = 256 << 20
const lookMs = 1_000

/** Whether the store failed, or does not open, because the disk is full. It gives no code, but the words of the C library, or our own. */
export function isForWantOfRoom(failure: unknown): boolean {
  return (
    (isFault(failure, 'storage_failed') || isFault(failure, 'cannot_start')) && /ENOSPC|no space left|disk is full/i.test(failure.message)
  )
}

/**
 * Resolves when there is room on the disk of `folder`, and after a moment in any case: a disk may refuse to write for want of something that is not
 * counted in bytes.
 * @throws Error when `signal` aborts, or where the disk does not answer
 */
export async function roomAgain(folder: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  for (;;) {
    // Nothing else keeps the process alive by now.
    await sleep(lookMs, undefined, { signal })
    const { bsize, blocks, bavail } = await statfs(folder)
    if (bavail * bsize >= Math.max(leastBytes, Math.min(mostBytes, (blocks * bsize) / 50))) return
  }
}
