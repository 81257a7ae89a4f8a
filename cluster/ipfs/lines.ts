/** JSON documents, one a line, out of a byte stream. */

/** A line longer than this is not one of Kubo's. */
const lineMax = 4 << 20

export async function* lines(body: AsyncIterable<Buffer>): AsyncIterable<unknown> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    let start = 0
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n', start)) {
      if (end > start) yield JSON.parse(rest.slice(start, end))
      start = end + 1
    }
    rest = rest.slice(start)
    if (rest.length > lineMax) throw new SyntaxError('a line without an end')
  }
  if (rest.trim() !== '') yield JSON.parse(rest)
}
