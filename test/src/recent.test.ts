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
