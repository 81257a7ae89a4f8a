/** Lines of a stream of bytes, and pins of such lines: the format of exports. */
import { ClusterError } from './errors.ts'
import type { Pin } from './types.ts'
import { pinFromJson, pinToJson } from './wire.ts'

/** A line longer than this is not ours. A status of a thousand peers is about 500 kB. */
const lineMax = 16 * 1024 * 1024
/** Bytes that are handed on at once. */
const chunkBytes = 64 * 1024

/** Lines that are not empty. @throws ClusterError `invalid` for a line without an end */
export async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  for await (const { lines } of groupsOf(body)) for (const text of lines) if (text.trim() !== '') yield text
}

/**
 * Pins as ipfs-cluster exports them, one JSON document a line.
 * @throws ClusterError `invalid` naming the line
 */
export async function* pinsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Pin, void, undefined> {
  for await (const { lines, first } of groupsOf(body)) {
    for (const [position, text] of lines.entries()) if (text.trim() !== '') yield pinOf(text, first + position)
  }
}

function pinOf(line: string, number: number): Pin {
  try {
    return pinFromJson(JSON.parse(line))
  } catch (error) {
    const reason = error instanceof ClusterError ? error.message : 'it is not a JSON document'
    throw new ClusterError({ code: 'invalid' }, `line ${number}: ${reason}`, { cause: error })
  }
}

/** A line of an export: what only the log of one cluster knows is left out. */
export function exportLine(pin: Pin): string {
  return `${JSON.stringify(pinToJson({ ...pin, version: 0 }))}\n`
}

/** An export as chunks of bytes. */
export async function* exportBytes(pins: AsyncIterable<Pin>): AsyncGenerator<Uint8Array, void, undefined> {
  let text = ''
  for await (const pin of pins) {
    text += exportLine(pin)
    if (text.length < chunkBytes) continue
    yield Buffer.from(text)
    text = ''
  }
  if (text !== '') yield Buffer.from(text)
}

/** Lines as they come, with the number of the first of them, counted from 1: many at once, for every step of a generator costs as much as a line. */
async function* groupsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<{ lines: readonly string[]; first: number }, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  let first = 1
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > lineMax) throw new ClusterError({ code: 'invalid' }, `line ${first + lines.length} has no end`)
    yield { lines, first }
    first += lines.length
  }
  yield { lines: [rest], first }
}
