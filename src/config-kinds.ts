/** Kinds of configuration values: how JSON and the text of a variable become a value, and what to say when they do not. */
import { formatDuration, parseDuration, parseMultiaddr, parsePeerId } from './codec.ts'
import type { Multiaddr, PeerId } from './types.ts'

export interface Kind<T> {
  /** For errors and the reference page: what a value looks like. */
  readonly expected: string
  /** @throws anything where the value is not of this kind */
  readonly fromJson: (value: unknown) => T
  readonly fromText: (text: string) => T
  readonly toJson: (value: T) => unknown
}

export const text: Kind<string> = {
  expected: 'text',
  fromJson: value => must(typeof value === 'string', value as string),
  fromText: value => value,
  toJson: value => value
}

export function integer({ least = Number.MIN_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER } = {}): Kind<number> {
  const check = (value: number) => must(Number.isSafeInteger(value) && value >= least && value <= most, value)
  const range =
    least === Number.MIN_SAFE_INTEGER ? '' : most === Number.MAX_SAFE_INTEGER ? `, ${least} or more` : ` from ${least} to ${most}`
  return {
    expected: `a whole number${range}`,
    fromJson: value => check(value as number),
    fromText: value => must(/^-?\d+$/.test(value), check(Number(value))),
    toJson: value => value
  }
}

/** Go's text on the outside, milliseconds inside. */
export function duration({ leastMs = 0 } = {}): Kind<number> {
  const parse = (value: unknown) => {
    const ms = parseDuration(must(typeof value === 'string', value as string))
    return must(ms >= leastMs, ms)
  }
  const least = leastMs > 0 ? `, ${formatDuration(leastMs)} or more` : ''
  return { expected: `a duration such as 30s or 1h30m${least}`, fromJson: parse, fromText: parse, toJson: formatDuration }
}

export function choice<const T extends string>(...values: readonly T[]): Kind<T> {
  const parse = (value: unknown) => must(values.includes(value as T), value as T)
  return { expected: `one of ${values.join(', ')}`, fromJson: parse, fromText: parse, toJson: value => value }
}

/** One value may stand without brackets, as ipfs-cluster writes it. */
function list<T>(expected: string, parse: (item: string) => T): Kind<readonly T[]> {
  const items = (value: unknown) => (Array.isArray(value) ? value : [value]).map(item => parse(must(typeof item === 'string', item)))
  return {
    expected,
    fromJson: value => (value === null ? [] : items(value)),
    fromText: value => (value === '' ? [] : items(value.split(',').map(item => item.trim()))),
    toJson: value => [...value]
  }
}

export const multiaddrs: Kind<readonly Multiaddr[]> = list(
  'a multiaddress such as /ip4/127.0.0.1/tcp/9096, or a list of them',
  parseMultiaddr
)
export const peerIds: Kind<readonly PeerId[]> = list('a list of peer ids', parsePeerId)

/** The shared key: 64 hexadecimal digits, empty for none. Its text is in no error. */
export const secret: Kind<string> = {
  expected: '64 hexadecimal digits (32 bytes)',
  fromJson: value => must(typeof value === 'string' && /^([0-9a-f]{64})?$/i.test(value), value as string),
  fromText: value => must(/^([0-9a-f]{64})?$/i.test(value), value),
  toJson: value => value
}

/** Passwords by user, or `null`. */
export const credentials: Kind<Readonly<Record<string, string>> | null> = {
  expected: 'an object of user names and passwords, not empty, or null',
  fromJson: value => {
    if (value === null) return null
    const entries = Object.entries(must(typeof value === 'object', value as Record<string, string>))
    return must(
      entries.length > 0 && entries.every(([user, password]) => user !== '' && typeof password === 'string'),
      Object.fromEntries(entries)
    )
  },
  fromText: value =>
    value === ''
      ? null
      : Object.fromEntries(value.split(',').map(pair => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1)])),
  toJson: value => value
}

function must<T>(holds: boolean, value: T): T {
  if (!holds) throw new Error('not of this kind')
  return value
}
