/**
 * Request heads, read by the rules of Go's HTTP server, because what this door sees must be what Kubo sees: where one request ends and the next one
 * begins decides which calls reach the cluster. Whatever Go would refuse is refused here, in Go's words, and never reaches Kubo; so two readings of
 * one stream cannot differ.
 *
 * @see https://pkg.go.dev/net/http Server, and https://www.rfc-editor.org/rfc/rfc9112 section 6.3 (message body length)
 */
import { isIPv6 } from 'node:net'

/** As Kubo: 1 MiB of head, and the slack that Go adds. */
export const headBytesMax = (1 << 20) + 4_096

export type Framing = { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' }

export interface RequestHead {
  /** As it came, byte for byte, as Latin-1; with its empty line. */
  readonly text: string
  readonly method: string
  /** As on the request line, bytes as Latin-1. */
  readonly target: string
  /** HTTP/1.0: the answer knows neither chunks nor trailers. */
  readonly isOld: boolean
  readonly framing: Framing
  /** The server closes behind this request, and never reads what follows. */
  readonly isLast: boolean
  /** Waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean
  /** Expects something that nobody can do: Go answers 417, whatever the call is. */
  readonly hasOddExpectation: boolean
  /** Names and values in turn, unfolded and trimmed; bytes as Latin-1. */
  readonly headers: readonly string[]
}

/** What to answer instead of reading on; the connection ends with it. */
export interface Refusal {
  readonly status: string
  readonly body: string
}

const badRequest: Refusal = refusal('400 Bad Request')
export const headTooLarge: Refusal = refusal('431 Request Header Fields Too Large')
const unsupportedVersion = refusal('505 HTTP Version Not Supported: unsupported protocol version')
const unsupportedCoding: Refusal = { status: '501 Not Implemented', body: 'Unsupported transfer encoding' }

function refusal(status: string): Refusal {
  return { status, body: status }
}

export function isRefusal(read: RequestHead | Refusal): read is Refusal {
  return 'status' in read
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Go stops at the first byte that no name can have, but takes spaces for a while, and has other words for them. */
const tokenOrSpace = /^[!#$%&'*+\-.^_`|~0-9A-Za-z ]+$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be in a head
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/
const hostBytes = /^[!$%&'()*+,\-./0-9:;=@A-Z[\]_a-z~]*$/

/** Where the head that begins at `start` ends, behind its empty line; -1 while it has not ended. Go takes a bare line feed for a line end. */
export function endOfHead(bytes: Buffer, start: number, searchFrom = start): number {
  const crlf = bytes.indexOf('\n\r\n', searchFrom, 'latin1')
  const scanned = crlf === -1 ? bytes : bytes.subarray(0, crlf + 1)
  const bare = scanned.indexOf('\n\n', searchFrom, 'latin1')
  if (bare !== -1) return bare + 2
  if (crlf !== -1) return crlf + 3
  return -1
}

/** @param text the whole head with its empty line, bytes as Latin-1 */
export function readHead(text: string): RequestHead | Refusal {
  if (forbidden.test(text)) return badRequest
  const lines = linesOf(text)
  if (lines === null) return badRequest
  const [first = '', ...fields] = lines
  const [method, target, protocol, ...more] = first.split(' ')
  if (method === undefined || target === undefined || protocol === undefined || more.length > 0) return badRequest
  if (!token.test(method)) return badRequest
  const [, major, minor] = /^HTTP\/(\d)\.(\d)$/.exec(protocol) ?? []
  if (major === undefined) return badRequest
  if (!isReadableTarget(target, method)) return badRequest
  const headers = fieldsOf(fields)
  if (!Array.isArray(headers)) return headers
  // What HTTP/2 clients say first is let through by Go, and refused with an answer of its own behind it.
  const isPreface = major === '2' && minor === '0' && method === 'PRI' && target === '*'
  if (major !== '1' && !isPreface) return unsupportedVersion
  const isOld = minor === '0'
  const bad = isPreface ? null : badHost(headers, { isOld, method })
  if (bad) return bad
  const framing = framingOf(headers, { isOld })
  if ('status' in framing) return framing
  const connection = valuesOf(headers, 'connection')
  const expectation = headerOf(headers, 'expect') ?? ''
  const expectsContinue = hasWord(expectation, '100-continue')
  return {
    text,
    method,
    target,
    isOld,
    framing,
    isLast: isPreface || isClosing(connection, { isOld }),
    expectsContinue: expectsContinue && !isOld,
    hasOddExpectation: !expectsContinue && expectation !== '',
    headers
  }
}

/** The first value of `name` (lower case). */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]?.length === name.length && headers[at]?.toLowerCase() === name) return headers[at + 1]
  }
  return undefined
}

/** All values of `name` (lower case), in order. */
export function valuesOf(headers: readonly string[], name: string): readonly string[] {
  let values: string[] = none
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]?.length !== name.length || headers[at]?.toLowerCase() !== name) continue
    if (values === none) values = []
    values.push(headers[at + 1] ?? '')
  }
  return values
}

const none: string[] = []

/** The request line and the fields, without line ends and with continued lines joined; `null` where a carriage return stands alone. */
function linesOf(text: string): string[] | null {
  const lines: string[] = []
  let start = 0
  for (;;) {
    const end = text.indexOf('\n', start)
    const line = text.slice(start, end > start && text.charCodeAt(end - 1) === 13 ? end - 1 : end)
    start = end + 1
    // Only the empty line that ends the head is empty.
    if (line === '') return start === text.length && lines.length > 0 ? lines : null
    if (line.includes('\r')) return null
    const isContinued = line.startsWith(' ') || line.startsWith('\t')
    if (!isContinued) lines.push(line)
    else if (lines.length < 2) return null
    else lines[lines.length - 1] = `${trimmed(lines.at(-1) ?? '')} ${trimmed(line)}`
  }
}

function fieldsOf(lines: readonly string[]): string[] | Refusal {
  const headers: string[] = []
  let hasSpacedName = false
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = colon === -1 ? '' : line.slice(0, colon)
    if (!token.test(name)) {
      if (!tokenOrSpace.test(name)) return badRequest
      hasSpacedName = true
    }
    headers.push(name, trimmed(line.slice(colon + 1)))
  }
  return hasSpacedName ? refusal('400 Bad Request: invalid header name') : headers
}

function badHost(headers: readonly string[], { isOld, method }: { isOld: boolean; method: string }): Refusal | null {
  const hosts = valuesOf(headers, 'host')
  if (hosts.length > 1) return badRequest
  const [host] = hosts
  if (host === undefined) return isOld || method === 'CONNECT' ? null : refusal('400 Bad Request: missing required Host header')
  return hostBytes.test(host) && !host.includes('/') ? null : refusal('400 Bad Request: malformed Host header')
}

/** With both ways of framing at once, chunks count, and for HTTP/1.0, which knows none, the length. */
function framingOf(headers: readonly string[], { isOld }: { isOld: boolean }): Framing | Refusal {
  const codings = valuesOf(headers, 'transfer-encoding')
  const lengths = valuesOf(headers, 'content-length')
  const isChunked = codings.length > 0 && !isOld
  if (isChunked && (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked')) return unsupportedCoding
  const [length = '0'] = lengths
  if (lengths.some(other => other !== length)) return badRequest
  // Beyond this a number is no longer exact, and nobody has that much.
  if (!/^\d+$/.test(length) || Number(length) > Number.MAX_SAFE_INTEGER) return badRequest
  return isChunked ? { kind: 'chunked' } : { kind: 'length', bytes: Number(length) }
}

/** What Go's `url.ParseRequestURI` takes, as far as it decides whether the request is one at all. */
function isReadableTarget(target: string, method: string): boolean {
  if (target === '' || /[\r\t]/.test(target)) return false
  if (target === '*') return true
  if (method === 'CONNECT' && !target.startsWith('/')) return /^[!$&'()*+,\-.0-9:;=A-Z[\]_a-z~]+$/.test(target)
  const [before = ''] = target.split('?', 1)
  if (before.startsWith('/')) return !/%(?![0-9a-f]{2})/i.test(before)
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+\-.]*):(.*)$/is.exec(before) ?? []
  if (scheme === undefined) return false
  // Behind a scheme, what does not begin with a slash is no path, and Go does not look at it.
  if (!rest.startsWith('/')) return true
  const [, authority = '', path = ''] = rest.startsWith('//') ? (/^\/\/([^/]*)(.*)$/s.exec(rest) ?? []) : ['', '', rest]
  // Without the user names that Go would take.
  const [host, inBrackets] = /^(?:(?:[\w.\-~!$&'()*+,;=<>"\x80-\xff]|%[89a-f][0-9a-f])*|\[([0-9a-f:.]+)\])(?::\d*)?$/i.exec(authority) ?? []
  if (host === undefined || (inBrackets !== undefined && !isIPv6(inBrackets))) return false
  return !/%(?![0-9a-f]{2})/i.test(path)
}

/** Of HTTP/1.0 Go asks for one word only, whatever else is said; where it closes all the same, for want of a length, it is seen to close. */
function isClosing(connection: readonly string[], { isOld }: { isOld: boolean }): boolean {
  const [first = ''] = connection
  if (isOld) return !hasWord(first, 'keep-alive')
  return hasToken(connection, 'close') || hasWord(first, 'close')
}

/** Go's own, more careless way to look into a value: a space ends a word as a comma does. */
function hasWord(value: string, wanted: string): boolean {
  return value.split(/[ ,\t]/).some(word => word.toLowerCase() === wanted)
}

function hasToken(values: readonly string[], wanted: string): boolean {
  return values.some(value => value.split(',').some(part => trimmed(part).toLowerCase() === wanted))
}

/** Spaces and tabs only, as Go. */
function trimmed(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return start === 0 && end === text.length ? text : text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}
