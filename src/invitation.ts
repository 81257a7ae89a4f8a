/**
 * What a peer needs to join a cluster, in one line of text: which cluster, its secret, and where its members are. Whoever has it can become a member, so
 * it is no argument of a command and stands in no log.
 */
import { parseMultiaddr } from './codec.ts'
import { ClusterError } from './errors.ts'
import { Secret } from './secret.ts'
import type { Multiaddr } from './types.ts'
import { listField, objectOf, textField } from './wire-fields.ts'

export interface Invitation {
  readonly clusterId: string
  /** 32 bytes; `null` where the cluster has none. */
  readonly secret: Secret<Uint8Array> | null
  /** At least one. */
  readonly addresses: readonly Multiaddr[]
}

/** The number is that of the format. */
const head = 'flotilla-invitation-1:'

export function formatInvitation({ clusterId, secret, addresses }: Invitation): string {
  const json = { cluster: clusterId, secret: secret === null ? '' : Buffer.from(secret.reveal()).toString('hex'), addresses }
  return `${head}${Buffer.from(JSON.stringify(json)).toString('base64url')}`
}

/** @throws ClusterError `invalid`, without showing any of the text */
export function parseInvitation(text: string): Invitation {
  const line = text.trim()
  if (!looksLikeInvitation(line)) throw invalid('an invitation is one line that "flotilla peers add" prints on a member')
  try {
    const from = objectOf(JSON.parse(Buffer.from(line.slice(head.length), 'base64url').toString()), 'invitation')
    const secret = Buffer.from(textField(from, 'secret'), 'hex')
    const addresses = listField(from, 'addresses', parseMultiaddr)
    const clusterId = textField(from, 'cluster')
    if (clusterId === '' || addresses.length === 0 || (secret.length !== 0 && secret.length !== 32)) throw new Error('a part is missing')
    return { clusterId, secret: secret.length === 0 ? null : new Secret<Uint8Array>(secret), addresses }
  } catch {
    // The reason would show a part of the text.
    throw invalid('the invitation is damaged: take the whole line that "flotilla peers add" prints')
  }
}

export function looksLikeInvitation(text: string): boolean {
  return text.startsWith(head)
}

function invalid(message: string): ClusterError {
  return new ClusterError({ code: 'invalid' }, message)
}
