/** `service.json`: read with the variables of the environment on top, and written. Mistakes name the file, the key, what was found and what is expected. */
import { readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Config, type ConfigKey, defaults, ignoredKeys, rows } from './config.ts'
import { environment } from './environment.ts'
import { ClusterError, messageOf } from './errors.ts'

export interface LoadedConfig {
  readonly config: Config
  /** Keys that ipfs-cluster knows and this program ignores. */
  readonly ignored: readonly string[]
}

/** The folder of a peer: FLOTILLA_PATH, or IPFS_CLUSTER_PATH, or ~/.flotilla. */
export function peerFolder(): string {
  const { FLOTILLA_PATH, IPFS_CLUSTER_PATH } = environment()
  return FLOTILLA_PATH || IPFS_CLUSTER_PATH || join(homedir(), '.flotilla')
}

/** @throws ClusterError `cannot_start`: missing, unreadable, not JSON, an unknown key, a value of the wrong kind */
export async function loadConfig(
  file: string,
  variables: Readonly<Record<string, string | undefined>> = environment()
): Promise<LoadedConfig> {
  let content: string
  try {
    content = await readFile(file, 'utf8')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw cannotStart(
      `the configuration ${file} cannot be read: ${missing ? 'it does not exist; run "flotilla init" first' : messageOf(error)}`
    )
  }
  return parseConfig(content, { file, variables })
}

export function parseConfig(
  content: string,
  { file, variables }: { file: string; variables: Readonly<Record<string, string | undefined>> }
): LoadedConfig {
  let json: unknown
  try {
    json = JSON.parse(content)
  } catch {
    // The parser's own words quote the text around the mistake, and that may be the secret.
    throw cannotStart(`the configuration ${file} is not JSON: look for a missing comma or quote`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw cannotStart(`the configuration ${file} should be a JSON object`)
  const values: Partial<Record<ConfigKey, unknown>> = {}
  const ignored: string[] = []
  for (const [path, value] of leaves(json as Record<string, unknown>)) {
    if (path in rows) {
      const name = path as ConfigKey
      values[name] = read(name, kind => kind.fromJson(value), `${file}: ${path}`)
    } else if (ignoredKeys.some(pattern => pattern.test(path))) ignored.push(path)
    else throw cannotStart(`${file}: the key ${path} is not known${suggestion(path)}`)
  }
  for (const [name, { env }] of Object.entries(rows)) {
    const value = variables[env]
    if (value !== undefined) values[name as ConfigKey] = read(name as ConfigKey, kind => kind.fromText(value), `the variable ${env}`)
  }
  const config = { ...defaults(), ...values } as Config
  checkTogether(config, file)
  return { config, ignored }
}

/** The text of a new `service.json`: every key, with its default unless told otherwise. */
export function formatConfig(changes: Partial<Config>): string {
  const json: Record<string, unknown> = {}
  for (const [path, { kind, default: initial }] of Object.entries(rows)) {
    const value = path in changes ? changes[path as ConfigKey] : initial
    place(json, path.split('.'), (kind.toJson as (value: unknown) => unknown)(value))
  }
  return `${JSON.stringify(json, null, 2)}\n`
}

/** Readable by its owner only. `replace: false` refuses to overwrite. */
export async function writeConfig(file: string, changes: Partial<Config>, { replace }: { replace: boolean }): Promise<void> {
  await writeFile(file, formatConfig(changes), { mode: 0o600, flag: replace ? 'w' : 'wx' })
}

function read(
  name: ConfigKey,
  parse: (kind: { fromJson(value: unknown): unknown; fromText(text: string): unknown; expected: string }) => unknown,
  where: string
): unknown {
  const { kind } = rows[name]
  try {
    return parse(kind as never)
  } catch {
    // The value itself is not shown: some are secrets.
    throw cannotStart(`${where} has a value that does not fit: expected ${kind.expected}`)
  }
}

function checkTogether(config: Config, file: string): void {
  const min = config['cluster.replication_factor_min']
  const max = config['cluster.replication_factor_max']
  if (min === 0 || max === 0 || (min === -1) !== (max === -1) || min > max) {
    throw cannotStart(
      `${file}: cluster.replication_factor_min (${min}) and _max (${max}) do not fit together: expected both -1, or 1 or more with min at most max`
    )
  }
}

/** Every value that is not a section, with its path. A key that holds an object itself is a value. */
function* leaves(json: Record<string, unknown>, prefix = ''): Iterable<readonly [string, unknown]> {
  for (const [name, value] of Object.entries(json)) {
    const path = prefix + name
    const isSection = typeof value === 'object' && value !== null && !Array.isArray(value) && !(path in rows)
    if (isSection) yield* leaves(value as Record<string, unknown>, `${path}.`)
    else yield [path, value]
  }
}

function place(json: Record<string, unknown>, [first, ...rest]: readonly string[], value: unknown): void {
  if (first === undefined) return
  if (rest.length === 0) json[first] = value
  else place((json[first] ??= {}) as Record<string, unknown>, rest, value)
}

function suggestion(path: string): string {
  const [nearest] = Object.keys(rows)
    .map(name => ({ name, distance: distance(name, path) }))
    .sort((a, b) => a.distance - b.distance)
  return nearest && nearest.distance <= Math.max(3, path.length / 3) ? `; did you mean ${nearest.name}?` : ''
}

/** Levenshtein's: single letters added, removed or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

function cannotStart(message: string): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message)
}
