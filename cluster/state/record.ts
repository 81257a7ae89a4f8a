/**
 * A pin as bytes: the value of a row and the body of an operation. A tuple, so that field names are not stored a million times.
 * The first number is the version of the layout; a layout that is not known is refused, never guessed.
 */
import { decode, encode } from 'cborg'
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { Cid, Multiaddr, PeerId, Pin, PinType } from '../../src/types.ts'

const layout = 1
const pinTypes = ['pin', 'meta-pin', 'clusterdag-pin', 'shard-pin'] as const satisfies readonly PinType[]

/** Looked at by hand, in the order of the tuple: every peer reads every pin, and a schema library takes ten times as long. */
const isInteger = (value: unknown): boolean => Number.isSafeInteger(value)
const isText = (value: unknown): boolean => typeof value === 'string'
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText)
const isBytesOrNull = (value: unknown): boolean => value === null || value instanceof Uint8Array
const isTextMap = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isText)
const fieldChecks: readonly ((value: unknown) => boolean)[] = [
  value => value === layout,
  value => isInteger(value) && pinTypes[value as number] !== undefined, // type
  isText, // name
  isInteger, // replication minimum
  isInteger, // replication maximum
  isTexts, // allocations
  value => value === null || typeof value === 'number', // expires at, Unix ms
  isTextMap, // metadata
  isBytesOrNull, // pin update
  isTexts, // origins
  isInteger, // maximal depth
  isBytesOrNull, // reference
  value => typeof value === 'number', // shard size
  value => typeof value === 'number', // timestamp, Unix ms
  isInteger // version
]
type Fields = [
  layout: number,
  type: number,
  name: string,
  replicationMin: number,
  replicationMax: number,
  allocations: string[],
  expireAt: number | null,
  metadata: Readonly<Record<string, string>>,
  pinUpdate: Uint8Array | null,
  origins: string[],
  maxDepth: number,
  reference: Uint8Array | null,
  shardSize: number,
  timestamp: number,
  version: number
]

function isFields(value: unknown): value is Fields {
  return Array.isArray(value) && value.length === fieldChecks.length && fieldChecks.every((check, position) => check(value[position]))
}

/** `pin` without its CID, which is the key of the row. */
export function encodePin(pin: Pin): Uint8Array {
  const fields: Fields = [
    layout,
    pinTypes.indexOf(pin.type),
    pin.name,
    pin.replicationMin,
    pin.replicationMax,
    [...pin.allocations],
    pin.expireAt,
    pin.metadata,
    pin.pinUpdate && cidBytes(pin.pinUpdate),
    [...pin.origins],
    pin.maxDepth,
    pin.reference && cidBytes(pin.reference),
    pin.shardSize,
    pin.timestamp,
    pin.version
  ]
  return encode(fields)
}

/** A pin that is not agreed yet (version 0), with its bytes and those of its CID. */
export interface PinRecord {
  readonly pin: Pin
  readonly cid: Uint8Array
  readonly bytes: Uint8Array
}

export function recordOf(pin: Pin): PinRecord {
  const fresh = { ...pin, version: 0 }
  return { pin: fresh, cid: cidBytes(pin.cid), bytes: encodePin(fresh) }
}

/**
 * The same record with another version, by its last bytes: half of the cost of applying a pin would be to encode again what has just been decoded.
 *
 * @param record of a pin at version 0
 */
export function withVersion(record: Uint8Array, version: number): Uint8Array {
  const number = encode(version)
  const head = record.length - 1
  const result = Buffer.allocUnsafe(head + number.length)
  result.set(record.subarray(0, head))
  result.set(number, head)
  return result
}

/** @throws Error where the bytes are not a pin: the store or the log is damaged, or newer than this program */
export function decodePin(cid: Cid, value: Uint8Array): Pin {
  const fields: unknown = decode(value)
  if (!isFields(fields)) throw new Error(`the record of pin ${cid} is not of a layout this version knows`)
  const [
    ,
    type,
    name,
    replicationMin,
    replicationMax,
    allocations,
    expireAt,
    metadata,
    pinUpdate,
    origins,
    maxDepth,
    reference,
    shardSize,
    timestamp,
    version
  ] = fields
  return {
    cid,
    type: pinTypes[type] ?? 'pin',
    name,
    mode: maxDepth === 0 ? 'direct' : 'recursive',
    replicationMin,
    replicationMax,
    // Parsed before they were written: brands come back as they went in.
    allocations: allocations as PeerId[],
    expireAt,
    metadata,
    pinUpdate: pinUpdate && cidFromBytes(pinUpdate),
    origins: origins as Multiaddr[],
    maxDepth,
    reference: reference && cidFromBytes(reference),
    shardSize,
    timestamp,
    version
  }
}
