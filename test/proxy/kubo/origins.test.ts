import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { allowedAgain, changedHead, forKubo, isTranslated } from '../../../proxy/kubo/origins.ts'

const ports = { door: 9095, kubo: 5001 }

test('only origins of this machine on the port of the door become those of Kubo', () => {
  const own = ['http://127.0.0.1:9095', 'https://localhost:9095', 'http://[::1]:9095', 'http://localhost:9095/webui?x#y']
  for (const origin of own) assert.equal(forKubo(origin, ports), origin.replace('9095', '5001'))
  const others = [
    'http://127.0.0.1:90950',
    'http://127.0.0.1:9095.evil.example',
    'http://evil.example:9095',
    'http://127.0.0.1:5001',
    'http://localhost:9095@evil.example',
    'null',
    ''
  ]
  for (const origin of others) assert.equal(forKubo(origin, ports), origin)
})

test('behind a socket file nothing is translated', () => {
  assert.ok(!isTranslated('http://127.0.0.1:9095', { door: null, kubo: 5001 }))
  assert.ok(!isTranslated('http://127.0.0.1:9095', { door: 9095, kubo: null }))
})

test('the permission names the origin that asked, and no other', () => {
  const head = 'HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: http://localhost:5001\r\nX: http://localhost:5001\r\n\r\n'
  assert.equal(
    allowedAgain(head, 'http://localhost:9095', ports),
    head.replace('Origin: http://localhost:5001', 'Origin: http://localhost:9095')
  )
  assert.equal(allowedAgain(head, 'http://127.0.0.1:9095', ports), head)
})

test('a changed head keeps every byte that was not to be changed', () => {
  const head = 'POST / HTTP/1.1\r\nhost:  x \r\nORIGIN:\thttp://a\r\nKeep: \r\n\r\n'
  assert.equal(
    changedHead(head, name => (name === 'origin' ? 'http://b' : name === 'keep' ? null : 'x')),
    'POST / HTTP/1.1\r\nhost:  x \r\nORIGIN:\thttp://b\r\n\r\n'
  )
  const line = fc.stringMatching(/^[!-~]{1,8}:[ \t]*[ -~]{0,12}$/)
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), lines => {
      const text = `POST / HTTP/1.1\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`
      assert.equal(
        changedHead(text, (_name, value) => value),
        text
      )
    })
  )
})
