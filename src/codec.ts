/** Text and bytes become nouns here, once, at the edge. Whatever cannot be understood ends as one sentence that says what was expected. */
import { base58btc } from 'multiformats/bases/base58'
import type { MultibaseDecoder } from 'multiformats/bases/interface'
import { bases } from 'multiformats/basics'
import { CID } from 'multiformats/cid'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'
import { bytesOfCid, textOfCid } from './base32.ts'
import { textOfOldCid } from './base58.ts'
import { ClusterError } from './errors.ts'
import { Recent } from './recent.ts'
import type { Cid, IpfsPath, Multiaddr, PeerId } from './types.ts'

/** Every multibase there is (Kubo takes them all), by its prefix character. */
const decoders = new Map<string, MultibaseDecoder<string>>(Object.values(bases).map(base => [base.prefix, base.decoder]))

function decodeCid(text: string): CID | undefined {
  try {
    // Version 0 has no prefix: no base starts with its "Q", and without a decoder the library takes base58btc.
    return CID.parse(text, decoders.get(String.fromCodePoint(text.codePointAt(0) ?? 0)))
  } catch {
    return undefined
  }
}

/** @throws ClusterError `invalid` */
export function parseCid(text: string): Cid {
  const cid = tryCid(text)
  if (cid === undefined) throw new ClusterError({ code: 'invalid' }, `"${shorten(text)}" is not a CID: expected text like bafybei… or Qm…`)
  return cid
}

export function tryCid(text: string): Cid | undefined {
  const bytes = bytesOfCid(text)
  if (bytes !== undefined) {
    remember(text as Cid, bytes)
    return text as Cid // canonical, or there would be no bytes
  }
  const cid = decodeCid(text)
  return cid && cidOf(cid)
}

/** The canonical text of a decoded CID. */
export function cidOf(cid: CID): Cid {
  return cid.toString() as Cid // version 0 in base58btc, version 1 in base32: the library's defaults
}

/** @returns bytes that are shared: nobody may change them */
export function cidBytes(cid: Cid): Uint8Array {
  return recentBytes.get(cid) ?? remember(cid, bytesOfCid(cid) ?? CID.parse(cid).bytes)
}

export function cidFromBytes(bytes: Uint8Array): Cid {
  return ((textOfCid(bytes) ?? textOfOldCid(bytes)) as Cid | undefined) ?? cidOf(CID.decode(bytes))
}

/** One pin is a key of several rows and a field of several messages within milliseconds: decoding base32 each time adds up. */
const recentBytes = new Recent<Cid, Uint8Array>(1_024)

function remember(cid: Cid, bytes: Uint8Array): Uint8Array {
  recentBytes.set(cid, bytes)
  return bytes
}

/** @throws ClusterError `invalid` */
export function parsePeerId(text: string): PeerId {
  const id = tryPeerId(text)
  if (id === undefined)
    throw new ClusterError({ code: 'invalid' }, `"${shorten(text)}" is not a peer id: expected text like 12D3Koo… or Qm…`)
  return id
}

/** Takes the base58 form and the CID form (libp2p-key) of a peer id; keeps the base58 one. */
export function tryPeerId(text: string): PeerId | undefined {
  try {
    const multihash = /^(Qm|1)/.test(text) ? base58btc.decode(`z${text}`) : libp2pKey(text)
    if (multihash === undefined) return undefined
    const { code, size } = decodeMultihash(multihash)
    // Identity hashes of short public keys, SHA-256 of long ones (libp2p specification, peer-ids).
    const isPeerId = (code === 0 && size > 0 && size <= 64) || (code === 0x12 && size === 32)
    return isPeerId ? (base58btc.encode(multihash).slice(1) as PeerId) : undefined
  } catch {
    return undefined
  }
}

function libp2pKey(text: string): Uint8Array | undefined {
  const cid = decodeCid(text)
  return cid?.code === 0x72 ? cid.multihash.bytes : undefined
}

/** @throws ClusterError `invalid` */
export function parseMultiaddr(text: string): Multiaddr {
  const parts = text.split('/')
  const looksRight = text.startsWith('/') && parts.length >= 3 && parts.slice(1).every(part => part !== '')
  if (!looksRight) {
    throw new ClusterError({ code: 'invalid' }, `"${shorten(text)}" is not a multiaddress: expected text like /ip4/127.0.0.1/tcp/9096`)
  }
  return text as Multiaddr
}

/** A CID, or a path under /ipfs, /ipns or /ipld; `/ipfs/<cid>` alone is the CID. @throws ClusterError `invalid` */
export function parseTarget(text: string): Cid | IpfsPath {
  const bare = tryCid(text)
  if (bare !== undefined) return bare
  const [, namespace, root, ...rest] = text.split('/')
  const isPath =
    text.startsWith('/') && (namespace === 'ipfs' || namespace === 'ipns' || namespace === 'ipld') && root !== undefined && root !== ''
  if (!isPath) {
    throw new ClusterError(
      { code: 'invalid' },
      `"${shorten(text)}" is neither a CID nor a path: expected bafybei…, Qm…, /ipfs/<cid>/… or /ipns/<name>`
    )
  }
  if (namespace === 'ipns') return text as IpfsPath
  const cid = parseCid(root)
  return rest.some(part => part !== '') ? (text as IpfsPath) : cid
}

/** Whether a target still has to be resolved by Kubo. */
export function isPath(target: Cid | IpfsPath): target is IpfsPath {
  return target.startsWith('/')
}

const unitMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** A Go duration (`1h30m`, `200ms`, `0`) in milliseconds. @throws ClusterError `invalid` @see https://pkg.go.dev/time#ParseDuration */
export function parseDuration(text: string): number {
  const match = /^([+-]?)((?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.exec(text)
  if (text === '0') return 0
  if (match === null)
    throw new ClusterError({ code: 'invalid' }, `"${shorten(text)}" is not a duration: expected text like 30s, 5m or 1h30m`)
  const sum = [...text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g)].reduce(
    (ms, [, number, unit]) => ms + Number(number) * (unitMs[unit ?? ''] ?? 0),
    0
  )
  return match[1] === '-' ? -sum : sum
}

/** Milliseconds as Go prints a duration: `1m30s`, `200ms`, `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  if (ms < 1_000) return `${ms}ms`
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor((ms % 3_600_000) / 60_000)
  const seconds = (ms % 60_000) / 1_000
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`
}

/** Bad input is shown back, but never all of a megabyte. */
function shorten(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 120)}…`
}
