/** Lines of uploads in the forms that Kubo offers beside JSON. The door reads JSON of Kubo, and writes what the client asked for. */
import { xmlText } from './answer.ts'
import type { Format } from './call.ts'
import type { Command } from './table.ts'

interface Line {
  readonly Name?: string
  readonly Hash?: string
  readonly Bytes?: number
  readonly Size?: string | number
  readonly Mode?: string
  readonly Mtime?: number
  readonly MtimeNsecs?: number
  readonly Key?: string
  readonly Cid?: { readonly '/': string }
  readonly Root?: { readonly Cid: { readonly '/': string }; readonly PinErrorMsg: string }
  readonly Stats?: { readonly BlockCount: number; readonly BlockBytesCount: number }
}

/** @param line of Kubo's JSON, with its end */
export function uploadLine(command: Command, format: Format, line: string): string {
  if (format === 'json') return line
  const read = JSON.parse(line) as Line
  return format === 'text' ? textOf(command, read) : xmlOf(command, read)
}

function textOf(command: Command, { Name = '', Hash = '', Bytes = 0, Size = '', Mode = '', Mtime = 0, ...line }: Line): string {
  switch (command) {
    // Kubo has no text for an event, and prints the inside of the Go structure.
    case 'add':
      return `&{${Name} ${Hash} %!s(int64=${Bytes}) ${Size} ${Mode} %!s(int64=${Mtime}) %!s(int=${line.MtimeNsecs ?? 0})}`
    case 'block/put':
      return `${line.Key}\n`
    case 'dag/put':
      return `${line.Cid?.['/']}\n`
    default:
      if (line.Stats) return `Imported ${line.Stats.BlockCount} blocks (${line.Stats.BlockBytesCount} bytes)\n`
      return `Pinned root\t${line.Root?.Cid['/']}\t${line.Root?.PinErrorMsg ? `FAILED: ${line.Root.PinErrorMsg}` : 'success'}\n`
  }
}

function xmlOf(
  command: Command,
  { Name = '', Hash = '', Bytes = 0, Size = '', Mode = '', Mtime = 0, MtimeNsecs = 0, ...line }: Line
): string {
  switch (command) {
    case 'add':
      return element('AddEvent', fields({ Name, Hash, Bytes, Size, Mode, Mtime, MtimeNsecs }))
    case 'block/put':
      return element('BlockStat', fields({ Key: line.Key ?? '', Size }))
    case 'dag/put':
      return element('OutputObject', fields({ Cid: line.Cid?.['/'] ?? '' }))
    default:
      if (line.Stats) return element('CarImportOutput', element('Stats', fields({ ...line.Stats })))
      return element(
        'CarImportOutput',
        element('Root', fields({ Cid: line.Root?.Cid['/'] ?? '', PinErrorMsg: line.Root?.PinErrorMsg ?? '' }))
      )
  }
}

function fields(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => element(name, xmlText(String(value))))
    .join('')
}

function element(name: string, content: string): string {
  return `<${name}>${content}</${name}>`
}
