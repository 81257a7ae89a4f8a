/** Every way of getting Kubo, each in a process of its own, with small scripts in the place of ipfs, npm and go. Nothing is fetched or built. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { kuboVersion } from '../../cli/kubo-binary.ts'

const getter = resolve(import.meta.dirname, '../../cli/kubo-binary.ts')
const kubo = `#!/bin/sh\necho ${kuboVersion}\n`
const broken = '#!/bin/sh\nexit 1\n'

test('the program that is named is taken and no other, also by KUBO_BIN', async () => {
  await using place = await Place.make()
  const named = await place.script('mine/ipfs', kubo)
  await place.script('bin/ipfs', kubo)
  assert.equal((await place.get({ explicit: named })).found, named)
  assert.equal((await place.get({ variables: { KUBO_BIN: named } })).found, named)
})

test('a named program that does not run is an error, although others would', async () => {
  await using place = await Place.make()
  const named = await place.script('mine/ipfs', broken)
  await place.script('bin/ipfs', kubo)
  assert.match((await place.get({ explicit: named })).error, /mine\/ipfs \(--ipfs\) is not a Kubo that runs here/)
  assert.match((await place.get({ variables: { KUBO_BIN: join(place.path, 'nowhere') } })).error, /nowhere \(KUBO_BIN\) is not a Kubo/)
})

test('without a name it is that on PATH, and one that does not run is passed over for the cache', async () => {
  await using place = await Place.make()
  const onPath = await place.script('bin/ipfs', kubo)
  const cached = await place.script(place.cached, kubo)
  assert.equal((await place.get()).found, onPath)
  await place.script('bin/ipfs', broken)
  assert.equal((await place.get()).found, cached)
})

test('else the npm package is asked for in this version, and what it brings is kept', async () => {
  await using place = await Place.make()
  await place.script('bin/npm', npmThatBrings(kubo))
  const { found, said } = await place.get()
  assert.equal(found, place.cached)
  assert.match(said, /^Fetching Kubo .* npm package kubo .*\nKubo .* is in .*\n$/)
  const words = await readFile(join(place.path, 'npm-words'), 'utf8')
  assert.ok(words.includes(`kubo@${kuboVersion}`), words)
  await rm(join(place.path, 'bin/npm'))
  assert.deepEqual(await place.get(), { found: place.cached, said: '', error: '' }, 'the second time it is there')
  assert.deepEqual(await place.leftOver(), ['ipfs'])
})

test('npm fails, or its installer brings nothing: Go builds it, from a go.mod that names the version', async () => {
  for (const npm of ['#!/bin/sh\necho E403 forbidden >&2\nexit 1\n', '#!/bin/sh\nexit 0\n', npmThatBrings(broken)]) {
    await using place = await Place.make()
    await place.script('bin/npm', npm)
    await place.script('bin/go', goThatBuilds(kubo))
    const { found, said } = await place.get()
    assert.equal(found, place.cached)
    assert.match(said, /npm package kubo: did not work \(.+\)\nBuilding Kubo .* with Go/)
    assert.match(await readFile(join(place.path, 'go-words'), 'utf8'), /^build -mod=mod /)
    assert.match(await readFile(join(place.path, 'go.mod'), 'utf8'), new RegExp(`^require github.com/ipfs/kubo v${kuboVersion}$`, 'm'))
    assert.deepEqual(await place.leftOver(), ['ipfs'])
  }
})

test('when nothing works, one error says why each way failed, and names the ways out', async () => {
  await using place = await Place.make()
  await place.script('bin/npm', '#!/bin/sh\necho much before >&2\necho E403 forbidden >&2\nexit 1\n')
  const { error } = await place.get()
  assert.match(error, /^no Kubo to be had \(npm package kubo: E403 forbidden; go build: go is not installed\): /)
  for (const way of ['"ipfs" is on PATH', '--ipfs PATH', 'KUBO_BIN', 'install Go']) assert.ok(error.includes(way), way)
  assert.deepEqual(await place.leftOver(), [])
})

test('what does not run is not kept', async () => {
  await using place = await Place.make()
  await place.script('bin/npm', npmThatBrings(broken))
  assert.match((await place.get()).error, /npm package kubo: what came out does not run/)
  assert.deepEqual(await place.leftOver(), [])
})

test('two at once both get one that runs', async () => {
  await using place = await Place.make()
  // Each installer waits until the other one has come as far, so that both end at the same time.
  const here = `"${place.path}/here"`
  const waitForOther = `: > ${here}.$$; while [ -e ${here}.$$ ] && set -- ${here}.* && [ $# -lt 2 ]; do :; done`
  await place.script('bin/npm', npmThatBrings(kubo, waitForOther))
  const answers = await Promise.all([place.get(), place.get()])
  assert.deepEqual(
    answers.map(({ found, error }) => [found, error]),
    [
      [place.cached, ''],
      [place.cached, '']
    ]
  )
  assert.deepEqual(await place.leftOver(), ['ipfs'])
})

/** An npm whose fifth word is the folder to install into, as it is called; it notes its words. */
function npmThatBrings(program: string, before = ''): string {
  return [
    '#!/bin/sh',
    'folder="$5"',
    'echo "$@" > "$HOME/npm-words"',
    before,
    '/bin/mkdir -p "$folder/node_modules/kubo/kubo"',
    `/bin/cat > "$folder/node_modules/kubo/kubo/ipfs" <<'END'\n${program}END`,
    '/bin/chmod +x "$folder/node_modules/kubo/kubo/ipfs"',
    ''
  ].join('\n')
}

/** A go whose fourth word is the file to build, run beside the go.mod. */
function goThatBuilds(program: string): string {
  return [
    '#!/bin/sh',
    'echo "$@" > "$HOME/go-words"',
    '/bin/cat go.mod > "$HOME/go.mod"',
    `/bin/cat > "$4" <<'END'\n${program}END`,
    '/bin/chmod +x "$4"',
    ''
  ].join('\n')
}

interface Answer {
  readonly found: string
  readonly said: string
  readonly error: string
}

/** A machine with an empty PATH, home and cache. */
class Place implements AsyncDisposable {
  readonly path: string
  readonly cached: string

  private constructor(path: string) {
    this.path = path
    this.cached = join(path, 'cache/flotilla/kubo', kuboVersion, 'ipfs')
  }

  static async make(): Promise<Place> {
    const place = new Place(await mkdtemp(join(tmpdir(), 'flotilla-kubo-test-')))
    for (const name of ['bin', 'temporary']) await mkdir(join(place.path, name))
    return place
  }

  /** @param name in this place, or absolute */
  async script(name: string, text: string): Promise<string> {
    const file = resolve(this.path, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
    await chmod(file, 0o755)
    return file
  }

  get({ explicit, variables = {} }: { explicit?: string; variables?: Readonly<Record<string, string>> } = {}): Promise<Answer> {
    const script = `
      const { ensureKubo } = await import(${JSON.stringify(getter)})
      let said = ''
      const answer = await ensureKubo({ explicit: ${JSON.stringify(explicit)}, say: line => (said += line + '\\n') })
        .then(found => ({ found, error: '' }), error => ({ found: '', error: error.message }))
      console.log(JSON.stringify({ ...answer, said }))`
    const env = {
      PATH: join(this.path, 'bin'),
      HOME: this.path,
      TMPDIR: join(this.path, 'temporary'),
      XDG_CACHE_HOME: join(this.path, 'cache'),
      ...variables
    }
    return new Promise((done, fail) => {
      execFile(process.execPath, ['--input-type=module', '-e', script], { env, timeout: 60_000 }, (error, out) =>
        error ? fail(error) : done(JSON.parse(out))
      )
    })
  }

  /** What is in the cache; beside it nothing may stay. */
  async leftOver(): Promise<readonly string[]> {
    assert.deepEqual(await readdir(join(this.path, 'temporary')), [])
    await access(dirname(this.cached))
    return readdir(dirname(this.cached))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }
}
