/** A file of pins as `flotilla state import` takes it: on every peer, each with a name. */
import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { exportLine } from '../src/lines.ts'
import type { Cid } from '../src/types.ts'
import { examplePin } from '../test/support/pins.ts'

/** Pins from the number `from` on, up to the one before `to`. */
export async function writeExport(
  file: string,
  { from, to, cid }: { from: number; to: number; cid: (number: number) => Cid }
): Promise<void> {
  const lines = function* () {
    for (let number = from; number < to; number++) yield exportLine({ ...examplePin, cid: cid(number), name: `pin ${number}` })
  }
  await pipeline(Readable.from(lines()), createWriteStream(file))
}
