/** `identity.json` as ipfs-cluster writes it: the peer id and its private key (libp2p's protobuf, in base64). */
import { readFile, writeFile } from 'node:fs/promises'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { z } from 'zod'
import { parsePeerId } from '../../src/codec.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'

export interface PeerIdentity {
  readonly id: PeerId
  /** Never logged. */
  readonly privateKey: PrivateKey
}

const shape = z.object({ id: z.string(), private_key: z.string() })

/** A new Ed25519 identity; nothing is written. */
export async function createIdentity(): Promise<PeerIdentity> {
  return identityOf(await generateKeyPair('Ed25519'))
}

/** The text of `identity.json`. It holds the secret key. */
export function formatIdentity({ id, privateKey }: PeerIdentity): string {
  return JSON.stringify({ id, private_key: Buffer.from(privateKeyToProtobuf(privateKey)).toString('base64') }, null, 4)
}

/**
 * Readable by its owner only. Never overwrites: a peer that loses its key is another peer.
 * @throws ClusterError `cannot_start`
 */
export async function writeIdentity(file: string, identity: PeerIdentity): Promise<void> {
  try {
    await writeFile(file, formatIdentity(identity), { mode: 0o600, flag: 'wx', flush: true })
  } catch (error) {
    const hint = (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'there is one already, and it is not overwritten' : messageOf(error)
    throw cannotStart(`the identity cannot be written to ${file}: ${hint}`)
  }
}

/** @throws ClusterError `cannot_start`: no such file, not readable, not an identity, or id and key do not fit */
export async function loadIdentity(file: string): Promise<PeerIdentity> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const hint = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it does not exist: run "flotilla init" first' : messageOf(error)
    throw cannotStart(`the identity in ${file} cannot be read: ${hint}`)
  }
  return parseIdentity(text, file)
}

/**
 * Reads the text of `identity.json`, of this system or of ipfs-cluster: an Ed25519 or an RSA key. `CLUSTER_ID` and `CLUSTER_PRIVATEKEY` make
 * such a text too: `{"id": …, "private_key": …}`.
 * @param file where the text comes from, for the message
 * @throws ClusterError `cannot_start`
 */
export function parseIdentity(text: string, file: string): PeerIdentity {
  let identity: PeerIdentity
  let named: PeerId
  try {
    const { id, private_key } = shape.parse(JSON.parse(text))
    named = parsePeerId(id)
    identity = identityOf(privateKeyFromProtobuf(Buffer.from(private_key, 'base64')))
  } catch {
    // The reason is not shown: it may quote the key.
    throw cannotStart(`${file} is not an identity: expected {"id": "<peer id>", "private_key": "<base64>"}`)
  }
  if (identity.id !== named) throw cannotStart(`${file} names peer ${named}, but its key belongs to ${identity.id}`)
  return identity
}

function identityOf(privateKey: PrivateKey): PeerIdentity {
  return { id: parsePeerId(peerIdFromPrivateKey(privateKey).toString()), privateKey }
}

function cannotStart(message: string): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message)
}
