/**
 * An invitation on its way into a folder: read from where no process list shows it, its secret kept in `service.json`, the rest in `invitation.json`,
 * which says to the first start of the peer whom to join.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseMultiaddr } from '../src/codec.ts'
import type { Variables } from '../src/config-parse.ts'
import { ClusterError, messageOf } from '../src/errors.ts'
import { type Invitation, looksLikeInvitation, parseInvitation } from '../src/invitation.ts'
import type { Multiaddr } from '../src/types.ts'
import { listField, objectOf, textField } from '../src/wire-fields.ts'

/** Whom to join: an invitation without its secret. */
export interface Host {
  readonly clusterId: string
  readonly addresses: readonly Multiaddr[]
}

/**
 * @param source `-` for stdin, or a file; without it, the variable FLOTILLA_INVITATION
 * @returns `undefined` where there is none
 * @throws ClusterError `invalid`
 */
export async function readInvitation(
  source: string | undefined,
  { FLOTILLA_INVITATION: variable }: Variables
): Promise<Invitation | undefined> {
  if (source === undefined) return variable ? parseInvitation(variable) : undefined
  if (looksLikeInvitation(source)) {
    const ways = 'by stdin (--join -), in a file (--join FILE), or in the variable FLOTILLA_INVITATION'
    throw new ClusterError({ code: 'invalid' }, `every process list shows what stands on the command line: give the invitation ${ways}`)
  }
  if (source === '-') return parseInvitation(await text(process.stdin))
  try {
    return parseInvitation(await readFile(source, 'utf8'))
  } catch (error) {
    if (error instanceof ClusterError) throw error
    throw new ClusterError({ code: 'invalid' }, `the invitation cannot be read from ${source}: ${messageOf(error)}`, { cause: error })
  }
}

function fileOf(folder: string): string {
  return join(folder, 'invitation.json')
}

export async function keepHost(folder: string, { clusterId, addresses }: Host): Promise<void> {
  await writeFile(fileOf(folder), `${JSON.stringify({ cluster_id: clusterId, addresses }, null, 2)}\n`, { mode: 0o600 })
}

/** Whom a new peer of this folder joins; `undefined` where it was not invited. @throws ClusterError `cannot_start` */
export async function hostOf(folder: string): Promise<Host | undefined> {
  const file = fileOf(folder)
  try {
    const from = objectOf(JSON.parse(await readFile(file, 'utf8')), 'invitation')
    return { clusterId: textField(from, 'cluster_id'), addresses: listField(from, 'addresses', parseMultiaddr) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ClusterError({ code: 'cannot_start' }, `${file} cannot be used: ${messageOf(error)}`, { cause: error })
  }
}
