import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Recent } from '../../src/recent.ts'
import { Watchers } from '../../src/watchers.ts'

test('what was written last is kept, the oldest goes, and writing again makes young', () => {
  const recent = new Recent<string, number>(2)
  recent.set('a', 1)
  recent.set('b', 2)
  recent.set('a', 3)
  recent.set('c', 4)
  assert.deepEqual(
    ['a', 'b', 'c'].map(key => recent.get(key)),
    [3, undefined, 4]
  )
  recent.delete('a')
  recent.set('d', 5)
  assert.deepEqual(
    ['a', 'c', 'd'].map(key => recent.get(key)),
    [undefined, 4, 5]
  )
})

test('a bound of many keys holds whatever is written again and deleted in between', () => {
  const recent = new Recent<number, number>(100)
  const kept: number[] = []
  for (let step = 0; step < 5_000; step++) {
    const key = (step * 7919) % 331
    const at = kept.indexOf(key)
    if (at >= 0) kept.splice(at, 1)
    if (step % 5 === 0) recent.delete(key)
    else {
      recent.set(key, step)
      kept.push(key)
      if (kept.length > 100) kept.shift()
    }
    if (step % 500 === 499)
      for (let key = 0; key < 331; key++) assert.equal(recent.get(key) !== undefined, kept.includes(key), `key ${key} after step ${step}`)
  }
})

test('a watcher is told of its key until it is disposed, also from within a call', () => {
  const watchers = new Watchers<string>()
  const told: string[] = []
  const first = watchers.watch('a', () => {
    told.push('first')
    first[Symbol.dispose]()
  })
  using _second = watchers.watch('a', () => told.push('second'))
  watchers.notify('b')
  watchers.notify('a')
  watchers.notify('a')
  assert.deepEqual(told, ['first', 'second', 'second'])
})
