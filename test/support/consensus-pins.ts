/** Pins by name for `TestPeers`. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { prefixRange } from '../../cluster/state/keys.ts'
import { decodeResult, encodeOperation } from '../../cluster/state/operations.ts'
import { cidOf } from '../../src/codec.ts'
import type { Cid, Pin } from '../../src/types.ts'
import type { TestPeer, TestPeers } from './consensus.ts'
import { examplePin } from './pins.ts'
import { until } from './until.ts'

export function cid(name: string): Cid {
  return cidOf(CID.create(1, 0x55, create(0x12, createHash('sha256').update(name).digest())))
}

function pinOf(name: string): Pin {
  return { ...examplePin, cid: cid(name), name, timestamp: 1 }
}

export async function pin(peer: TestPeer, name: string, basedOn = 0): Promise<number> {
  const { index, result } = await peer.consensus.propose(encodeOperation({ type: 'pin', pin: pinOf(name), basedOn }))
  assert.equal(decodeResult(result).status, 'done')
  return index
}

export async function hasAll(peer: TestPeer, names: readonly string[]): Promise<boolean> {
  for (const name of names) if ((await peer.pinset.get(cid(name))) === undefined) return false
  return true
}

export async function three(peers: TestPeers): Promise<void> {
  const founders = peers.found(1, 2, 3)
  await Promise.all([1, 2, 3].map(number => peers.start(number, founders)))
  await until('a leader', () => peers.leader())
}

export async function pinAll(peer: TestPeer, from: number, to: number): Promise<void> {
  const names = Array.from({ length: to - from }, (_, place) => `pin ${from + place}`)
  await Promise.all(names.map(name => pin(peer, name)))
}

/** Entries whose rows are on the disk of `peer`. */
export async function logRows(peer: TestPeer): Promise<number> {
  let rows = 0
  for await (const _ of peer.store.rows(prefixRange('l/'))) rows++
  return rows
}
