/** Pins for tests. */
import type { Pin } from '../../src/types.ts'
import { inline } from './cids.ts'

/** On every peer, with nothing special about it; not agreed yet. */
export const examplePin: Pin = {
  cid: inline('example'),
  type: 'pin',
  name: '',
  mode: 'recursive',
  replicationMin: -1,
  replicationMax: -1,
  allocations: [],
  expireAt: null,
  metadata: {},
  pinUpdate: null,
  origins: [],
  maxDepth: -1,
  reference: null,
  shardSize: 0,
  timestamp: Date.parse('2026-05-11T10:17:41Z'),
  version: 0
}
