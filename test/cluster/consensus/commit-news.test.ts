import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommitNews } from '../../../cluster/consensus/commit-news.ts'
import type { Message } from '../../../cluster/raft/types.ts'
import { systemClock } from '../../../src/clock.ts'

const news = (to: string, commit: number): Message => ({ type: 'commit', from: 'a', to, term: 1, commit })
const append = (to: string, commit: number): Message => {
  return { type: 'append', from: 'a', to, term: 1, previousIndex: 0, previousTerm: 0, entries: [], commit }
}
const heartbeat = (to: string, commit: number): Message => ({ type: 'heartbeat', from: 'a', to, term: 1, commit, token: 0 })

function open() {
  const sent: (readonly [string, number])[] = []
  let end = () => {}
  let nowMs = 0
  // The kept ones leave when the test says so.
  const clock = { ...systemClock, monotonicMs: () => nowMs, sleep: () => new Promise<void>(resolve => (end = resolve)) }
  const kept = new CommitNews({ clock, send: messages => sent.push(...messages.map(({ to, commit }) => [to, commit] as const)) })
  const wait = async () => {
    end()
    await new Promise(resolve => setImmediate(resolve))
    return sent.splice(0)
  }
  const pass = (ms: number) => {
    nowMs += ms
  }
  return { kept, wait, pass }
}

test('news that nobody waits for leaves after a moment, the newest only', async () => {
  const { kept, wait } = open()
  assert.deepEqual(kept.sift([news('b', 1), news('c', 1)]), [])
  assert.deepEqual(kept.sift([news('b', 2)]), [])
  assert.deepEqual(await wait(), [
    ['b', 2],
    ['c', 1]
  ])
  assert.deepEqual(kept.sift([news('b', 3)]), [])
  assert.deepEqual(await wait(), [['b', 3]], 'and again')
})

test('a message that says as much makes it superfluous, one that says less does not', async () => {
  const { kept, wait } = open()
  kept.sift([news('b', 2), news('c', 2)])
  const passed = [heartbeat('b', 2), heartbeat('c', 1)]
  assert.deepEqual(kept.sift(passed), passed)
  assert.deepEqual(await wait(), [['c', 2]])
})

test('a peer whose client waits is told at once, until it was told', async () => {
  const { kept, wait } = open()
  kept.await('b', 5)
  assert.deepEqual(kept.sift([news('b', 4)]), [news('b', 4)])
  assert.deepEqual(kept.sift([news('b', 5)]), [news('b', 5)])
  assert.deepEqual(kept.sift([news('b', 6)]), [])
  assert.deepEqual(await wait(), [['b', 6]])
  kept.await('b', 9)
  kept.newReign()
  assert.deepEqual(kept.sift([news('b', 9)]), [], 'whoever leads now tells it')
})

test('where news have waited three times for entries that did not come, the next leave at once, until entries come soon', async () => {
  const { kept, wait, pass } = open()
  for (const commit of [1, 2]) {
    kept.sift([news('b', commit)])
    await wait()
  }
  kept.sift([news('b', 3)])
  kept.sift([append('b', 3)])
  for (const commit of [4, 5, 6]) {
    assert.deepEqual(kept.sift([news('b', commit)]), [], 'it was worth the wait')
    await wait()
  }
  assert.deepEqual(kept.sift([news('b', 7)]), [news('b', 7)])
  pass(2)
  kept.sift([append('b', 7)])
  assert.deepEqual(kept.sift([news('b', 8)]), [news('b', 8)], 'the news would have left before the entries came')
  pass(1)
  kept.sift([append('b', 8)])
  assert.deepEqual(kept.sift([news('b', 9)]), [])
})
