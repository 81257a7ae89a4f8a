/**
 * Reads a request line as Kubo does: the path is decoded before it is split, its last part may be the first argument, options have short
 * names. A call that the cluster must see is recognised here; everything else passes through and is never looked at again.
 *
 * Where Kubo refuses an option, the call is left to Kubo, whose words then are the right ones. So whatever this file takes for unreadable must
 * be so for Kubo as well, or a pin slips past the cluster.
 */
import { parseDuration } from '../../src/codec.ts'
import { isBaseName } from './cid-text.ts'
import { type Command, commands, commonOptions, intercepted, type Options } from './table.ts'

/** Forms of the answer that can be written here; Kubo says of others that they do not exist. */
export type Format = 'json' | 'text' | 'xml'

export interface Call {
  readonly command: Command
  /** From the path and the query, in order. More may come in the body. */
  readonly args: readonly string[]
  /** The path and the query as they were sent, without the question mark. */
  readonly path: string
  readonly query: string
  readonly format: Format
  /** Base of CIDs in the answer; `null` where each keeps its own. */
  readonly cidBase: string | null
  /** `null` where the client set no limit. */
  readonly timeoutMs: number | null
  readonly isOffline: boolean
  /** The value of an option under its long name; an option that is not there is `fallback`. */
  flag(name: string, fallback: boolean): boolean
  text(name: string): string | undefined
}

/** The decoded path, `undefined` where Kubo redirects or refuses it; for routing, and for the log: it holds no query. */
export function pathOf(target: string): string | undefined {
  const path = decode(rawPathOf(target))
  return path === undefined || !path.startsWith('/') || /\/\/|\/\.{1,2}(\/|$)/.test(path) ? undefined : path
}

/** Kubo looks at the path alone, whatever scheme and host stand in front of it. */
function rawPathOf(target: string): string {
  const [raw = ''] = target.split('?', 1)
  return raw.replace(/^[a-z][a-z0-9+\-.]*:(\/\/[^/]*)?/i, '')
}

/** Go's router cuts a path before it decodes the parts; only Kubo's own, behind it, cuts at encoded slashes too. */
function isOfApi(target: string): boolean {
  const [, api, version, ...rest] = rawPathOf(target).split('/', 4)
  return rest.length > 0 && decode(api ?? '') === 'api' && decode(version ?? '') === 'v0'
}

/** @returns the call where the cluster has a part in it, `undefined` where it is Kubo's alone */
export function readCall(target: string): Call | undefined {
  const mark = target.indexOf('?')
  const path = pathOf(target)
  const route = path === undefined ? undefined : routeOf(path)
  if (!route || !isOfApi(target)) return undefined
  const query = mark === -1 ? '' : target.slice(mark + 1)
  const { values, args } = readQuery(query)
  const options = readOptions(values, optionsOf[route.command])
  const format = formatOf(options?.get('encoding'))
  const timeoutMs = timeoutOf(options?.get('timeout'))
  if (!options || !format || timeoutMs === undefined) return undefined
  const flag = (name: string, fallback: boolean) => flagOf(options.get(name)) ?? fallback
  const cidBase = cidBaseOf(options.get('cid-base'), flag('upgrade-cidv0-in-output', false))
  if (cidBase !== null && !isBaseName(cidBase)) return undefined
  const call: Call = {
    command: route.command,
    args: [...route.args, ...args],
    path: mark === -1 ? target : target.slice(0, mark),
    query,
    format,
    cidBase,
    timeoutMs,
    isOffline: flag('offline', false) || flag('local', false),
    flag,
    text: name => options.get(name)
  }
  return pins(call) ? call : undefined
}

/** Whether anything gets pinned, unpinned or listed by it. */
function pins({ command, flag }: Call): boolean {
  if (flag('help', false) || flag('h', false)) return false
  switch (command) {
    case 'add':
      return !flag('only-hash', false) && flag('pin', true)
    case 'block/put':
    case 'dag/put':
      return flag('pin', false)
    case 'dag/import':
      return flag('pin-roots', true) && !flag('local-only', false)
    default:
      return true
  }
}

function routeOf(path: string): { readonly command: Command; readonly args: readonly string[] } | undefined {
  if (!path.startsWith('/api/v0/')) return undefined
  const rest = path.slice('/api/v0/'.length)
  for (const command of commands) {
    if (rest === command) return { command, args: [] }
    if (!intercepted[command].takesWords || !rest.startsWith(`${command}/`)) continue
    const word = rest.slice(command.length + 1)
    if (!word.includes('/')) return { command, args: [word] }
  }
  return undefined
}

function readQuery(query: string): { readonly values: ReadonlyMap<string, readonly string[]>; readonly args: readonly string[] } {
  const values = new Map<string, string[]>()
  for (const pair of query.split('&')) {
    const read = readPair(pair)
    if (read === undefined) continue
    const known = values.get(read.name)
    if (known) known.push(read.value)
    else values.set(read.name, [read.value])
  }
  return { values, args: values.get('arg') ?? [] }
}

/** Go drops a pair that it cannot read, and keeps the others. */
function readPair(pair: string): { readonly name: string; readonly value: string } | undefined {
  if (pair === '' || pair.includes(';')) return undefined
  const equals = pair.indexOf('=')
  const name = decode(spaced(equals === -1 ? pair : pair.slice(0, equals)))
  const value = equals === -1 ? '' : decode(spaced(pair.slice(equals + 1)))
  return name === undefined || value === undefined ? undefined : { name, value }
}

/** The query without the named options, long and short, and with others behind it. */
export function changedQuery(query: string, without: readonly string[], added: readonly (readonly [string, string])[]): string {
  const kept = query.split('&').filter(pair => !without.includes(readPair(pair)?.name ?? '') && pair !== '')
  return [...kept, ...added.map(([name, value]) => `${name}=${encodeURIComponent(value)}`)].join('&')
}

/** Every name of every option, long and short, with what it stands for. */
type KnownOptions = ReadonlyMap<string, { readonly long: string; readonly isFlag: boolean }>

const optionsOf = Object.fromEntries(
  commands.map(command => [command, knownOptions({ ...commonOptions, ...intercepted[command].options })])
) as Record<Command, KnownOptions>

function knownOptions(options: Options): KnownOptions {
  const names = Object.entries(options).flatMap(([long, [kind, ...shorts]]) =>
    [long, ...shorts].map(name => [name, { long, isFlag: kind === 'flag' }] as const)
  )
  return new Map(names)
}

/** Values by long name, a short one's before a long one's; `undefined` where Kubo refuses the call for its options. */
function readOptions(values: ReadonlyMap<string, readonly string[]>, known: KnownOptions): ReadonlyMap<string, string> | undefined {
  const read = new Map<string, string>()
  for (const [name, given] of values) {
    const option = known.get(name)
    const [value] = given
    if (option === undefined || value === undefined) continue
    if (given.length > 1 || (option.isFlag && flagOf(value) === undefined)) return undefined
    if (name !== option.long || !read.has(name)) read.set(option.long, value)
  }
  return read
}

/** An option that is there without a value is on. */
function flagOf(value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined
  if (/^(|1|t|true)$/i.test(value)) return true
  return /^(0|f|false)$/i.test(value) ? false : undefined
}

function formatOf(encoding: string | undefined): Format | undefined {
  switch (encoding) {
    case undefined:
    case 'json':
      return 'json'
    case 'text':
    case 'textnl':
      return 'text'
    case 'xml':
      return 'xml'
    default:
      return undefined
  }
}

/** `undefined` where Kubo cannot read it: it then answers without running anything. */
function timeoutOf(timeout: string | undefined): number | null | undefined {
  if (timeout === undefined) return null
  try {
    return Math.max(0, parseDuration(timeout))
  } catch {
    return undefined
  }
}

function cidBaseOf(base: string | undefined, isUpgrade: boolean): string | null {
  if (base !== undefined && base !== '') return base === 'base58btc' && !isUpgrade ? null : base
  return isUpgrade ? 'base32' : null
}

function spaced(text: string): string {
  return text.replaceAll('+', ' ')
}

/** Percent-decoding of the bytes of a request line, which are Latin-1 here. `undefined` where an escape is broken. */
function decode(text: string): string | undefined {
  if (/%(?![0-9a-f]{2})/i.test(text)) return undefined
  if (!/[%\u0080-\u00ff]/.test(text)) return text
  const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
