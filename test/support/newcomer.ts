/** Peers by number, for tests. */
import { base58btc } from 'multiformats/bases/base58'
import type { Newcomer } from '../../cluster/consensus/members.ts'
import { parseMultiaddr, parsePeerId } from '../../src/codec.ts'
import type { PeerId } from '../../src/types.ts'

/** The `number`th peer id of a test, in ascending order. */
export function peerId(number: number): PeerId {
  const digest = new Uint8Array(34)
  digest.set([0x12, 32, number])
  return parsePeerId(base58btc.encode(digest).slice(1))
}

export function newcomer(number: number): Newcomer {
  return {
    id: peerId(number),
    name: `p${number}`,
    addresses: [parseMultiaddr(`/ip4/127.0.0.1/tcp/${1000 + number}/p2p/${peerId(number)}`)]
  }
}
