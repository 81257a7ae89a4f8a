/** What people read: tables, sizes, durations. Plain text without colours, for 80 columns. */
import Table from 'cli-table3'
import type { Json } from '../src/wire-fields.ts'

/** Thrown when a command has told everything itself, and only exit code 1 is left to say. */
export class Failed extends Error {
  override readonly name = 'Failed'
}

export function printLine(text = ''): void {
  process.stdout.write(`${text}\n`)
}

/** One document on a line of its own. */
export function printJson(document: Json): void {
  printLine(JSON.stringify(document))
}

/** A table without borders. Columns are as wide as their cells; numbers stand to the right. */
export function tableOf(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const bare = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'] as const
  const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'] as const
  const table = new Table({
    head: [...head],
    chars: { ...Object.fromEntries([...bare, ...inner].map(name => [name, ''])), middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: head.map((_, column) => (isNumeric(rows.map(row => row[column])) ? 'right' : 'left'))
  })
  table.push(...rows.map(row => row.map(String)))
  return table
    .toString()
    .split('\n')
    .map(line => line.trimEnd())
    .join('\n')
}

function isNumeric(cells: readonly (string | number | undefined)[]): boolean {
  const known = cells.filter(cell => cell !== '-')
  return known.length > 0 && known.every(cell => typeof cell === 'number' || /^[\d.]+ [KMGTP]?i?B$/.test(cell ?? ''))
}

/** `12.3 GiB`; `-` for what is not known. */
export function sizeOf(bytes: number | null): string {
  if (bytes === null) return '-'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  const value = bytes / 1024 ** power
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`
}

/** `12s`, `5m`, `3h`, `2d`: the largest unit is enough for people. */
export function roughly(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}

/** `2026-05-11 10:17:41` in UTC; `-` for 0, which is not known. */
export function momentOf(ms: number): string {
  return ms === 0 ? '-' : new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

/** `1 peer`, `2 peers`. */
export function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`
}

/** A line that is rewritten in place on a terminal, and nothing at all elsewhere. */
export class ProgressLine implements Disposable {
  readonly #isShown = process.stderr.isTTY
  #isDirty = false

  show(text: string): void {
    if (!this.#isShown) return
    this.#isDirty = true
    process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
  }

  [Symbol.dispose](): void {
    if (this.#isDirty) process.stderr.write('\r\x1b[K')
  }
}
