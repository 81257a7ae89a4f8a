import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { aborted, Limit } from '../../src/lifetime.ts'

test('a limit aborts with the first of its signals, or when its time is over, and leaves no listener behind', async () => {
  const [one, other] = [new AbortController(), new AbortController()]
  {
    using limit = new Limit([one.signal, undefined, other.signal])
    assert.equal(limit.signal.aborted, false)
    other.abort(new Error('enough'))
    assert.equal(limit.signal.reason.message, 'enough')
    assert.equal(getEventListeners(one.signal, 'abort').length, 1)
  }
  assert.equal(getEventListeners(one.signal, 'abort').length, 0)
  using late = new Limit([other.signal])
  assert.equal(late.signal.reason.message, 'enough')
  using short = new Limit([one.signal], { ms: 1 })
  await aborted(short.signal)
  assert.equal(short.signal.reason.name, 'TimeoutError')
  using named = new Limit([], { ms: 1, reason: () => new Error('over') })
  await aborted(named.signal)
  assert.equal(named.signal.reason.message, 'over')
  using endless = new Limit([], { ms: 2 ** 31 })
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(endless.signal.aborted, false)
})
