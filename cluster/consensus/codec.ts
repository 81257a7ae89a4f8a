/**
 * Entries and messages of Raft as bytes, big-endian. An entry is encoded once, and the same bytes go to the disk and to every peer; each ends in
 * a checksum. Sender and receiver of a message are not in the bytes: the connection is authenticated.
 *
 * What is decoded comes from other peers and from disks: whatever is no message or entry is an error, also where only a flag is unknown.
 */
import { crc32 } from 'node:zlib'
import { decode as decodeCbor, encode as encodeCbor } from 'cborg'
import { z } from 'zod'
import type { Configuration, Entry, Message, NodeId } from '../raft/types.ts'
import { cut } from './slab.ts'

const entryTypes = ['normal', 'empty', 'configuration'] as const satisfies readonly Entry['type'][]
const messageTypes = [
  'append',
  'append_reply',
  'heartbeat',
  'heartbeat_reply',
  'vote',
  'vote_reply',
  'commit',
  'timeout_now',
  'snapshot'
] as const satisfies readonly Message['type'][]

/** Type, index, term and length before the data of an entry, the checksum behind it. */
const headBytes = 1 + 8 + 8 + 4
const crcBytes = 4
const flag = { rejected: 1, preVote: 2, transfer: 4 } as const

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
const nothing = new Uint8Array()

/** Always the same bytes for the same entry, which must not be changed. */
export function encodeEntry(entry: Entry): Uint8Array {
  const known = encoded.get(entry)
  if (known) return known
  const data = dataOf(entry)
  const end = headBytes + data.length
  const result = cut(end + crcBytes)
  result[0] = entryTypes.indexOf(entry.type)
  writeNumber(result, entry.index, 1)
  writeNumber(result, entry.term, 9)
  result.writeUInt32BE(data.length, 17)
  result.set(data, headBytes)
  result.writeUInt32BE(crc32(result.subarray(0, end)), end)
  encoded.set(entry, result)
  return result
}

function dataOf(entry: Entry): Uint8Array {
  switch (entry.type) {
    case 'normal':
      return entry.data
    case 'empty':
      return nothing
    case 'configuration':
      return encodeConfiguration(entry.configuration)
  }
}

/**
 * @param data kept: the entry's bytes are a view of it
 * @throws Error for bytes that are no entry, or whose checksum is wrong
 */
export function decodeEntry(data: Uint8Array): Entry {
  const { entry, end } = entryAt(view(data), 0)
  check(end === data.length, 'an entry has bytes behind its end')
  return entry
}

function entryAt(data: Buffer, at: number): { entry: Entry; end: number } {
  check(at + headBytes + crcBytes <= data.length, 'an entry is cut off')
  const dataEnd = at + headBytes + data.readUInt32BE(at + 17)
  const end = dataEnd + crcBytes
  check(end <= data.length, 'an entry is cut off')
  check(crc32(data.subarray(at, dataEnd)) === data.readUInt32BE(dataEnd), 'an entry has a wrong checksum')
  const position = { index: readNumber(data, at + 1), term: readNumber(data, at + 9) }
  const entry = entryOf(data[at] ?? 255, position, data.subarray(at + headBytes, dataEnd))
  encoded.set(entry, data.subarray(at, end))
  return { entry, end }
}

function entryOf(code: number, position: { index: number; term: number }, data: Buffer): Entry {
  const type = entryTypes[code]
  switch (type) {
    case 'normal':
      return { ...position, type, data }
    case 'empty':
      check(data.length === 0, 'an empty entry has data')
      return { ...position, type }
    case 'configuration':
      return { ...position, type, configuration: decodeConfiguration(data) }
    default:
      throw new Error('an entry has an unknown type')
  }
}

export function encodeMessage(message: Message): Uint8Array {
  const numbers = numbersOf(message)
  const entries = message.type === 'append' ? message.entries.map(encodeEntry) : []
  const head = 2 + 8 * (1 + numbers.length)
  const result = Buffer.allocUnsafe(entries.reduce((length, entry) => length + entry.length, head))
  result[0] = messageTypes.indexOf(message.type)
  result[1] = flagsOf(message)
  writeNumber(result, message.term, 2)
  for (const [position, number] of numbers.entries()) writeNumber(result, number, 10 + 8 * position)
  let at = head
  for (const entry of entries) {
    result.set(entry, at)
    at += entry.length
  }
  return result
}

/**
 * @param data kept: entries are views of it
 * @throws Error for bytes that are no message, and for entries that do not follow each other
 */
export function decodeMessage(data: Uint8Array, { from, to }: { readonly from: NodeId; readonly to: NodeId }): Message {
  const bytes = view(data)
  check(bytes.length >= 2, 'a message is cut off')
  const flags = bytes[1] ?? 0
  const message = messageOf(bytes, flags, { from, to })
  const head = 2 + 8 * (1 + numbersOf(message).length)
  check(message.type === 'append' || bytes.length === head, 'a message has bytes behind its end')
  check(flagsOf(message) === flags, 'a message has an unknown flag')
  return message
}

function messageOf(bytes: Buffer, flags: number, ends: { readonly from: NodeId; readonly to: NodeId }): Message {
  const type = messageTypes[bytes[0] ?? 255]
  const number = (position: number) => {
    check(2 + 8 * (position + 1) <= bytes.length, 'a message is cut off')
    return readNumber(bytes, 2 + 8 * position)
  }
  const envelope = { ...ends, term: number(0) }
  const rejected = (flags & flag.rejected) !== 0
  const isPreVote = (flags & flag.preVote) !== 0
  switch (type) {
    case 'append': {
      const previousIndex = number(1)
      const previousTerm = number(2)
      const commit = number(3)
      return { ...envelope, type, previousIndex, previousTerm, commit, entries: entriesFrom(bytes, 34, { previousIndex, previousTerm }) }
    }
    case 'append_reply':
      return rejected
        ? { ...envelope, type, rejected, index: number(1), hintIndex: number(2), hintTerm: number(3) }
        : { ...envelope, type, rejected, index: number(1) }
    case 'heartbeat':
      return { ...envelope, type, commit: number(1), token: number(2) }
    case 'heartbeat_reply':
      return { ...envelope, type, token: number(1) }
    case 'commit':
      return { ...envelope, type, commit: number(1) }
    case 'timeout_now':
    case 'snapshot':
      return { ...envelope, type, index: number(1) }
    case 'vote':
      return { ...envelope, type, isPreVote, isTransfer: (flags & flag.transfer) !== 0, lastIndex: number(1), lastTerm: number(2) }
    case 'vote_reply':
      return { ...envelope, type, rejected, isPreVote }
    default:
      throw new Error('a message has an unknown type')
  }
}

/** The numbers behind the term, in the order in which they are written. */
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
    case 'commit':
      return [message.commit]
    case 'timeout_now':
    case 'snapshot':
      return [message.index]
    case 'vote':
      return [message.lastIndex, message.lastTerm]
    case 'vote_reply':
      return []
  }
}

function flagsOf(message: Message): number {
  const rejected = 'rejected' in message && message.rejected ? flag.rejected : 0
  const isPreVote = 'isPreVote' in message && message.isPreVote ? flag.preVote : 0
  return rejected | isPreVote | ('isTransfer' in message && message.isTransfer ? flag.transfer : 0)
}

/** The core asserts that entries are contiguous and terms never fall; here it is still a peer's mistake, there it would be ours. */
function entriesFrom(data: Buffer, start: number, previous: { readonly previousIndex: number; readonly previousTerm: number }): Entry[] {
  const entries: Entry[] = []
  let { previousIndex: index, previousTerm: term } = previous
  for (let at = start; at < data.length; ) {
    const { entry, end } = entryAt(data, at)
    check(entry.index === ++index && entry.term >= term, 'entries do not follow each other')
    term = entry.term
    entries.push(entry)
    at = end
  }
  return entries
}

// Two 32-bit halves: a third of the time that a BigInt takes.
const half = 2 ** 32

/** A whole number below 2^53 as 8 bytes, big-endian. */
export function writeNumber(bytes: Buffer, number: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(number / half), at)
  bytes.writeUInt32BE(number % half, at + 4)
}

/** @throws Error for 2^53 and more */
export function readNumber(bytes: Uint8Array, at: number): number {
  const number = readHalf(bytes, at) * half + readHalf(bytes, at + 4)
  check(Number.isSafeInteger(number), 'a number is beyond 2^53')
  return number
}

function readHalf(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
}

function view(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

function check(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Error(problem)
}
