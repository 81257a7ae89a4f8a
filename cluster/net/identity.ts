/** Who this peer is: a libp2p key pair, kept in `identity.json` exactly as ipfs-cluster keeps it, so that a folder moves over unchanged. */
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'

export interface Identity {
  readonly id: PeerId
  /** Never logged; leaves the process only by {@link identityToJson}. */
  readonly privateKey: PrivateKey
}

/** A new Ed25519 identity, kept nowhere yet. */
export async function generateIdentity(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'))
}

/**
 * Makes a new identity and writes it to `path`, readable by the owner only. An identity that is there is never overwritten: a peer that
 * loses its key is another peer.
 * @throws ClusterError `cannot_start`
 */
export async function createIdentity(path: string): Promise<Identity> {
  const identity = await generateIdentity()
  try {
    await writeFile(path, identityToJson(identity), { mode: 0o600, flag: 'wx', flush: true })
    // The mode of a new file passes through the umask, which may only take away; nothing wider can come out.
    await chmod(path, 0o600)
  } catch (error) {
    const reason = codeOf(error) === 'EEXIST' ? 'there is one already, and it is not overwritten' : messageOf(error)
    throw cannotStart(`the identity cannot be written to ${path}: ${reason}`, error)
  }
  return identity
}

/** @throws ClusterError `cannot_start` where the file is missing, is not an identity, or its id and key do not belong together */
export async function loadIdentity(path: string): Promise<Identity> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const reason = codeOf(error) === 'ENOENT' ? 'there is no such file: "flotilla init" makes one' : messageOf(error)
    throw cannotStart(`the identity cannot be read from ${path}: ${reason}`, error)
  }
  let fields: { id?: unknown; private_key?: unknown } | null
  try {
    fields = JSON.parse(text)
  } catch {
    // The parser's message quotes the text, and the text is a key.
    throw cannotStart(`${path} is not JSON: expected {"id": …, "private_key": …}`)
  }
  const { id, private_key: key } = fields ?? {}
  if (typeof id !== 'string' || typeof key !== 'string') throw cannotStart(`${path} is no identity: expected {"id": …, "private_key": …}`)
  return parseIdentity({ id, privateKey: key }, path)
}

/**
 * An identity from its two texts, as `CLUSTER_ID` and `CLUSTER_PRIVATEKEY` carry them. Ed25519 and RSA are what ipfs-cluster writes; any
 * key libp2p knows is taken.
 * @param from where the texts come from, for the message
 * @throws ClusterError `cannot_start`
 */
export function parseIdentity({ id, privateKey }: { id: string; privateKey: string }, from: string): Identity {
  let identity: Identity
  try {
    identity = identityOf(privateKeyFromProtobuf(Buffer.from(privateKey, 'base64')))
  } catch {
    throw cannotStart(`the private key in ${from} is none: expected the base64 of a libp2p private key, as "flotilla init" writes it`)
  }
  if (identity.id !== id) throw cannotStart(`the id in ${from} is ${id.slice(0, 120)}, but its private key belongs to ${identity.id}`)
  return identity
}

/** The text of `identity.json`. A secret. */
export function identityToJson({ id, privateKey }: Identity): string {
  return JSON.stringify({ id, private_key: Buffer.from(privateKeyToProtobuf(privateKey)).toString('base64') }, null, 4)
}

function identityOf(privateKey: PrivateKey): Identity {
  return { id: peerIdFromPrivateKey(privateKey).toString() as PeerId, privateKey } // libp2p's text is the canonical one
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

function cannotStart(message: string, cause?: unknown): ClusterError {
  return new ClusterError({ code: 'cannot_start' }, message, { cause })
}
