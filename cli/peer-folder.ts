/** The folder of a peer: its configuration and its identity. */
import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createIdentity, loadIdentity, type PeerIdentity, parseIdentity, writeIdentity } from '../cluster/net/identity.ts'
import type { ConfigChanges } from '../src/config.ts'
import { configFileOf, writeConfig } from '../src/config-file.ts'
import type { Variables } from '../src/config-parse.ts'
import { environment } from '../src/environment.ts'
import { ClusterError, messageOf } from '../src/errors.ts'

export function identityFileOf(folder: string): string {
  return join(folder, 'identity.json')
}

/**
 * CLUSTER_ID and CLUSTER_PRIVATEKEY go over `identity.json`, as in ipfs-cluster; one without the other would be half an identity.
 * @throws ClusterError `cannot_start`
 */
export async function identityOf(folder: string, variables: Variables = environment()): Promise<PeerIdentity> {
  return fromVariables(variables) ?? loadIdentity(identityFileOf(folder))
}

export interface NewFolder {
  readonly identity: PeerIdentity
  readonly isNewIdentity: boolean
}

/**
 * Writes `service.json`, and `identity.json` where there is none. An identity is never replaced: a peer that loses its key is another peer.
 * @param options.force overwrites an existing `service.json`; without it nothing is changed then
 * @throws ClusterError `cannot_start`
 */
export async function initFolder(
  folder: string,
  changes: ConfigChanges,
  { force, variables = environment() }: { force: boolean; variables?: Variables }
): Promise<NewFolder> {
  const configFile = configFileOf(folder)
  const identityFile = identityFileOf(folder)
  if (!force && (await exists(configFile))) throw cannotStart(`${configFile} exists already; --force overwrites it`)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw cannotStart(`the folder ${folder} cannot be made: ${messageOf(error)}`, error)
  }
  const isNewIdentity = !(await exists(identityFile))
  const identity = isNewIdentity ? (fromVariables(variables) ?? (await createIdentity())) : await loadIdentity(identityFile)
  // In this order: a folder with a configuration is complete.
  if (isNewIdentity) await writeIdentity(identityFile, identity)
  await writeConfig(configFile, changes, { replace: force })
  return { identity, isNewIdentity }
}

export async function exists(file: string): Promise<boolean> {
  try {
    await access(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw cannotStart(`${file} cannot be looked at: ${messageOf(error)}`, error)
  }
}

function fromVariables({ CLUSTER_ID: id, CLUSTER_PRIVATEKEY: key }: Variables): PeerIdentity | undefined {
  if (!id && !key) return undefined
  if (!id || !key) throw cannotStart('CLUSTER_ID and CLUSTER_PRIVATEKEY are one identity: set both or none')
  return parseIdentity(JSON.stringify({ id, private_key: key }), 'the identity of CLUSTER_ID and CLUSTER_PRIVATEKEY')
}

function cannotStart(message: string, cause?: unknown): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message, { cause })
}
