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
  for await (const { text } of numberedLinesOf(body)) yield text
}

/**
 * Pins as ipfs-cluster exports them, one JSON document a line.
 * @throws ClusterError `invalid` naming the line
 */
export async function* pinsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Pin, void, undefined> {
  for await (const { text, number } of numberedLinesOf(body)) {
    let pin: Pin
    try {
      pin = pinFromJson(JSON.parse(text))
    } catch (error) {
      const reason = error instanceof ClusterError ? error.message : 'it is not a JSON document'
      throw new ClusterError({ code: 'invalid' }, `line ${number}: ${reason}`, { cause: error })
    }
    yield pin
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

async function* numberedLinesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<{ text: string; number: number }, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  let number = 0
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > lineMax) throw new ClusterError({ code: 'invalid' }, `line ${number + lines.length + 1} has no end`)
    for (const text of lines) {
      number++
      if (text.trim() !== '') yield { text, number }
    }
  }
  if (rest.trim() !== '') yield { text: rest, number: number + 1 }
}
