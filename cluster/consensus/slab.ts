/**
 * Memory for small buffers that the log keeps for long and lets go in the order in which they were cut: they share blocks, as a block of its own
 * costs each two objects and a call of malloc more. Not the pool of Node: what else is cut from that lives shortly, and would be kept too.
 */
const blockBytes = 64 << 10
/** Larger ones have a block of their own: what is left of a shared one is seldom more than this. */
const sharedMax = blockBytes / 16

let block = Buffer.alloc(0)
let used = 0

/** @returns `length` bytes that hold anything; nobody else's */
export function cut(length: number): Buffer {
  if (length > sharedMax) return Buffer.allocUnsafeSlow(length)
  if (used + length > block.length) {
    block = Buffer.allocUnsafeSlow(blockBytes)
    used = 0
  }
  used += length
  return block.subarray(used - length, used)
}
