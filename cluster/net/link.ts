/** What travels in frames between two peers: greetings, calls with one answer each, and messages without one. */
import { decode, encode } from 'cborg'
import { z } from 'zod'
import { ClusterError, type Fault, messageOf } from '../../src/errors.ts'
import type { PeerId } from '../../src/types.ts'
import type { Frames } from './frames.ts'

export const kinds = { hello: 0, request: 1, answer: 2, fault: 3, cancel: 4, message: 5 } as const

export interface Hello {
  readonly version: number
  /** `null` while the peer belongs to none. */
  readonly clusterId: string | null
  readonly name: string
}

const helloShape = z.tuple([z.number(), z.string().nullable(), z.string()])
const faultShape = z.object({ fault: z.looseObject({ code: z.string() }), message: z.string() })

export function encodeHello({ version, clusterId, name }: Hello): Uint8Array {
  return Buffer.concat([Buffer.of(kinds.hello), encode([version, clusterId, name])])
}

export function decodeHello(frame: Buffer): Hello {
  const [version, clusterId, name] = helloShape.parse(decode(frame.subarray(1)))
  return { version, clusterId, name }
}

/** Kind, number of the call, length of the name, name, payload. */
export function sendRequest(frames: Frames, id: number, method: string, payload: Uint8Array): boolean {
  return frames.send(head(kinds.request, id), named(method), payload)
}

export function sendMessage(frames: Frames, channel: string, payload: Uint8Array): boolean {
  return frames.send(head(kinds.message, 0), named(channel), payload)
}

export function sendAnswer(frames: Frames, id: number, payload: Uint8Array): boolean {
  return frames.send(head(kinds.answer, id), payload)
}

export function sendCancel(frames: Frames, id: number): boolean {
  return frames.send(head(kinds.cancel, id))
}

/** A fault travels as code and message; what is not a fault of ours keeps its message only. */
export function sendFault(frames: Frames, id: number, error: unknown): boolean {
  const fault: Fault = error instanceof ClusterError ? error.fault : { code: 'refused' }
  return frames.send(head(kinds.fault, id), encode({ fault, message: messageOf(error) }))
}

export function decodeFault(payload: Uint8Array): ClusterError {
  const { fault, message } = faultShape.parse(decode(payload))
  // Peers of one cluster use the same codes; an unknown one is shown with its message and treated as a refusal.
  return new ClusterError(fault as unknown as Fault, message)
}

/** @throws RangeError for a frame that is too short */
export function readHead(frame: Buffer): { readonly kind: number; readonly id: number; readonly body: Buffer } {
  return { kind: frame.readUInt8(0), id: frame.readUInt32BE(1), body: frame.subarray(5) }
}

export function readNamed(body: Buffer): { readonly name: string; readonly payload: Buffer } {
  const length = body.readUInt8(0)
  return { name: body.toString('utf8', 1, 1 + length), payload: body.subarray(1 + length) }
}

function head(kind: number, id: number): Buffer {
  const bytes = Buffer.allocUnsafe(5)
  bytes.writeUInt8(kind, 0)
  bytes.writeUInt32BE(id, 1)
  return bytes
}

const names = new Map<string, Buffer>()

function named(name: string): Buffer {
  let bytes = names.get(name)
  if (bytes === undefined) {
    const text = Buffer.from(name)
    bytes = Buffer.concat([Buffer.of(text.length), text])
    names.set(name, bytes)
  }
  return bytes
}

export function unreachablePeer(peer: PeerId | null, reason: string): ClusterError {
  return new ClusterError({ code: 'peer_unreachable', peer }, peer === null ? reason : `peer ${peer} does not answer: ${reason}`)
}
