/** `service.json` on disk: read with the variables of the environment on top, written for its owner's eyes only, and never half. */
import { randomBytes } from 'node:crypto'
import { link, open, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type ConfigChanges, places } from './config.ts'
import { type ParsedConfig, parseConfig, put, type Variables } from './config-parse.ts'
import { environment } from './environment.ts'
import { ClusterError, messageOf } from './errors.ts'

/** The folder of a peer: $FLOTILLA_PATH, else $IPFS_CLUSTER_PATH, else ~/.flotilla. */
export function peerFolder(variables: Variables = environment()): string {
  return resolve(variables.FLOTILLA_PATH || variables.IPFS_CLUSTER_PATH || join(homedir(), '.flotilla'))
}

export function configFileOf(folder: string): string {
  return join(folder, 'service.json')
}

/** @throws ClusterError `cannot_start`: missing, unreadable, not JSON, an unknown key, a value that does not fit */
export async function loadConfig(file: string, variables: Variables = environment()): Promise<ParsedConfig> {
  return parseConfig(await textOf(file), { file, variables })
}

/** The text of a new `service.json`: every key that has an effect, with its default unless `changes` says otherwise. */
export function formatConfig(changes: ConfigChanges): string {
  const json: Record<string, unknown> = {}
  for (const { names, row } of places) {
    if (row.isInert) continue
    const value = at(changes, names)
    put(json, row.path.split('.'), row.kind.toJson(value === undefined ? row.default : value))
  }
  return `${JSON.stringify(json, null, 2)}\n`
}

/**
 * @param options.replace `false` refuses to overwrite, and changes nothing then
 * @throws ClusterError `cannot_start`
 */
export async function writeConfig(file: string, changes: ConfigChanges, { replace }: { replace: boolean }): Promise<void> {
  await writeWhole(file, formatConfig(changes), { replace })
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const hint = isMissing ? 'it does not exist, "flotilla init" makes one' : reasonOf(error)
    throw cannotStart(`the configuration ${file} cannot be read: ${hint}`, error)
  }
}

/** Under a name of its own first, and on disk before it takes its place: a power cut leaves the old file or the new one. */
async function writeWhole(file: string, text: string, { replace }: { replace: boolean }): Promise<void> {
  const fresh = join(dirname(file), `.service.json.${randomBytes(6).toString('hex')}`)
  try {
    await using handle = await open(fresh, 'wx', 0o600)
    await handle.writeFile(text)
    await handle.sync()
    // A link, unlike a rename, fails where there is something already.
    if (replace) await rename(fresh, file)
    else await link(fresh, file)
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST'
    throw cannotStart(
      isThere ? `${file} exists already; --force overwrites it` : `the configuration cannot be written to ${file}: ${reasonOf(error)}`,
      error
    )
  } finally {
    await rm(fresh, { force: true })
  }
}

function at(changes: unknown, names: readonly string[]): unknown {
  return names.reduce((value, name) => (value as Readonly<Record<string, unknown>> | undefined)?.[name], changes)
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EISDIR: 'it is a folder',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'a file is in the way of its folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only'
}

function reasonOf(error: unknown): string {
  return reasons[String((error as NodeJS.ErrnoException).code)] ?? messageOf(error)
}

function cannotStart(message: string, cause: unknown): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message, { cause })
}
