import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { changedQuery, pathOf, readCall } from '../../../proxy/kubo/call.ts'

describe('a call is read as Kubo reads it', () => {
  const ours: readonly (readonly [target: string, command: string, args: readonly string[]])[] = [
    ['/api/v0/pin/add?arg=a&arg=b', 'pin/add', ['a', 'b']],
    ['/api/v0/pin%2Fadd?arg=a', 'pin/add', ['a']],
    ['/api/v0/%70in/add/a%2Bb?arg=c+d', 'pin/add', ['a+b', 'c d']],
    ['/api/v0/pin/add/?arg=x', 'pin/add', ['', 'x']],
    ['http://anywhere/api/v0/pin/rm?arg=a', 'pin/rm', ['a']],
    ['foo:/api/v0/pin/ls', 'pin/ls', []],
    ['/api/v0/pin/add?ar%67=a&arg=%zz&arg=b;c&arg=d', 'pin/add', ['a', 'd']],
    ['/api/v0/pin/update?arg=a&arg=b', 'pin/update', ['a', 'b']],
    ['/api/v0/add', 'add', []],
    ['/api/v0/add?pin=', 'add', []],
    ['/api/v0/block/put?pin=', 'block/put', []],
    ['/api/v0/block/put?pin=T', 'block/put', []],
    ['/api/v0/dag/put?pin=1', 'dag/put', []],
    ['/api/v0/dag/import', 'dag/import', []]
  ]
  for (const [target, command, args] of ours) {
    test(target, () => {
      const call = readCall(target)
      assert.equal(call?.command, command)
      assert.deepEqual(call?.args, args)
    })
  }

  const others = [
    '/api/v0/PIN/add?arg=a',
    '/api/v0/pin/add/a/b',
    '/api/v0/pin/add/a%2Fb',
    '/api/v0//pin/add',
    '/api/v0/../v0/pin/add',
    '/api/v0/pin/verify',
    '/api/v0/add/x',
    '/api/v0/add?n=true',
    '/api/v0/add?only-hash=',
    '/api/v0/add?pin=false',
    '/api/v0/block/put',
    '/api/v0/block/put?pin=0',
    '/api/v0/dag/import?pin-roots=false',
    '/api/v0/dag/import?local-only=true',
    '/api/v0/pin/add?arg=a&recursive=maybe',
    '/api/v0/pin/add?arg=a&name=x&name=y',
    '/api/v0/pin/add?arg=a&encoding=nope',
    '/api/v0/pin/add?arg=a&cid-base=nope',
    '/api/v0/pin/add?arg=a&timeout=soon'
  ]
  for (const target of others) test(`${target} is Kubo's to answer`, () => assert.equal(readCall(target), undefined))

  test('options by their short names, empty ones are on', () => {
    const call = readCall('/api/v0/pin/ls?t=direct&q&s=&n=x&enc=text')
    assert.equal(call?.text('type'), 'direct')
    assert.ok(call?.flag('quiet', false) && call.flag('stream', false))
    assert.equal(call?.format, 'text')
    assert.equal(readCall('/api/v0/pin/add?arg=a&r=false')?.flag('recursive', true), false)
  })

  test('a changed query keeps every other byte', () => {
    assert.equal(
      changedQuery('a=%zz&sil%65nt=true&b=1+2&&enc=text', ['silent', 'enc'], [['encoding', 'json']]),
      'a=%zz&b=1+2&encoding=json'
    )
  })

  test('a path for the log holds neither query nor password', () => {
    assert.equal(pathOf('http://user:secret@host/api/v0/id?api-auth=secret'), '/api/v0/id')
  })
})
