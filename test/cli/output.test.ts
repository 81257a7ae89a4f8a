import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counted, momentOf, roughly, sizeOf, tableOf } from '../../cli/output.ts'

test('a table is as wide as its cells, numbers and sizes stand to the right, and no line ends in blanks', () => {
  const rows = [
    ['peer-0', 5, '1.0 GiB'],
    ['a', 12, '-']
  ]
  assert.equal(tableOf(['NAME', 'LAG', 'FREE'], rows), ['NAME    LAG     FREE', 'peer-0    5  1.0 GiB', 'a        12        -'].join('\n'))
  assert.equal(tableOf(['NAME', 'LAG'], []), 'NAME  LAG')
})

test('sizes are for people, also at the edges of their units', () => {
  const sizes = [null, 0, 1_023, 1_024, 1_048_576, 5 * 2 ** 60].map(sizeOf)
  assert.deepEqual(sizes, ['-', '0 B', '1023 B', '1.0 KiB', '1.0 MiB', '5120.0 PiB'])
})

test('times are told in their largest unit, moments in UTC, and none where nothing is known', () => {
  assert.deepEqual([999, 59_999, 60_000, 3_600_000, 172_799_999, 172_800_000].map(roughly), ['0s', '59s', '1m', '1h', '47h', '2d'])
  assert.deepEqual([momentOf(0), momentOf(Date.UTC(2026, 4, 11, 10, 17, 41))], ['-', '2026-05-11 10:17:41'])
})

test('one is singular, all else plural', () => {
  assert.deepEqual([counted(0, 'peer'), counted(1, 'peer'), counted(2, 'peer')], ['0 peers', '1 peer', '2 peers'])
})
