/**
 * Entries and messages of Raft as bytes, big-endian. An entry is encoded once, and the same bytes go to the disk and to every peer; each ends in
 * a checksum. Sender and receiver of a message are not in the bytes: the connection is authenticated.
 */
import { crc32 } from 'node:zlib'
import { decode as decodeCbor, encode as encodeCbor } from 'cborg'
import { z } from 'zod'
import type { Configuration, Entry, Message, NodeId } from '../raft/types.ts'

const entryTypes = ['normal', 'empty', 'configuration'] as const satisfies readonly Entry['type'][]
const messageTypes = [
  'append',
  'append_reply',
  'heartbeat',
  'heartbeat_reply',
  'vote',
  'vote_reply'
] as const satisfies readonly Message['type'][]

/** Type, index, term and length before the data of an entry, the checksum behind it. */
const headBytes = 1 + 8 + 8 + 4
const crcBytes = 4

const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const configuration = z.array(z.tuple([z.string(), z.boolean(), bytes]))

export function encodeConfiguration({ members }: Configuration): Uint8Array {
  return encodeCbor(members.map(({ id, isVoter, context }) => [id, isVoter, context]))
}

/** @throws Error for bytes that are no configuration */
export function decodeConfiguration(data: Uint8Array): Configuration {
  return { members: configuration.parse(decodeCbor(data)).map(([id, isVoter, context]) => ({ id, isVoter, context })) }
}

const encoded = new WeakMap<Entry, Uint8Array>()

export function encodeEntry(entry: Entry): Uint8Array {
  const known = encoded.get(entry)
  if (known) return known
  const data =
    entry.type === 'normal' ? entry.data : entry.type === 'configuration' ? encodeConfiguration(entry.configuration) : new Uint8Array()
  const result = Buffer.allocUnsafe(headBytes + data.length + crcBytes)
  result[0] = entryTypes.indexOf(entry.type)
  result.writeBigUInt64BE(BigInt(entry.index), 1)
  result.writeBigUInt64BE(BigInt(entry.term), 9)
  result.writeUInt32BE(data.length, 17)
  result.set(data, headBytes)
  result.writeUInt32BE(crc32(result.subarray(0, headBytes + data.length)), headBytes + data.length)
  encoded.set(entry, result)
  return result
}

/** @throws Error for bytes that are no entry, or whose checksum is wrong */
export function decodeEntry(data: Uint8Array): Entry {
  const { entry, end } = entryAt(view(data), 0)
  if (end !== data.length) throw new Error('an entry has bytes behind its end')
  return entry
}

function entryAt(data: Buffer, at: number): { entry: Entry; end: number } {
  if (at + headBytes + crcBytes > data.length) throw new Error('an entry is cut off')
  const length = data.readUInt32BE(at + 17)
  const dataEnd = at + headBytes + length
  if (dataEnd + crcBytes > data.length) throw new Error('an entry is cut off')
  if (crc32(data.subarray(at, dataEnd)) !== data.readUInt32BE(dataEnd)) throw new Error('an entry has a wrong checksum')
  const raw = data.subarray(at, dataEnd + crcBytes)
  const body = data.subarray(at + headBytes, dataEnd)
  const index = safeNumber(data.readBigUInt64BE(at + 1))
  const term = safeNumber(data.readBigUInt64BE(at + 9))
  const type = entryTypes[data[at] ?? 255]
  if (type === undefined) throw new Error('an entry has an unknown type')
  const entry: Entry =
    type === 'normal'
      ? { index, term, type, data: body }
      : type === 'empty'
        ? { index, term, type }
        : { index, term, type, configuration: decodeConfiguration(body) }
  encoded.set(entry, raw)
  return { entry, end: dataEnd + crcBytes }
}

export function encodeMessage(message: Message): Uint8Array {
  const numbers = [message.term, ...numbersOf(message)]
  const entries = message.type === 'append' ? message.entries.map(encodeEntry) : []
  const head = Buffer.allocUnsafe(2 + 8 * numbers.length)
  head[0] = messageTypes.indexOf(message.type)
  head[1] = flagsOf(message)
  for (const [position, number] of numbers.entries()) head.writeBigUInt64BE(BigInt(number), 2 + 8 * position)
  return entries.length === 0 ? head : Buffer.concat([head, ...entries])
}

/** @throws Error for bytes that are no message */
export function decodeMessage(data: Uint8Array, { from, to }: { from: NodeId; to: NodeId }): Message {
  const bytes = view(data)
  const type = messageTypes[bytes[0] ?? 255]
  if (type === undefined) throw new Error('a message has an unknown type')
  const flags = bytes[1] ?? 0
  const number = (position: number) => {
    if (2 + 8 * (position + 1) > bytes.length) throw new Error('a message is cut off')
    return safeNumber(bytes.readBigUInt64BE(2 + 8 * position))
  }
  const envelope = { from, to, term: number(0) }
  switch (type) {
    case 'append':
      return {
        ...envelope,
        type,
        previousIndex: number(1),
        previousTerm: number(2),
        commit: number(3),
        entries: entriesFrom(bytes, 2 + 8 * 4)
      }
    case 'append_reply':
      return flags & 1
        ? { ...envelope, type, rejected: true, index: number(1), hintIndex: number(2), hintTerm: number(3) }
        : { ...envelope, type, rejected: false, index: number(1) }
    case 'heartbeat':
      return { ...envelope, type, commit: number(1), token: number(2) }
    case 'heartbeat_reply':
      return { ...envelope, type, token: number(1) }
    case 'vote':
      return { ...envelope, type, isPreVote: (flags & 2) !== 0, isTransfer: (flags & 4) !== 0, lastIndex: number(1), lastTerm: number(2) }
    case 'vote_reply':
      return { ...envelope, type, rejected: (flags & 1) !== 0, isPreVote: (flags & 2) !== 0 }
  }
}

function numbersOf(message: Message): readonly number[] {
  switch (message.type) {
    case 'append':
      return [message.previousIndex, message.previousTerm, message.commit]
    case 'append_reply':
      return message.rejected ? [message.index, message.hintIndex, message.hintTerm] : [message.index]
    case 'heartbeat':
      return [message.commit, message.token]
    case 'heartbeat_reply':
      return [message.token]
    case 'vote':
      return [message.lastIndex, message.lastTerm]
    case 'vote_reply':
      return []
  }
}

function flagsOf(message: Message): number {
  const rejected = 'rejected' in message && message.rejected ? 1 : 0
  const isPreVote = 'isPreVote' in message && message.isPreVote ? 2 : 0
  return rejected | isPreVote | ('isTransfer' in message && message.isTransfer ? 4 : 0)
}

function entriesFrom(data: Buffer, start: number): Entry[] {
  const entries: Entry[] = []
  for (let at = start; at < data.length; ) {
    const { entry, end } = entryAt(data, at)
    entries.push(entry)
    at = end
  }
  return entries
}

function safeNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error('a number is beyond 2^53')
  return Number(value)
}

function view(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
