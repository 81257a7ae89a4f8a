/** JSON documents, one a line. */

/** A line longer than this is not one of Kubo's. */
const lineMax = 4 << 20

/** Text in pieces becomes documents. */
export class LineSplitter {
  #rest = ''

  /** @returns the documents that `piece` completes @throws SyntaxError */
  push(piece: string): readonly unknown[] {
    const parts = (this.#rest + piece).split('\n')
    this.#rest = parts.pop() ?? ''
    if (this.#rest.length > lineMax) throw new SyntaxError('a line without an end')
    return parts.filter(part => part !== '').map(part => JSON.parse(part))
  }

  /** @returns the last document, where no line break ended it @throws SyntaxError */
  end(): readonly unknown[] {
    return this.#rest.trim() === '' ? [] : [JSON.parse(this.#rest)]
  }
}

/** The documents of a byte stream. */
export async function* lines(body: AsyncIterable<Buffer>): AsyncIterable<unknown> {
  const decoder = new TextDecoder()
  const splitter = new LineSplitter()
  for await (const chunk of body) yield* splitter.push(decoder.decode(chunk, { stream: true }))
  yield* splitter.end()
}
