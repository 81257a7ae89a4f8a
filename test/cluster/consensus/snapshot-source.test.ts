/** Serving a state: what the store does not give is not made up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { appliedWrite, configurationWrite } from '../../../cluster/consensus/marker.ts'
import { decodeChunk, encodeQuestion } from '../../../cluster/consensus/snapshot-chunk.ts'
import { SnapshotSource } from '../../../cluster/consensus/snapshot-source.ts'
import type { CallHandler } from '../../../cluster/net/rpc.ts'
import { key } from '../../../cluster/state/keys.ts'
import type { Spaces } from '../../../cluster/state/spaces.ts'
import { systemClock } from '../../../src/clock.ts'
import { isFault } from '../../../src/errors.ts'
import { openLog } from '../../../src/log.ts'
import { peerId } from '../../support/newcomer.ts'

test('a state that cannot be read to its end is begun anew, not handed over as if it were whole', async () => {
  const writes = [appliedWrite({ index: 1, term: 1 }), configurationWrite(0, { members: [] })]
  const rows = writes.map(op => [op.key, op.type === 'put' ? op.value : new Uint8Array()] as const)
  let reads = 0
  const state = {
    get: async (row: Uint8Array) => rows.find(([key]) => Buffer.compare(key, row) === 0)?.[1],
    current: {
      async *everything() {
        yield [[key('s/'), new Uint8Array(100)]]
        if (++reads === 1) throw new Error('EIO: i/o error')
      }
    }
  } as unknown as Spaces // as much of it as is read
  let handler: CallHandler | undefined
  const rpc = { handle: (_: string, given: CallHandler) => void (handler = given) }
  const log = openLog({ level: 'silent', name: 'test' })
  const source = new SnapshotSource(
    { rpc, state, clock: systemClock, log, random: () => 1 },
    { chunkBytes: 100, bytesPerSecond: 1e9, idleMs: 1e9 }
  )
  source.serve()
  const ask = async (transfer: string, number: number) => {
    const answer = await handler?.(peerId(2), encodeQuestion({ transfer, number }), { signal: new AbortController().signal })
    return decodeChunk(answer ?? new Uint8Array())
  }
  const first = await ask('', 0)
  await assert.rejects(ask(first.transfer, 1), /EIO/)
  await assert.rejects(ask(first.transfer, 1), error => isFault(error, 'refused'))
  const again = await ask('', 0)
  assert.equal((await ask(again.transfer, 1)).isLast, true)
})
