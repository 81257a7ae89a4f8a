import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { kuboDoorPage } from '../../../proxy/kubo/page.ts'
import { commands, intercepted, passed } from '../../../proxy/kubo/table.ts'
import { places } from '../../../src/config.ts'

const file = resolve(import.meta.dirname, '../../../docs/reference/kubo-door.md')

test('the page of the door is the one that its table prints (WRITE_PAGES=1 writes it)', () => {
  if (process.env.WRITE_PAGES === '1') writeFileSync(file, kuboDoorPage())
  assert.equal(readFileSync(file, 'utf8'), kuboDoorPage())
})

test('every row is a sentence, and every key of the configuration that a page names is one', () => {
  for (const sentence of [...commands.map(command => intercepted[command].does), ...Object.values(passed)]) {
    assert.match(sentence, /^[A-Z].*\.$/)
  }
  const keys = new Set(places.map(({ row }) => row.path))
  for (const [, key = ''] of kuboDoorPage().matchAll(/`((?:flotilla|api)\.[a-z_.]+)`/g)) assert.ok(keys.has(key), key)
})
