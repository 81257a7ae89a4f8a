/**
 * Loaded into a peer before the program: its wall clock is wrong by what a file says (milliseconds), from the next SIGUSR2 on. Programs on Node have no
 * other wall clock than `Date`. The monotonic clock and timers are not touched, as by an operator who sets the time.
 */
import { readFileSync } from 'node:fs'

const file = new URL(import.meta.url).searchParams.get('file') ?? ''
const Right = Date
let shiftMs = 0

class Shifted extends Right {
  constructor(...words: readonly unknown[]) {
    // Whatever Date takes is passed on; only "now" is another one.
    super(...((words.length === 0 ? [Right.now() + shiftMs] : words) as [number]))
  }

  static override now(): number {
    return Right.now() + shiftMs
  }
}

globalThis.Date = Shifted as DateConstructor
process.on('SIGUSR2', () => {
  shiftMs = Number(readFileSync(file, 'utf8'))
})
