import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Queue } from '../../../cluster/ipfs/queue.ts'
import type { Cid } from '../../../src/types.ts'
import { inline } from '../../support/cids.ts'
import { until } from '../../support/until.ts'

/** Jobs that run until they are let go. */
class Bench {
  readonly queue: Queue
  readonly started: string[] = []
  readonly #ends = new Map<string, () => void>()

  constructor(limits = { pins: 2, unpins: 1 }) {
    this.queue = new Queue(limits)
  }

  add(
    name: string,
    { kind = 'pin', isPriority = false, cid = inline(name) }: { kind?: 'pin' | 'unpin'; isPriority?: boolean; cid?: Cid } = {}
  ): void {
    const run = () => {
      this.started.push(name)
      return new Promise<void>(resolve => this.#ends.set(name, resolve))
    }
    this.queue.add({ cid, kind, isPriority, run })
  }

  async end(name: string): Promise<void> {
    const before = this.started.length
    this.#ends.get(name)?.()
    this.#ends.delete(name)
    await new Promise(resolve => setImmediate(resolve))
    assert.ok(this.started.length >= before)
  }

  endAll(): void {
    for (const end of this.#ends.values()) end()
    this.#ends.clear()
  }
}

test('a few pins run at a time, the others wait in order', async () => {
  const bench = new Bench()
  for (const name of ['a', 'b', 'c', 'd']) bench.add(name)
  assert.deepEqual(bench.started, ['a', 'b'])
  assert.equal(bench.queue.queued, 2)
  await bench.end('b')
  assert.deepEqual(bench.started, ['a', 'b', 'c'])
  await bench.end('a')
  assert.deepEqual(bench.started, ['a', 'b', 'c', 'd'])
  assert.equal(bench.queue.queued, 0)
})

test('unpins run beside pins, and neither waits behind the other', async () => {
  const bench = new Bench({ pins: 1, unpins: 1 })
  for (const name of ['a', 'b']) bench.add(name)
  for (const name of ['x', 'y']) bench.add(name, { kind: 'unpin' })
  assert.deepEqual(bench.started, ['a', 'x'])
  await bench.end('x')
  assert.deepEqual(bench.started, ['a', 'x', 'y'])
})

test('one CID has one job at a time; the newest that waits for it takes the place of the others', async () => {
  const bench = new Bench()
  const cid = inline('same')
  bench.add('pin', { cid })
  bench.add('again', { cid })
  bench.add('unpin', { cid, kind: 'unpin' })
  bench.add('other')
  assert.deepEqual(bench.started, ['pin', 'other'])
  await bench.end('pin')
  assert.deepEqual(bench.started, ['pin', 'other', 'unpin'])
  assert.equal(bench.queue.queued, 0)
})

test('pins with priority go first, but one start in four is for the others', async () => {
  const bench = new Bench({ pins: 1, unpins: 1 })
  for (const name of ['old 1', 'old 2']) bench.add(name)
  for (let number = 1; number <= 8; number++) bench.add(`young ${number}`, { isPriority: true })
  for (let round = 0; round < 9; round++) await bench.end(bench.started.at(-1) ?? '')
  assert.deepEqual(bench.started.slice(0, 5), ['old 1', 'young 1', 'young 2', 'old 2', 'young 3'])
})

test('a paused queue starts nothing, a stopped one waits for what runs', async () => {
  const bench = new Bench()
  bench.queue.pause()
  bench.add('a')
  bench.queue.remove(inline('a'))
  bench.add('b')
  assert.deepEqual(bench.started, [])
  bench.queue.resume()
  assert.deepEqual(bench.started, ['b'])
  bench.add('c')
  bench.add('d')
  let isStopped = false
  const stopped = bench.queue.stop().then(() => {
    isStopped = true
  })
  await bench.end('b')
  assert.equal(isStopped, false)
  bench.endAll()
  await stopped
  await until('the queue to stop', () => isStopped)
  assert.deepEqual(bench.started, ['b', 'c'])
})
