/**
 * The kinds of values a configuration key can have: how JSON and the text of an environment variable become a value, and what is expected where
 * they do not.
 */
import { isIP } from 'node:net'
import { socketAddressOf } from './address.ts'
import { formatDuration, parseDuration, tryPeerId } from './codec.ts'
import { Secret } from './secret.ts'
import type { Multiaddr, PeerId } from './types.ts'

export interface Kind<T> {
  /** What a value looks like, for errors and the reference page: the end of "expected …". */
  readonly expected: string
  /** `undefined` where the value is not of this kind. */
  fromJson(value: unknown): T | undefined
  fromText(text: string): T | undefined
  toJson(value: T): unknown
  /** An empty variable says nothing, as in ipfs-cluster; of the other kinds it is a value like any other. */
  readonly keepsOnEmptyText?: boolean
  /** What was found, for the error; without it, the value itself. Secrets are described, never shown. */
  show?(value: unknown): string
}

/** Node's timers count in 32 bits: a longer one would fire at once. */
const longestMs = 2 ** 31 - 1

export const text: Kind<string> = {
  expected: 'text',
  fromJson: value => (typeof value === 'string' ? value : undefined),
  fromText: value => value,
  toJson: value => value
}

export const flag: Kind<boolean> = {
  expected: 'true or false',
  fromJson: value => (typeof value === 'boolean' ? value : undefined),
  // The spellings of Go's strconv.ParseBool.
  fromText: value => (/^(1|t|T|TRUE|true|True)$/.test(value) ? true : /^(0|f|F|FALSE|false|False)$/.test(value) ? false : undefined),
  toJson: value => value
}

export function integer({ least, most }: { least?: number; most?: number } = {}): Kind<number> {
  return numeric(`a whole number${rangeOf(least, most)}`, value => Number.isSafeInteger(value) && isWithin(value, { least, most }))
}

export function decimal({ least, most }: { least?: number; most?: number } = {}): Kind<number> {
  return numeric(`a number${rangeOf(least, most)}`, value => Number.isFinite(value) && isWithin(value, { least, most }))
}

/** Go's text outside, milliseconds inside. Longer than 24 days counts as 24 days. */
export function duration({ leastMs = 0 }: { leastMs?: number } = {}): Kind<number> {
  const parse = (value: unknown) => {
    const ms = typeof value === 'string' ? attempt(() => parseDuration(value)) : undefined
    return ms !== undefined && ms >= leastMs ? Math.min(ms, longestMs) : undefined
  }
  const least = leastMs > 0 ? `, ${formatDuration(leastMs)} or more` : ''
  return {
    expected: `a duration such as 30s or 1h30m${least}`,
    fromJson: parse,
    fromText: parse,
    toJson: formatDuration,
    keepsOnEmptyText: true
  }
}

export function choice<const T extends string>(...values: readonly T[]): Kind<T> {
  const parse = (value: unknown) => values.find(known => known === value)
  return { expected: `one of ${values.join(', ')}`, fromJson: parse, fromText: parse, toJson: value => value }
}

export const texts: Kind<readonly string[]> = list('a list of texts', item => item)
export const peerIds: Kind<readonly PeerId[]> = list('a list of peer ids such as 12D3Koo…', tryPeerId)

/** Where peers talk to each other. Transports that are none here (QUIC, WebSocket) are taken, because generated files of ipfs-cluster have them. */
export const peerAddresses: Kind<readonly Multiaddr[]> = list('an address such as /ip4/0.0.0.0/tcp/9096, or a list of them', item =>
  isPeerAddress(item) ? (item as Multiaddr) : undefined
)

export const httpAddresses: Kind<readonly Multiaddr[]> = list(
  'an address such as /ip4/127.0.0.1/tcp/9094 or /unix/run/flotilla.sock, or a list of them',
  httpAddressOf
)

export const httpAddress: Kind<Multiaddr> = {
  expected: 'one address such as /ip4/127.0.0.1/tcp/5001',
  fromJson: value => (typeof value === 'string' ? httpAddressOf(value) : undefined),
  fromText: httpAddressOf,
  toJson: value => value
}

/** The shared key of a cluster: 32 bytes, or `null` for a network that is open to everybody. */
export const secret: Kind<Secret<Uint8Array> | null> = {
  expected: '32 bytes as 64 hexadecimal digits ("openssl rand -hex 32" makes some), or "" for an open network',
  fromJson: value => (typeof value === 'string' ? secretOf(value) : undefined),
  fromText: secretOf,
  toJson: value => (value === null ? '' : Buffer.from(value.reveal()).toString('hex')),
  show: value =>
    typeof value !== 'string'
      ? 'not text'
      : /^([0-9a-f]{2})*$/i.test(value)
        ? `${value.length / 2} bytes long`
        : `${value.length} characters that are not all pairs of hexadecimal digits`
}

/** Passwords by user; `null` lets everybody in. */
export const credentials: Kind<Secret<Readonly<Record<string, string>>> | null> = {
  expected: 'null, or an object of user names and passwords with at least one of them (as a variable: user:password,user2:password2)',
  fromJson: value => (value === null ? null : credentialsOf(Object.entries(isRecord(value) ? value : {}))),
  fromText: value => credentialsOf(pairsOf(value)),
  toJson: value => value?.reveal() ?? null,
  show: () => 'something else'
}

/** A word that opens a door somewhere; `null` for none. */
export const secretText: Kind<Secret<string> | null> = {
  expected: 'text, or null',
  fromJson: value => (value === null || value === '' ? null : typeof value === 'string' ? new Secret(value) : undefined),
  fromText: value => (value === '' ? null : new Secret(value)),
  toJson: value => value?.reveal() ?? null,
  show: () => 'something else'
}

export interface AccessRule {
  readonly secret: string
  readonly paths: readonly string[]
}

/** Secrets, each with the paths that it opens, written as in Kubo's `API.Authorizations`; `null` lets everybody in. */
export const accessRules: Kind<Secret<Readonly<Record<string, AccessRule>>> | null> = {
  expected: 'null, or an object of names, each with {"AuthSecret": "bearer:…" or "basic:user:password", "AllowedPaths": ["/api/v0/…"]}',
  fromJson: value => (value === null ? null : accessRulesOf(value)),
  fromText: value => (value === '' ? null : accessRulesOf(attempt(() => JSON.parse(value)))),
  toJson: value =>
    value === null
      ? null
      : Object.fromEntries(
          Object.entries(value.reveal()).map(([name, { secret, paths }]) => [name, { AuthSecret: secret, AllowedPaths: paths }])
        ),
  show: () => 'something else'
}

/** HTTP headers, each with its values. */
export const headers: Kind<Readonly<Record<string, readonly string[]>>> = {
  expected: 'an object of header names, each with a list of values',
  fromJson: value =>
    isRecord(value) && Object.values(value).every(isTexts) ? (value as Readonly<Record<string, readonly string[]>>) : undefined,
  fromText: value => {
    const pairs = pairsOf(value)
    return pairs.every(isTextPair) ? Object.fromEntries(pairs.map(([name, content]) => [name, [content]])) : undefined
  },
  toJson: value => value,
  show: () => 'something else'
}

export const textMap: Kind<Readonly<Record<string, string>>> = {
  expected: 'an object of names and texts (as a variable: name:text,name2:text2)',
  fromJson: value => (isRecord(value) ? recordOf(Object.entries(value)) : undefined),
  fromText: value => recordOf(pairsOf(value)),
  toJson: value => value
}

/** A list; one item may stand without brackets, and is written so, as ipfs-cluster does. */
function list<T extends string>(expected: string, parse: (item: string) => T | undefined): Kind<readonly T[]> {
  const items = (values: readonly unknown[]) => {
    const parsed = values.map(item => (typeof item === 'string' ? parse(item) : undefined))
    return parsed.every(item => item !== undefined) ? parsed : undefined
  }
  return {
    expected,
    fromJson: value => (value === null ? [] : items(Array.isArray(value) ? value : [value])),
    fromText: value => (value.trim() === '' ? [] : items(value.split(',').map(item => item.trim()))),
    toJson: ([only, ...others]) => (only !== undefined && others.length === 0 ? only : only === undefined ? [] : [only, ...others])
  }
}

function numeric(expected: string, fits: (value: number) => boolean): Kind<number> {
  return {
    expected,
    fromJson: value => (typeof value === 'number' && fits(value) ? value : undefined),
    fromText: value => (/^[+-]?\d+(\.\d+)?$/.test(value) && fits(Number(value)) ? Number(value) : undefined),
    toJson: value => value
  }
}

function isWithin(value: number, { least = -Infinity, most = Infinity }: { least?: number | undefined; most?: number | undefined }) {
  return value >= least && value <= most
}

function rangeOf(least: number | undefined, most: number | undefined): string {
  if (least !== undefined && most !== undefined) return ` from ${least} to ${most}`
  return least !== undefined ? `, ${least} or more` : most !== undefined ? `, ${most} or less` : ''
}

function httpAddressOf(value: string): Multiaddr | undefined {
  return attempt(() => socketAddressOf(value)) && (value as Multiaddr)
}

function isPeerAddress(value: string): boolean {
  const [empty, kind = '', host = '', transport = '', port = ''] = value.split('/')
  const isHost = kind === 'ip4' ? isIP(host) === 4 : kind === 'ip6' ? isIP(host) === 6 : /^dns(4|6|addr)?$/.test(kind) && host !== ''
  const isPort = kind === 'dnsaddr' || (/^(tcp|udp)$/.test(transport) && /^\d{1,5}$/.test(port) && Number(port) <= 65_535)
  return empty === '' && isHost && isPort && !value.endsWith('/')
}

function secretOf(value: string): Secret<Uint8Array> | null | undefined {
  if (value === '') return null
  return /^[0-9a-f]{64}$/i.test(value) ? new Secret(new Uint8Array(Buffer.from(value, 'hex'))) : undefined
}

function credentialsOf(pairs: readonly (readonly [string, unknown])[]): Secret<Readonly<Record<string, string>>> | undefined {
  const record = recordOf(pairs)
  return record === undefined || pairs.length === 0 || Object.hasOwn(record, '') ? undefined : new Secret(record)
}

function recordOf(pairs: readonly (readonly [string, unknown])[]): Readonly<Record<string, string>> | undefined {
  return pairs.every(isTextPair) ? Object.fromEntries(pairs) : undefined
}

/** At least one rule, each with a secret and a path: a rule that opens nothing, or asks for nothing, is a mistake. */
function accessRulesOf(value: unknown): Secret<Readonly<Record<string, AccessRule>>> | undefined {
  if (!isRecord(value)) return undefined
  const rules: [string, AccessRule][] = []
  for (const [name, rule] of Object.entries(value)) {
    if (!isRecord(rule) || Object.keys(rule).some(key => key !== 'AuthSecret' && key !== 'AllowedPaths')) return undefined
    const { AuthSecret: secret, AllowedPaths: paths } = rule
    if (typeof secret !== 'string' || !/^(?:bearer:.|basic:.*:|(?:Bearer|Basic) .)/s.test(secret)) return undefined
    if (!isTexts(paths) || !(paths as readonly string[]).some(path => path !== '')) return undefined
    rules.push([name, { secret, paths: (paths as readonly string[]).filter(path => path !== '') }])
  }
  return rules.length === 0 ? undefined : new Secret(Object.fromEntries(rules))
}

/** `a:b,c:d`. What has no colon has no value, and fits nothing. */
function pairsOf(value: string): readonly (readonly [string, string | undefined])[] {
  if (value.trim() === '') return []
  return value.split(',').map(pair => {
    const colon = pair.indexOf(':')
    return colon === -1 ? [pair, undefined] : [pair.slice(0, colon), pair.slice(colon + 1)]
  })
}

function isTextPair(pair: readonly [string, unknown]): pair is readonly [string, string] {
  return typeof pair[1] === 'string'
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(item => typeof item === 'string')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch {
    return undefined
  }
}
