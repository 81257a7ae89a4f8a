import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Access } from '../../../proxy/kubo/access.ts'
import { authorizationOf } from '../../../src/secret.ts'

const access = new Access([
  { secret: 'bearer:abc', paths: ['/api/v0/pin'] },
  { secret: 'bearer:abc', paths: ['/api/v0/add'] },
  { secret: 'basic:ann:hunter2', paths: ['/'] }
])
const bearer = ['Host', 'x', 'authorization', 'Bearer abc']
const ann = ['Authorization', `Basic ${Buffer.from('ann:hunter2').toString('base64')}`]

test('a secret opens the paths that begin as it allows, and the version', () => {
  assert.ok(access.allows('/api/v0/pin/add', bearer))
  assert.ok(access.allows('/api/v0/add', bearer))
  assert.ok(access.allows('/api/v0/version', bearer))
  assert.ok(!access.allows('/api/v0/repo/gc', bearer))
  assert.ok(!access.allows('/webui', bearer))
  assert.ok(access.allows('/webui', ann))
})

test('nobody else gets anywhere, and nowhere on a path that cannot be read', () => {
  for (const headers of [
    [],
    ['Authorization', 'Bearer abd'],
    ['Authorization', 'bearer abc'],
    ['Authorization', ''],
    ['X', 'Bearer abc']
  ]) {
    assert.ok(!access.allows('/api/v0/version', headers))
  }
  assert.ok(!access.allows(undefined, ann))
})

test('without secrets everybody gets everywhere', () => {
  const open = new Access([])
  assert.ok(!open.isOn && access.isOn)
  assert.ok(open.allows('/api/v0/repo/gc', []) && open.allows(undefined, []))
})

test('secrets are written as Kubo writes them', () => {
  assert.equal(authorizationOf('bearer:a:b'), 'Bearer a:b')
  assert.equal(authorizationOf('basic:ann:hunter2'), ann[1])
  assert.equal(authorizationOf('Bearer abc'), 'Bearer abc')
})
