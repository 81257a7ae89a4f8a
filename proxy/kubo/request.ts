/**
 * A request as Kubo reads it: decoded first, routed then, so that no spelling of a path slips past the cluster.
 * Options are those of the query; of their short names only the ones of intercepted commands matter.
 */
import type { IncomingMessage } from 'node:http'

export type Intercepted = 'pin/add' | 'pin/rm' | 'pin/ls' | 'add'
const commands: readonly Intercepted[] = ['pin/add', 'pin/rm', 'pin/ls', 'add']

/** Short names by command; global ones below. */
const shortNames: Readonly<Record<Intercepted, Readonly<Record<string, string>>>> = {
  'pin/add': { r: 'recursive', n: 'name' },
  'pin/rm': { r: 'recursive' },
  'pin/ls': { t: 'type', q: 'quiet', s: 'stream', n: 'name' },
  add: { n: 'only-hash', w: 'wrap-with-directory', p: 'progress' }
}
const globalNames: Readonly<Record<string, string>> = { enc: 'encoding' }

export interface Call {
  readonly command: Intercepted
  /** Those of the path and the query, in order. */
  readonly words: readonly string[]
  /** By long name; the last one wins. */
  readonly options: ReadonlyMap<string, string>
}

/** @returns `undefined` where Kubo has to answer by itself */
export function readCall({ method, url = '' }: Pick<IncomingMessage, 'method' | 'url'>): Call | undefined {
  if (method !== 'POST') return undefined
  const [rawPath = '', ...query] = url.split('?')
  const path = decode(rawPath, { plusIsSpace: false })
  // Anything unclean is redirected by Kubo; a client that follows comes back with the clean form.
  if (path === undefined || !path.startsWith('/api/v0/') || /\/\/|\/\.\.?(\/|$)/.test(path)) return undefined
  const rest = path.slice('/api/v0/'.length)
  const command = commands.find(name => rest === name || (name !== 'add' && rest.startsWith(`${name}/`)))
  if (command === undefined) return undefined
  const words: string[] = []
  if (rest.length > command.length) {
    const word = rest.slice(command.length + 1)
    if (word.includes('/')) return undefined
    words.push(word)
  }
  const options = new Map<string, string>()
  for (const pair of query.join('?').split('&')) {
    const at = pair.indexOf('=')
    const name = decode(at === -1 ? pair : pair.slice(0, at), { plusIsSpace: true })
    const value = decode(at === -1 ? '' : pair.slice(at + 1), { plusIsSpace: true })
    // As Go: what cannot be read is dropped, the others stay.
    if (name === undefined || value === undefined || name === '' || pair.includes(';')) continue
    if (name === 'arg') words.push(value)
    else options.set(shortNames[command][name] ?? globalNames[name] ?? name, value)
  }
  return { command, words, options }
}

/** Kubo's booleans: an empty value is true. `undefined` for a value that is none. */
export function flag(options: ReadonlyMap<string, string>, name: string, initial: boolean): boolean | undefined {
  const value = options.get(name)
  if (value === undefined) return initial
  if (value === '' || /^(true|t|1)$/i.test(value)) return true
  return /^(false|f|0)$/i.test(value) ? false : undefined
}

function decode(text: string, { plusIsSpace }: { plusIsSpace: boolean }): string | undefined {
  try {
    return decodeURIComponent(plusIsSpace ? text.replaceAll('+', ' ') : text)
  } catch {
    return undefined
  }
}

/** Arguments that travel in a body: the lines of its one part. */
const bodyMax = 16 << 20

/** @throws RangeError for a body larger than 16 MiB */
export async function wordsOfBody(request: IncomingMessage): Promise<string[]> {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/i.exec(request.headers['content-type'] ?? '')?.[1]
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bodyMax) throw new RangeError('the body is too large for arguments')
    if (boundary !== undefined) chunks.push(chunk)
  }
  if (boundary === undefined) return []
  const body = Buffer.concat(chunks).toString('utf8')
  const start = body.indexOf('\r\n\r\n')
  const end = body.indexOf(`\r\n--${boundary}`, start)
  if (start === -1 || end === -1 || start + 4 > end) return []
  const lines = body.slice(start + 4, end).split(/\r?\n/)
  // The end of the last line is no line of its own.
  if (lines.at(-1) === '') lines.pop()
  return lines
}
