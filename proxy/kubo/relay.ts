/**
 * Sends on what was read from another socket, and gives its memory back as soon as the kernel has it: every read of a socket comes in 64 KiB of its
 * own, and left to the collector these are tens of MiB of pages that were touched once each.
 */
import type { Socket } from 'node:net'

/** Below this, giving back costs more than it saves. */
const worthBytes = 16 << 10

export class Relay {
  readonly #to: Socket
  /** Sent, and maybe not yet taken by the kernel. */
  #sent: Buffer[] = []

  constructor(to: Socket) {
    this.#to = to
  }

  /**
   * More waits to be sent than should; `drain` comes when this is over. What a write returns is no help: it says so, too, of large pieces that have
   * left at once, and pausing for each of these costs more than the writing.
   */
  get isFull(): boolean {
    return this.#to.writableLength >= this.#to.writableHighWaterMark
  }

  /** @param bytes must not change any more, and not be looked at behind the next {@link giveBack} */
  send(bytes: Buffer): void {
    this.#to.write(bytes)
    // A part of a read shares its memory with parts that may still be sent.
    if (bytes.length >= worthBytes && bytes.length === bytes.buffer.byteLength) this.#sent.push(bytes)
  }

  /** To be called when what was sent has been looked at, and on `drain`. */
  giveBack(): void {
    if (this.#sent.length === 0 || this.#to.writableLength > 0) return
    // Moving the memory to nowhere frees it now.
    for (const bytes of this.#sent) (bytes.buffer as ArrayBuffer).transfer(0)
    this.#sent = []
  }
}
