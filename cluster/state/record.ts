/**
 * A pin as bytes: the value of a row and the body of an operation. A tuple, so that field names are not stored a million times.
 * The first number is the version of the layout; a layout that is not known is refused, never guessed.
 */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { cidBytes, cidFromBytes } from '../../src/codec.ts'
import type { Cid, Multiaddr, PeerId, Pin, PinType } from '../../src/types.ts'

const layout = 1
const pinTypes = ['pin', 'meta-pin', 'clusterdag-pin', 'shard-pin'] as const satisfies readonly PinType[]

const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const tuple = z.tuple([
  z.literal(layout),
  z
    .number()
    .int()
    .min(0)
    .max(pinTypes.length - 1),
  z.string(), // name
  z.number().int(), // replication minimum
  z.number().int(), // replication maximum
  z.array(z.string()), // allocations
  z.number().nullable(), // expires at, Unix ms
  z.record(z.string(), z.string()), // metadata
  bytes.nullable(), // pin update
  z.array(z.string()), // origins
  z.number().int(), // maximal depth
  bytes.nullable(), // reference
  z.number(), // shard size
  z.number(), // timestamp, Unix ms
  z.number().int() // version
])

/** `pin` without its CID, which is the key of the row. */
export function encodePin(pin: Pin): Uint8Array {
  const fields: z.input<typeof tuple> = [
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

/** @throws Error where the bytes are not a pin: the store or the log is damaged, or newer than this program */
export function decodePin(cid: Cid, value: Uint8Array): Pin {
  const fields = tuple.safeParse(decode(value))
  if (!fields.success) throw new Error(`the record of pin ${cid} is not of a layout this version knows`)
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
  ] = fields.data
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
