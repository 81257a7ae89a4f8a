/**
 * From the text of `service.json` and the variables of the environment to a {@link Config}. Every mistake is one sentence with the file, the key,
 * what was found and what is expected; the value of a secret is in none of them.
 */

import { type Config, type ConfigChanges, type Place, places, variableOf } from './config.ts'
import { refused, withoutUse } from './config-foreign.ts'
import { ClusterError } from './errors.ts'
import { brokenPlace } from './json-place.ts'

export interface ParsedConfig {
  readonly config: Config
  /** Keys and variables that are known or may be meant for us, and have no effect. */
  readonly ignored: readonly string[]
}

export type Variables = Readonly<Record<string, string | undefined>>

const byPath = new Map(places.map(place => [place.row.path, place]))
const knownPaths = [...byPath.keys(), ...Object.keys(withoutUse), ...Object.keys(refused)]
/** Every section there is: `api`, `api.restapi`, … */
const sections = new Set(knownPaths.flatMap(path => path.split('.').map((_, depth, names) => names.slice(0, depth).join('.'))))
/** Beside the rows: those of the identity, of the command line of ipfs-cluster, and those that {@link refused} takes care of. */
const usedVariables = new Set([
  ...places.filter(({ row }) => !row.isInert).map(({ row }) => row.variable),
  ...Object.keys(refused).map(variableOf),
  'CLUSTER_ID',
  'CLUSTER_PRIVATEKEY',
  'CLUSTER_CREDENTIALS'
])
const doors = ['restapi', 'ipfsproxy', 'pinsvcapi']

/**
 * @param source.file for the messages
 * @throws ClusterError `cannot_start`
 */
export function parseConfig(text: string, { file, variables }: { file: string; variables: Variables }): ParsedConfig {
  const json = objectOf(text, file)
  const found = read(json, file)
  const values = new Map<Place, unknown>(places.map(place => [place, place.row.default]))
  for (const [place, value] of found.values) values.set(place, value)
  for (const [place, value] of fromVariables(variables)) values.set(place, value)
  const table = nested(values)
  const api = isObject(json.api) ? json.api : undefined
  const closed = api ? doors.filter(door => !isObject(api[door])).map(door => [door, null]) : []
  // Every place has a value now, and the places are those of the type.
  const config = { ...table, api: { ...(table.api as object), ...Object.fromEntries(closed) } } as unknown as Config
  checkTogether(config, file)
  return { config, ignored: [...found.unused, ...unusedVariables(variables)] }
}

/** The places that variables speak about, with their values. */
function fromVariables(variables: Variables): readonly (readonly [Place, unknown])[] {
  for (const path of Object.keys(refused)) {
    const text = variables[variableOf(path)]
    if (text !== undefined) refuse(path, text, `the variable ${variableOf(path)}`)
  }
  return places.flatMap(place => {
    const { variable, kind } = place.row
    const text = variables[variable]
    if (text === undefined || (text === '' && kind.keepsOnEmptyText)) return []
    const value = kind.fromText(text)
    if (value === undefined) throw misfit(`the variable ${variable}`, text, place)
    return [[place, value] as const]
  })
}

/** Variables with the prefix of ours that change nothing: inert, without use, or unknown. They may be somebody else's, so they are no error. */
export function unusedVariables(variables: Variables): readonly string[] {
  const names = Object.keys(variables).filter(name => name.startsWith('CLUSTER_') && variables[name] !== undefined)
  return names.filter(name => !usedVariables.has(name)).sort()
}

function refuse(path: string, value: unknown, where: string): void {
  const refusal = refused[path]
  if (refusal && !refusal.isHarmless(value)) throw cannotStart(`${where} cannot be used: ${refusal.because}`)
}

/** What the variables say, for a file that is to be written. @throws ClusterError `cannot_start` naming the variable */
export function changesFromVariables(variables: Variables): ConfigChanges {
  return nested(fromVariables(variables)) as ConfigChanges
}

/** Values by place as one object, in the shape of the table. */
function nested(values: Iterable<readonly [Place, unknown]>): Readonly<Record<string, unknown>> {
  const config: Record<string, unknown> = {}
  for (const [{ names }, value] of values) put(config, names, value)
  return config
}

/** Sets a value deep inside, making the objects on the way. */
export function put(target: Record<string, unknown>, [first, ...rest]: readonly string[], value: unknown): void {
  if (first === undefined) return
  if (rest.length === 0) target[first] = value
  else put((target[first] ??= {}) as Record<string, unknown>, rest, value)
}

/** The text as a JSON object. @throws ClusterError `cannot_start` with the line and the column */
function objectOf(text: string, file: string): Readonly<Record<string, unknown>> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    const place = brokenPlace(text)
    const where = place ? ` at line ${place.line}, column ${place.column}` : ''
    throw cannotStart(`${file} is not JSON${where}: look there for a missing or extra comma, quote or bracket`)
  }
  if (!isObject(json)) throw cannotStart(`${file} is ${sortOf(json)}, expected a JSON object with sections such as "cluster"`)
  return json
}

interface Found {
  readonly values: Map<Place, unknown>
  /** Keys that are known but have no effect. */
  readonly unused: string[]
}

function read(json: Readonly<Record<string, unknown>>, file: string): Found {
  const found: Found = { values: new Map(), unused: [] }
  const unknown: string[] = []
  for (const [path, value] of leaves(json, '', file)) {
    const place = byPath.get(path)
    if (place !== undefined) {
      const parsed = place.row.kind.fromJson(value)
      if (parsed === undefined) throw misfit(`${file}: ${path}`, value, place)
      found.values.set(place, parsed)
      if (place.row.isInert) found.unused.push(path)
    } else if (path in refused) {
      refuse(path, value, `${file}: ${path}`)
    } else if (path in withoutUse) found.unused.push(path)
    else unknown.push(`${path}${suggestion(path)}`)
  }
  if (unknown.length > 0) throw cannotStart(`${file}: unknown ${unknown.length === 1 ? 'key' : 'keys'} ${unknown.join('; ')}`)
  return found
}

/** Every key with its value. What is known as a whole, and what is not known at all, is not looked into. */
function* leaves(json: Readonly<Record<string, unknown>>, prefix: string, file: string): Iterable<readonly [string, unknown]> {
  for (const [name, value] of Object.entries(json)) {
    const path = `${prefix}${name}`
    if (!sections.has(path)) yield [path, value]
    else if (isObject(value)) yield* leaves(value, `${path}.`, file)
    else if (value !== null) throw cannotStart(`${file}: ${path} is ${sortOf(value)}, expected a section, that is a JSON object`)
  }
}

function checkTogether({ cluster, api }: Config, file: string): void {
  const { replicationFactorMin: min, replicationFactorMax: max } = cluster
  if (min === 0 || max === 0 || (min === -1) !== (max === -1) || min > max) {
    const expected = 'expected both -1, or both 1 or more and the minimum not above the maximum'
    throw cannotStart(`${file}: cluster.replication_factor_min is ${min} and cluster.replication_factor_max is ${max}, ${expected}`)
  }
  for (const [path, addresses] of [
    ['cluster.listen_multiaddress', cluster.listenMultiaddress],
    ['api.restapi.http_listen_multiaddress', api.restapi?.httpListenMultiaddress],
    ['api.ipfsproxy.listen_multiaddress', api.ipfsproxy?.listenMultiaddress]
  ] as const) {
    if (addresses?.length === 0) throw cannotStart(`${file}: ${path} is empty, expected at least one address`)
    const encrypted = addresses?.find(isEncrypted)
    if (encrypted !== undefined)
      throw cannotStart(`${file}: ${path} is ${encrypted}, but there is no TLS here: put a TLS proxy in front of it`)
  }
  if (!cluster.listenMultiaddress.some(address => /\/tcp\/\d+$/.test(address))) {
    throw cannotStart(`${file}: cluster.listen_multiaddress has no TCP address, expected one such as /ip4/0.0.0.0/tcp/9096`)
  }
}

function isEncrypted(address: string): boolean {
  return /\/(tls|https|wss)(\/|$)/.test(address)
}

function misfit(where: string, value: unknown, { row }: Place): ClusterError {
  return cannotStart(`${where} is ${row.kind.show?.(value) ?? shown(value)}, expected ${row.kind.expected}`)
}

/** The key that was probably meant: the same name in another section, or one that differs by a few letters. */
function suggestion(path: string): string {
  const name = nameOf(path)
  const elsewhere = name === '' ? undefined : knownPaths.find(known => nameOf(known) === name)
  const [nearest] = knownPaths.map(known => ({ known, steps: distance(known, path) })).sort((a, b) => a.steps - b.steps)
  const meant = elsewhere ?? (nearest && nearest.steps <= Math.max(2, path.length / 4) ? nearest.known : undefined)
  return meant === undefined ? '' : ` (did you mean ${meant}?)`
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1)
}

/** Levenshtein's: letters added, removed or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [line, letter] of [...a].entries()) {
    const next = [line + 1]
    for (let column = 1; column <= b.length; column++) {
      const changed = (row[column - 1] ?? 0) + (letter === b[column - 1] ? 0 : 1)
      next.push(Math.min((row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1, changed))
    }
    row = next
  }
  return row[b.length] ?? 0
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`
}

/** Without the value: what stands in the place of a section may be a secret that slipped. */
function sortOf(value: unknown): string {
  return Array.isArray(value) ? 'a list' : value === null ? 'null' : typeof value === 'string' ? 'text' : `a ${typeof value}`
}

function cannotStart(message: string): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message)
}
