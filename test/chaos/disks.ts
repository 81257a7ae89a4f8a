/** A disk of its own for a peer: one that can be filled up, one that fails, one that stands still. Mounts of this process, gone with it. */
import { execFile } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const chunk = new Uint8Array(1 << 20)

export type DiskKind = 'plain' | 'small' | 'failing'

/** `data` of a peer's folder. */
export class Disk {
  readonly #folder: string
  readonly #kind: DiskKind
  #isStalled = false

  private constructor(folder: string, kind: DiskKind) {
    this.#folder = folder
    this.#kind = kind
  }

  static async mount(folder: string, kind: DiskKind): Promise<Disk> {
    const disk = new Disk(folder, kind)
    if (kind === 'small') await run('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'small', disk.#data])
    if (kind === 'failing') {
      // The disk under the file system is a sparse file: where there is no room for its blocks, writes fail as on a broken disk.
      await run('mkdir', ['-p', disk.#below])
      await run('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'below', disk.#below])
      await run('truncate', ['-s', '256m', disk.#image])
      await run('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=1,lazy_journal_init=1', '-J', 'size=4', disk.#image])
      await disk.#attach()
    }
    return disk
  }

  /** No room is left: on the disk of the peer, or under it, so that what the peer was promised room for cannot be written either. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, 'w')
    try {
      // Until it fails: that is what it is for.
      for (;;) await file.write(chunk)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      await file.close()
    }
  }

  async free(): Promise<void> {
    await rm(this.#filler, { force: true })
  }

  /** Writes do not fail and do not end, until {@link resume}. */
  async stall(): Promise<void> {
    await run('fsfreeze', ['-f', this.#data])
    this.#isStalled = true
  }

  async resume(): Promise<void> {
    if (this.#isStalled) await run('fsfreeze', ['-u', this.#data])
    this.#isStalled = false
  }

  /** As after a repair: what reached the disk is there, the rest is not. Nobody may have a file open. */
  async replace(): Promise<void> {
    await run('umount', [this.#data])
    // Ends with 1 where something was mended.
    await run('e2fsck', ['-p', this.#image]).catch(error => {
      if ((error as { code?: unknown }).code !== 1) throw error
    })
    await this.#attach()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#kind === 'plain') return
    await this.resume()
    await run('umount', [this.#data])
    if (this.#kind === 'failing') await run('umount', [this.#below])
  }

  async #attach(): Promise<void> {
    await run('mount', ['-o', 'loop,errors=remount-ro', this.#image, this.#data])
  }

  get #data(): string {
    return join(this.#folder, 'data')
  }

  get #below(): string {
    return join(this.#folder, 'below')
  }

  get #image(): string {
    return join(this.#below, 'image')
  }

  get #filler(): string {
    return join(this.#kind === 'failing' ? this.#below : this.#data, 'filler')
  }
}
