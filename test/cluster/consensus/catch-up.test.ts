import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CatchUp } from '../../../cluster/consensus/catch-up.ts'

test('a peer has caught up once the log of its start is applied, or what a leader left of it, and stays so', async () => {
  const catchUp = new CatchUp()
  catchUp.begin(10)
  assert.equal(
    catchUp.look(8, () => 10),
    false
  )
  assert.equal(catchUp.isDone, false)
  assert.equal(
    catchUp.look(9, () => 9),
    true,
    'the end was replaced'
  )
  await catchUp.done
  assert.equal(
    catchUp.look(9, () => 20),
    false,
    'no news'
  )
  assert.equal(catchUp.isDone, true)
  const empty = new CatchUp()
  assert.equal(
    empty.look(0, () => 0),
    true,
    'there is nothing to catch up with'
  )
})
