/** What travels in frames between two peers: greetings, calls with one answer each, messages without one, and signs of life. */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { ClusterError, messageOf } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import { faultFromHeader, faultToHeader } from '../../src/wire-fault.ts'
import { lengthBytes } from './frames.ts'

/** The first byte of a frame. Numbers are never given a new meaning: a changed frame gets a new number. */
export const kinds = { hello: 0, request: 1, answer: 2, fault: 3, cancel: 4, message: 5, ping: 6, pong: 7 } as const

/** Of the frames: peers of two versions refuse each other. What calls carry is versioned by their method names. */
export const protocolVersion = 1

/** The first frame in each direction of a stream, and again from a peer that has joined a cluster meanwhile. */
export interface Hello {
  readonly version: number
  /** `null` while the peer belongs to none. */
  readonly clusterId: string | null
  /** For people. */
  readonly name: string
}

const text = z.string().max(1_024)
const helloShape = z.tuple([z.number(), text.nullable(), text])
const faultShape = z.tuple([z.string(), z.string()])

export function helloFrame({ version, clusterId, name }: Hello): Buffer {
  return framed(kinds.hello, 0, encode([version, clusterId, name]))
}

/** @throws Error where it is none */
export function readHello(body: Buffer): Hello {
  const [version, clusterId, name] = helloShape.parse(decode(body))
  return { version, clusterId, name }
}

/** Why two peers cannot work together, if so. A peer without a cluster fits everywhere: it may want to join. */
export function strangeness(
  peer: PeerId,
  { version, clusterId }: Pick<Hello, 'version' | 'clusterId'>,
  own: string | null
): ClusterError | undefined {
  if (version !== protocolVersion) {
    const message = `peer ${peer} speaks version ${version} of the peer protocol, this peer version ${protocolVersion}: run the same release on both`
    return new ClusterError({ code: 'refused' }, message)
  }
  if (clusterId === null || own === null || clusterId === own) return undefined
  const message = `peer ${peer} belongs to cluster ${clusterId}, this peer to cluster ${own}: two clusters with data cannot be merged`
  return new ClusterError({ code: 'wrong_cluster' }, message)
}

/** Head of a request: the payload follows. */
export function requestHead(id: number, method: string): Buffer {
  return namedHead(kinds.request, id, method)
}

/** Head of a message: the payload follows. */
export function messageHead(channel: string): Buffer {
  return namedHead(kinds.message, 0, channel)
}

/** Head of an answer: the payload follows. */
export function answerHead(id: number): Buffer {
  return framed(kinds.answer, id)
}

export function cancelFrame(id: number): Buffer {
  return framed(kinds.cancel, id)
}

export function pingFrame(): Buffer {
  return framed(kinds.ping, 0)
}

export function pongFrame(): Buffer {
  return framed(kinds.pong, 0)
}

/** A fault of ours travels with its code. Anything else is a bug over there: of that only the message travels. */
export function faultFrame(id: number, error: unknown): Buffer {
  const isTimeout = error instanceof DOMException && error.name === 'TimeoutError'
  const fault = error instanceof ClusterError ? error.fault : isTimeout ? ({ code: 'timeout' } as const) : undefined
  return framed(kinds.fault, id, encode([fault === undefined ? '' : faultToHeader(fault), messageOf(error).slice(0, 4_096)]))
}

/** The error as it was thrown; a plain Error for a bug over there, and for a code that this version does not know. @throws Error where it is none */
export function readFault(body: Buffer, peer: PeerId): Error {
  const [fault, message] = faultShape.parse(decode(body))
  const known = faultFromHeader(fault)
  return known === undefined ? new Error(`peer ${peer} failed: ${message}`) : new ClusterError(known, message)
}

export interface Head {
  readonly kind: number
  /** Number of the call; 0 where the frame belongs to none. */
  readonly id: number
  readonly body: Buffer
}

/** @throws RangeError for a frame that is too short */
export function readHead(frame: Buffer): Head {
  return { kind: frame.readUInt8(0), id: frame.readUInt32BE(1), body: frame.subarray(5) }
}

/** @throws RangeError for a frame that is too short */
export function readNamed(body: Buffer): { readonly name: string; readonly payload: Buffer } {
  const end = 1 + body.readUInt8(0)
  if (end > body.length) throw new RangeError('a name that is longer than its frame')
  return { name: body.toString('latin1', 1, end), payload: body.subarray(end) }
}

/** Names of methods and channels: short, and of one byte a character. */
export function isName(name: string): boolean {
  return /^[\x21-\x7e]{1,255}$/.test(name)
}

export function unreachablePeer(peer: PeerId | null, reason: string, cause?: unknown): ClusterError {
  return new ClusterError({ code: 'peer_unreachable', peer }, peer === null ? reason : `peer ${peer} does not answer: ${reason}`, { cause })
}

function namedHead(kind: number, id: number, name: string): Buffer {
  const head = framed(kind, id, undefined, 1 + name.length)
  head.writeUInt8(name.length, lengthBytes + 5)
  head.write(name, lengthBytes + 6, 'latin1')
  return head
}

function framed(kind: number, id: number, body?: Uint8Array, more = 0): Buffer {
  const frame = Buffer.allocUnsafe(lengthBytes + 5 + (body?.length ?? 0) + more)
  frame.writeUInt8(kind, lengthBytes)
  frame.writeUInt32BE(id, lengthBytes + 1)
  if (body !== undefined) frame.set(body, lengthBytes + 5)
  return frame
}
