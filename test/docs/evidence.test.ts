/** What the pages of promises name as their evidence exists: each file, and each title in it. A promise without any says that it has none. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '../..')
const text = (path: string) => readFileSync(join(root, path), 'utf8')

interface Evidence {
  readonly line: number
  /** `undefined` where the page says that there is none. */
  readonly file: string | undefined
  readonly title: string
}

/** The items of the lists of a page that are evidence. */
function evidenceOf(page: string): readonly Evidence[] {
  return [...page.matchAll(/^- (?:`(test\/[\w/.-]+)`|none): (.+(?:\n {2}.+)*)/gm)].map(({ 1: file, 2: title = '', index }) => ({
    line: page.slice(0, index).split('\n').length,
    file,
    title: title.replace(/\n {2}/g, ' ')
  }))
}

/** Titles as patterns: what a template fills in may be anything. */
function titlesOf(file: string): readonly RegExp[] {
  return [...text(file).matchAll(/\b(?:test|suite|describe)\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*)\1/g)].map(({ 1: quote, 2: source = '' }) => {
    const parts = quote === '`' ? source.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/) : [source]
    return new RegExp(`^${parts.map(part => RegExp.escape(part.replace(/\\(.)/g, '$1'))).join('.+')}$`)
  })
}

for (const path of ['docs/scenarios.md', 'docs/guarantees.md']) {
  test(`every test that ${path} names exists`, () => {
    const evidence = evidenceOf(text(path))
    assert.ok(evidence.length > 20)
    const missing = evidence.filter(({ file, title }) => {
      if (file === undefined) return title === ''
      return globSync(file, { cwd: root }).length === 0 || !titlesOf(file).some(pattern => pattern.test(title))
    })
    assert.deepEqual(
      missing.map(({ line, file, title }) => `${path}:${line}: ${file}: ${title}`),
      []
    )
  })

  test(`every promise of ${path} names its evidence, or says that it has none`, () => {
    const promises = text(path)
      .split(/^(?=\*\*)/m)
      .slice(1)
    const bare = promises.filter(promise => evidenceOf(promise).length === 0).map(promise => promise.split('\n')[0])
    assert.deepEqual(bare, [])
  })
}

test('each scenario is on its page once, in order', () => {
  const numbers = [...text('docs/scenarios.md').matchAll(/^\*\*RS(\d+)\*\* /gm)].map(([, number]) => Number(number))
  assert.deepEqual(
    numbers,
    Array.from({ length: 64 }, (_, index) => index + 1)
  )
})

/** Bugs of other implementations that can be played on the core alone. */
const transcripts = [
  'E1 E2 E3 E7 E8 E9 E11 E12 E15 E16 D1 D2 D16 D19 D20 R1 R2 R3 R6 R7 R9 M1 M2 M3 M4 M5 M6 M8 M10 M12 M15 M17 M18 M21',
  'T1 T2 T3 T4 T5 T6 T8 S1 S2 S3 S4 S5 S10 F1 F2 F3 F4 F5 F6 F7 F10 C6'
]

test('each transcript is played by a test with its number, or the page says why not', () => {
  const played = globSync('test/cluster/raft/*.test.ts', { cwd: root }).map(text).join('\n')
  const missing = transcripts
    .join(' ')
    .split(' ')
    .filter(number => !new RegExp(`test\\(['"\`]${number}:`).test(played) && !text('docs/scenarios.md').includes(`**${number}** `))
  assert.deepEqual(missing, [])
})
