import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { configurationPage } from '../../src/config-page.ts'

const file = resolve(import.meta.dirname, '../../docs/reference/configuration.md')

test('the reference page is the one that the rows print (WRITE_PAGES=1 writes it)', () => {
  if (process.env.WRITE_PAGES === '1') writeFileSync(file, configurationPage())
  assert.equal(readFileSync(file, 'utf8'), configurationPage())
})
