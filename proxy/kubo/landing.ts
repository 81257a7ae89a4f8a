/**
 * Where a socket's bytes are read to. A Node socket takes 64 KiB of new memory for every read, also for the two hundred bytes of a short answer. Here
 * all connections share one piece of memory for what is short, from where it is copied; one that carries much gets a piece of its own, and uses it again
 * as soon as what was read has been sent on.
 *
 * @see https://nodejs.org/api/net.html the option `onread` of `new net.Socket`
 */
import type { OnReadOpts } from 'node:net'

const sharedBytes = 64 << 10
/** Four times as much: fewer turns of the event loop for the same bytes, and still in the processor's cache. */
const ownBytes = 256 << 10
/**
 * A read of so much will be followed by others like it, and so many of less, one behind the other, by others like them. A download has reads of all
 * sizes: what is copied is left to the collector, which lets tens of MiB of it gather.
 */
const largeBytes = 16 << 10
const smallMax = 100

const shared = Buffer.allocUnsafeSlow(sharedBytes)

export interface LandingParts {
  /** Gets every read. @returns whether more is to come without anything being asked for */
  readonly take: (bytes: Buffer) => boolean
  /** Nobody looks any more at what was taken before this call. */
  readonly isSent: () => boolean
}

export class Landing {
  readonly onread: OnReadOpts
  readonly #isSent: () => boolean
  #small = 0
  /** The next read goes there. */
  #own: Buffer | null = null
  /** Read into, and not sent yet. */
  #lent: Buffer[] = []
  #spare: Buffer | null = null

  constructor({ take, isSent }: LandingParts) {
    this.#isSent = isSent
    this.onread = {
      buffer: () => this.#own ?? shared,
      callback: length => {
        const isGoingOn = take(this.#own === null ? Buffer.from(shared.subarray(0, length)) : this.#own.subarray(0, length))
        this.#small = length < largeBytes ? this.#small + 1 : 0
        this.#prepare(isGoingOn && (this.#small === 0 || (this.#own !== null && this.#small < smallMax)))
        return true
      }
    }
  }

  /** To be called when what was taken may have been sent: one piece is kept for a connection that goes on, the others are free from now on. */
  giveBack(): void {
    this.#collect(this.#own !== null)
  }

  #collect(isGoingOn: boolean): void {
    if (this.#lent.length > 0 && this.#isSent()) {
      for (const room of this.#lent.splice(0)) {
        if (this.#spare === null) this.#spare = room
        else free(room)
      }
    }
    if (isGoingOn || this.#spare === null) return
    free(this.#spare)
    this.#spare = null
  }

  /** For the next read. */
  #prepare(needsOwn: boolean): void {
    if (this.#own !== null) this.#lent.push(this.#own)
    this.#own = null
    this.#collect(needsOwn)
    if (!needsOwn) return
    this.#own = this.#spare ?? Buffer.allocUnsafeSlow(ownBytes)
    this.#spare = null
  }
}

/** Moving memory to nowhere frees it now, and not only when a collector finds it. */
function free(room: Buffer): void {
  ;(room.buffer as ArrayBuffer).transfer(0)
}
