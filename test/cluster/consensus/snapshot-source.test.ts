/** Serving a state: what the store does not give is not made up, and who has the state finds the log behind it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { appliedWrite, configurationWrite } from '../../../cluster/consensus/marker.ts'
import { type Chunk, decodeChunk, encodeQuestion } from '../../../cluster/consensus/snapshot-chunk.ts'
import { SnapshotSource } from '../../../cluster/consensus/snapshot-source.ts'
import type { CallHandler } from '../../../cluster/net/rpc.ts'
import { key } from '../../../cluster/state/keys.ts'
import type { Spaces } from '../../../cluster/state/spaces.ts'
import { systemClock } from '../../../src/clock.ts'
import { isFault } from '../../../src/errors.ts'
import { openLog } from '../../../src/log.ts'
import { peerId } from '../../support/newcomer.ts'

const index = 100
const limits = { chunkBytes: 100, bytesPerSecond: 1e9, idleMs: 1_000, nearEntries: 10 }

/** A source whose state is one row, as of `index`. */
class World {
  nowMs = 0
  /** Readings of the state that fail at their end. */
  failures = 0
  readonly source: SnapshotSource
  #handler: CallHandler | undefined

  constructor() {
    const writes = [appliedWrite({ index, term: 1 }), configurationWrite(0, { members: [] })]
    const state = {
      get: async (row: Uint8Array) => writes.flatMap(op => (op.type === 'put' && Buffer.compare(op.key, row) === 0 ? [op.value] : []))[0],
      current: { everything: () => this.#everything() }
    } as unknown as Spaces // as much of it as is read
    let transfers = 0
    const rpc = { handle: (_: string, handler: CallHandler) => void (this.#handler = handler) }
    const clock = { ...systemClock, monotonicMs: () => this.nowMs }
    const log = openLog({ level: 'silent', name: 'test' })
    this.source = new SnapshotSource({ rpc, state, clock, log, random: () => ++transfers }, limits)
    this.source.serve()
  }

  async *#everything() {
    yield [[key('s/'), new Uint8Array(100)] as const]
    if (this.failures-- > 0) throw new Error('EIO: i/o error')
  }

  async ask(transfer: string, number: number, by = 2): Promise<Chunk> {
    const answer = await this.#handler?.(peerId(by), encodeQuestion({ transfer, number }), { signal: new AbortController().signal })
    return decodeChunk(answer ?? new Uint8Array())
  }

  async send(): Promise<void> {
    const { transfer } = await this.ask('', 0)
    assert.equal((await this.ask(transfer, 1)).isLast, true)
  }

  tidy(match: number, lastIndex: number): number | undefined {
    this.source.tidy({ matchOf: () => match, lastIndex })
    return this.source.pinned
  }
}

test('a state that cannot be read to its end is begun anew, not handed over as if it were whole', async () => {
  const world = new World()
  world.failures = 1
  const { transfer } = await world.ask('', 0)
  await assert.rejects(world.ask(transfer, 1), /EIO/)
  await assert.rejects(world.ask(transfer, 1), error => isFault(error, 'refused'))
  await world.send()
})

test('the log behind a state is kept until its receiver has almost caught up, however much was written meanwhile', async () => {
  const world = new World()
  await world.send()
  assert.equal(world.tidy(0, 50_000), index, 'it has the state, and has not said so yet')
  assert.equal(world.tidy(index, 51_000), index)
  for (const match of [10_000, 30_000, 50_000]) {
    world.nowMs += 900
    assert.equal(world.tidy(match, 52_000), match)
  }
  assert.equal(world.tidy(51_990, 52_000), undefined)
})

test('who does not gain on the writers loses the log', async () => {
  const world = new World()
  await world.send()
  assert.equal(world.tidy(1_000, 50_000), 1_000)
  world.nowMs += 900
  assert.equal(world.tidy(2_000, 52_000), 2_000)
  world.nowMs += 900
  assert.equal(world.tidy(3_000, 54_000), undefined)
})

test('a transfer goes before that of another peer while it is gone on with; one that stands still gives way', async () => {
  const world = new World()
  const { transfer } = await world.ask('', 0)
  await assert.rejects(world.ask('', 0, 3), error => isFault(error, 'overloaded'))
  world.nowMs += 2_900
  await world.ask(transfer, 0)
  world.nowMs += 2_900
  await assert.rejects(world.ask('', 0, 3), error => isFault(error, 'overloaded'))
  world.nowMs += 100
  const other = await world.ask('', 0, 3)
  await assert.rejects(world.ask(transfer, 1), error => isFault(error, 'refused'), 'it begins anew, once the other one is through')
  assert.equal((await world.ask(other.transfer, 1, 3)).isLast, true)
})
