/** Arguments that travel in the body: `pipe-list | ipfs pin add` sends them as the lines of a file in a multipart form. */
import { ClusterError } from '../../src/errors.ts'
import type { Exchange } from './connection.ts'
import { headerOf } from './head.ts'

/** About 300,000 CIDs. */
const bodyBytesMax = 16 << 20

/** What a request says of its body: nothing to read, a form to read, or a form that Kubo refuses because it names no boundary. */
export function formOf(headers: readonly string[]): { readonly boundary: string } | 'none' | 'broken' {
  const contentType = headerOf(headers, 'content-type') ?? ''
  if (!/^\s*multipart\/form-data\s*(;|$)/i.test(contentType)) return 'none'
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(contentType) ?? []
  const boundary = quoted ?? plain
  return boundary === undefined ? 'broken' : { boundary }
}

/** The lines of the first part of the form; an empty line is an empty argument. @throws ClusterError `invalid`, and where the body breaks off */
export async function argumentsOfBody(exchange: Exchange, boundary: string): Promise<readonly string[]> {
  const chunks: Buffer[] = []
  let length = 0
  const isWhole = await new Promise<boolean>((resolve, reject) => {
    if (exchange.head.expectsContinue) exchange.reply.wantBody()
    exchange.takeBody({
      content: bytes => {
        length += bytes.length
        if (length <= bodyBytesMax) chunks.push(bytes)
        else reject(new ClusterError({ code: 'invalid' }, 'too many arguments in one request: the limit is 16 MiB'))
      },
      end: resolve
    })
  })
  if (!isWhole) throw new ClusterError({ code: 'invalid' }, 'unexpected EOF')
  return linesOfPart(firstPart(Buffer.concat(chunks), boundary))
}

/** `undefined` where the body holds no part. */
function firstPart(body: Buffer, boundary: string): string | undefined {
  const opening = body.indexOf(`--${boundary}\r\n`)
  if (opening === -1) return undefined
  const headEnd = body.indexOf('\r\n\r\n', opening)
  const start = headEnd === -1 ? -1 : headEnd + 4
  // A part without content ends with the line end that ends its headers.
  const end = start === -1 ? -1 : body.indexOf(`\r\n--${boundary}`, start - 2)
  return end === -1 ? undefined : body.toString('utf8', start, Math.max(start, end))
}

function linesOfPart(text: string | undefined): readonly string[] {
  if (text === undefined || text === '') return []
  const lines = text.split('\n').map(line => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()
  return lines
}
