/** Notes as rows: what was done to the cluster past its rules, by the index of the entry that says so. */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { numberKey, prefixRange } from './keys.ts'
import type { Note } from './operations.ts'
import type { Rows, WriteOp } from './store.ts'

const prefix = 'a/'
const shape = z.tuple([z.number(), z.string()])

export function writeNote({ index, note }: { readonly index: number; readonly note: Note }): WriteOp {
  return { type: 'put', key: numberKey(prefix, index), value: encode([note.at, note.text]) }
}

/** The oldest first. */
export async function readNotes(rows: Rows): Promise<Note[]> {
  const notes: Note[] = []
  for await (const [, value] of rows.rows(prefixRange(prefix))) {
    const [at, text] = shape.parse(decode(value))
    notes.push({ at, text })
  }
  return notes
}
