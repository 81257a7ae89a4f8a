/** Cuts bytes into lines, and holds no more than one. */

/** Where a line is no longer believed: Kubo's longest are the names of a folder. */
const lineBytesMax = 16 << 20

/** Lines without their end, as they come; a last one without an end too. */
export class LineCutter {
  #rest: Buffer = Buffer.alloc(0)

  /** What came behind the last line end. */
  rest(): Buffer {
    return this.#rest
  }

  /** @throws Error when a line does not end */
  *cut(chunk: Buffer): Generator<Buffer, void, undefined> {
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const tail = chunk.subarray(from, end)
      const line = this.#rest.length === 0 ? tail : Buffer.concat([this.#rest, tail])
      this.#rest = Buffer.alloc(0)
      from = end + 1
      yield line
    }
    if (from < chunk.length) this.#rest = Buffer.concat([this.#rest, chunk.subarray(from)])
    if (this.#rest.length > lineBytesMax) throw new Error('Kubo sends a line without end')
  }
}

/** Reads no more of `stream` than is taken. */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const cutter = new LineCutter()
  for await (const chunk of stream) yield* cutter.cut(chunk)
  if (cutter.rest().length > 0) yield cutter.rest()
}
