/** Holds the rules of the house by reading the imports. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '..')
const rooms = ['src', 'proxy', 'cluster', 'cli'] as const
const mayImport: Readonly<Record<string, readonly string[]>> = {
  src: ['src'],
  proxy: ['src', 'proxy'],
  cluster: ['src', 'cluster'],
  cli: ['src', 'proxy', 'cluster', 'cli']
}
/** What other rooms may name: everything else is private. */
const entrances = [/^src\//, /^proxy\/doors\.ts$/, /^cluster\/(stopped-)?peer\.ts$/, /^cluster\/net\/identity\.ts$/]
/** One owner per dependency: a package, and the files that may import it. */
const owners: readonly (readonly [RegExp, RegExp])[] = [
  [/^(libp2p|@libp2p\/(?!interface$).+|@multiformats\/multiaddr|@noble\/ciphers.*)$/, /^cluster\/net\//],
  [/^(rocksdb|classic-level|abstract-level)$/, /^cluster\/state\//],
  [/^fastify$/, /^proxy\//],
  [/^yargs/, /^cli\//],
  [/^prom-client$/, /^src\/metrics\.ts$/]
]

interface Module {
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
  readonly valueImports: readonly string[]
}

const modules: readonly Module[] = rooms.flatMap(room =>
  globSync(`${room}/**/*.ts`, { cwd: root }).map(path => {
    const text = readFileSync(join(root, path), 'utf8')
    const statements = [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^'"]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm)]
    const target = (specifier: string) => (specifier.startsWith('.') ? relative(root, resolve(root, dirname(path), specifier)) : specifier)
    return {
      path,
      text,
      imports: statements.map(([, , from, dynamic]) => target(from ?? dynamic ?? '')),
      valueImports: statements
        .filter(([, isType, from]) => from !== undefined && isType === undefined)
        .map(([, , from]) => target(from ?? ''))
    }
  })
)

const isLocal = (target: string) => rooms.some(room => target.startsWith(`${room}/`))
const roomOf = (path: string) => path.split('/')[0] ?? ''

test('each room imports only what lies below it, and other rooms only through their entrances', () => {
  const wrong = modules.flatMap(({ path, imports }) =>
    imports
      .filter(isLocal)
      .filter(target => {
        if (!mayImport[roomOf(path)]?.includes(roomOf(target))) return true
        return roomOf(target) !== roomOf(path) && !entrances.some(entrance => entrance.test(target))
      })
      .map(target => `${path} imports ${target}`)
  )
  assert.deepEqual(wrong, [])
})

test('the raft core is pure: no package, no clock, no randomness, no timer, no promise', () => {
  const impure =
    /\b(Date|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|process|async|await|Promise|performance|console)\b/
  const code = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').replace(/'[^'\n]*'|`[^`]*`/g, "''")
  const core = modules.filter(({ path }) => path.startsWith('cluster/raft/'))
  assert.ok(core.length > 0)
  const wrong = core.flatMap(({ path, text, imports }) => [
    ...imports.filter(target => !target.startsWith('cluster/raft/')).map(target => `${path} imports ${target}`),
    ...(impure.exec(code(text)) ?? []).slice(0, 1).map(word => `${path} uses ${word}`)
  ])
  assert.deepEqual(wrong, [])
})

test('consensus does not know pins, the state does not know terms', () => {
  const wrong = modules.flatMap(({ path, imports }) => {
    const forbidden = path.startsWith('cluster/consensus/')
      ? /^cluster\/(state\/(pinset|operations|record)|ipfs|health|[a-z]+\.ts)/
      : path.startsWith('cluster/state/')
        ? /^cluster\/(raft|net|ipfs|health)\//
        : path.startsWith('cluster/net/') || path.startsWith('cluster/ipfs/')
          ? /^cluster\/(raft|consensus)\//
          : undefined
    return forbidden ? imports.filter(target => forbidden.test(target)).map(target => `${path} imports ${target}`) : []
  })
  assert.deepEqual(wrong, [])
})

test('each dependency has one owner', () => {
  const wrong = modules.flatMap(({ path, imports }) =>
    imports.flatMap(target =>
      owners.filter(([name, owner]) => name.test(target) && !owner.test(path)).map(() => `${path} imports ${target}`)
    )
  )
  assert.deepEqual(wrong, [])
})

test('the environment is read in one place, and the exit code is set in one place', () => {
  const users = (what: RegExp, owner: RegExp) =>
    modules.filter(({ path, text }) => what.test(text) && !owner.test(path)).map(({ path }) => path)
  assert.deepEqual(users(/(?<![#.\w])process\.env\b/, /^src\/environment\.ts$/), [])
  assert.deepEqual(users(/(?<![#.\w])process\.exitCode\b/, /^cli\/main\.ts$/), [])
})

test('no import goes round in a circle', () => {
  const byPath = new Map(modules.map(module => [module.path, module]))
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `circle: ${[...trail, path].join(' -> ')}`)
    if (done.has(path)) return
    for (const target of byPath.get(path)?.valueImports ?? []) if (isLocal(target)) visit(target, [...trail, path])
    done.add(path)
  }
  for (const { path } of modules) visit(path, [])
})

test('no grab bags, no default exports', () => {
  assert.deepEqual(
    modules.filter(({ path }) => /(^|\/)(utils?|helpers?|manager|impl|common|misc)\b/.test(path)).map(({ path }) => path),
    []
  )
  assert.deepEqual(
    modules.filter(({ text }) => /^export default\b/m.test(text)).map(({ path }) => path),
    []
  )
})
