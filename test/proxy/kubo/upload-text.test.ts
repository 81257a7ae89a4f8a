import assert from 'node:assert/strict'
import { test } from 'node:test'
import { uploadLine } from '../../../proxy/kubo/upload-text.ts'

/** As Kubo 0.42 prints them. */
const lines = [
  ['add', '{"Name":"a","Hash":"Qm","Size":"9"}', '&{a Qm %!s(int64=0) 9  %!s(int64=0) %!s(int=0)}'],
  ['block/put', '{"Key":"bafk","Size":9}', 'bafk\n'],
  ['dag/put', '{"Cid":{"/":"bafy"}}', 'bafy\n'],
  ['dag/import', '{"Root":{"Cid":{"/":"bafy"},"PinErrorMsg":""}}', 'Pinned root\tbafy\tsuccess\n'],
  ['dag/import', '{"Root":{"Cid":{"/":"bafy"},"PinErrorMsg":"no"}}', 'Pinned root\tbafy\tFAILED: no\n'],
  ['dag/import', '{"Stats":{"BlockCount":2,"BlockBytesCount":30}}', 'Imported 2 blocks (30 bytes)\n']
] as const

test('lines of uploads are printed as Kubo prints them', () => {
  for (const [command, json, text] of lines) {
    assert.equal(uploadLine(command, 'text', `${json}\n`), text)
    assert.equal(uploadLine(command, 'json', `${json}\n`), `${json}\n`)
  }
})

test('XML escapes what a name may hold', () => {
  assert.match(
    uploadLine('add', 'xml', '{"Name":"<&>","Hash":"Qm","Size":"9"}\n'),
    /^<AddEvent><Name>&lt;&amp;&gt;<\/Name><Hash>Qm<\/Hash>/
  )
})
