/** The `ipfs` program, every command of it that works remotely, once at Kubo and once at the door: same words, same exit code. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ensureKubo } from '../../../cli/kubo-binary.ts'
import type { Content } from './case.ts'
import { nowhere } from './case.ts'
import { neutral, startTwins, type Twins } from './twins.ts'

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** `{name}` is content or a file; a trailing `| text` is standard input. Sorted: its lines come in any order. */
const lines: readonly (string | { readonly sorted: string } | { readonly status: string })[] = [
  'id',
  'version --all',
  'commands',
  'add -Q {file}',
  'add {file} {other}',
  'add -r {tree}',
  'add -r -w --hidden {tree}',
  'add --progress=false --cid-version=1 --pin-name=named {other}',
  'add -n {file}',
  'add --pin=false {file}',
  'add --to-files=/mfs {file}',
  'add -q --chunker=size-1024 --trickle {big}',
  'add --nope {file}',
  'add {missing}',
  'add -Q --stdin-name=standard | from standard input',
  'pin add {small}',
  'pin add --progress {large}',
  'pin add --name=three {smallV1} {folder} {node}',
  'pin add -r=false {block}',
  'pin add | {block1}\n{block2}\n',
  'pin add nonsense',
  'pin add --timeout=300ms {nowhere}',
  'pin ls {small}',
  { sorted: 'pin ls --names {smallV1} {folder}' },
  { sorted: 'pin ls --type=recursive --names' },
  { sorted: 'pin ls --type=direct' },
  { sorted: 'pin ls --type=indirect -q' },
  { sorted: 'pin ls --stream --quiet' },
  { sorted: 'pin ls --name=three' },
  'pin ls --type=nope',
  'pin ls {nowhere}',
  'pin update {small} {block3}',
  'pin update {small} {block3}',
  { sorted: 'pin verify --verbose' },
  'pin rm {smallV1}',
  'pin rm {smallV1}',
  'pin rm | {block1}\n{block2}\n',
  'pin rm -r=false {folder}',
  'pin remote service add one http://127.0.0.1:1 key',
  'pin remote service ls',
  'pin remote ls --service=one',
  'pin remote add --service=one {small}',
  'pin remote service rm one',
  'cat {small}',
  'cat --offset=3 --length=4 {small}',
  'cat {small} {smallV1}',
  'cat --offline {broken}',
  'cat --timeout=300ms {nowhere}',
  'ls {folder}',
  'ls -v --stream {folder}',
  'refs -r {folder}',
  'resolve /ipfs/{folder}/inner/c',
  'block put {file}',
  'block put --pin --cid-codec=dag-pb {pb}',
  'block put --pin {file} {other}',
  'block get {small}',
  'block stat {small}',
  'block rm {folder}',
  'block rm {block9}',
  'dag put --pin | {"a":"put"}',
  'dag put {file}',
  'dag get {node}',
  'dag get {node}/list/2',
  'dag resolve {folder}/inner/c',
  'dag stat --progress=false {folder}',
  'dag export --progress=false {node}',
  { sorted: 'dag import --stats {car} {car2}' },
  'dag import --pin-roots=false {car}',
  'dag import {file}',
  'files mkdir -p /one/two',
  'files cp /ipfs/{folder} /one/folder',
  'files ls -l /one',
  'files stat /one/folder',
  'files write --create /one/written | written',
  'files read /one/written',
  'files mv /one/written /one/two/',
  'files rm -r /one/folder',
  'files rm /nope',
  'files flush /one',
  'name publish --offline --allow-offline {small}',
  'name resolve --offline',
  'key gen --type=ed25519 --nope mine',
  'key list -l',
  'swarm peers',
  'swarm addrs local',
  'swarm connect /ip4/127.0.0.1/tcp/1/p2p/12D3KooWNopeNopeNope',
  'config Addresses.Gateway',
  'config --json Test.Key 5',
  'config Test.Key',
  { sorted: 'config show' },
  'bootstrap list',
  'routing findpeer nonsense',
  'repo stat',
  'repo stat --size-only --human',
  'stats repo',
  'repo version',
  { sorted: 'refs local' },
  { sorted: 'repo ls' },
  { status: 'repo verify' },
  { status: 'stats bw' },
  { status: 'stats bitswap' },
  { status: 'diag sys' },
  { status: 'diag cmds' },
  { status: 'log ls' },
  'log level all nope',
  'filestore ls',
  'p2p ls',
  'pubsub ls',
  'object patch rm-link {folder} a',
  'cid format -v 1 {small}',
  'multibase list',
  { sorted: 'repo gc -q' },
  'repo gc',
  'nope'
]

describe('the ipfs program cannot tell the door from Kubo', () => {
  let twins: Twins
  let ipfs: string
  let folder: string
  let words: Readonly<Record<string, string>>
  before(async () => {
    ipfs = await ensureKubo({ say: line => console.log(line) })
    twins = await startTwins()
    folder = await mkdtemp(join(tmpdir(), 'flotilla-cli-'))
    words = await filesFor(folder, twins.content)
  })
  after(async () => {
    await twins?.[Symbol.asyncDispose]()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  async function at(address: string, line: string): Promise<Outcome> {
    const [command = '', input] = line.split(' | ', 2)
    const full = (text: string) => text.replace(/\{(\w+)\}/g, (whole, name: string) => words[name] ?? whole)
    const { code, stdout, stderr } = await run(ipfs, ['--api', address, ...command.split(' ').map(full)], {
      input: input === undefined ? undefined : full(input),
      home: join(folder, 'home')
    })
    return { code, stdout: neutral(stdout, twins), stderr: neutral(bars(stderr), twins) }
  }

  for (const line of lines) {
    const text = typeof line === 'string' ? line : 'sorted' in line ? line.sorted : line.status
    test(`ipfs ${text.replaceAll('\n', ' ')}`, async () => {
      const door = `/ip4/127.0.0.1/tcp/${twins.daemon.port}`
      const [direct, through] = await Promise.all([at(twins.plain.address, text), at(door, text)])
      const shape = (outcome: Outcome): unknown => {
        if (typeof line === 'string') return outcome
        if ('status' in line) return outcome.code
        return { ...outcome, stdout: outcome.stdout.split('\n').sort() }
      }
      assert.deepEqual(shape(through), shape(direct))
    })
  }

  test('a progress bar shows nodes while a pin is fetched', async () => {
    const words = ['pin', 'add', '--progress', '--timeout=2s', twins.content.broken]
    const drawn = async (address: string) => {
      const { code, stdout, stderr } = await run(ipfs, ['--api', address, ...words], { input: undefined, home: join(folder, 'home') })
      const states = `${stdout}${stderr}`.split(/[\r\n]+/).map(line => line.trim())
      return { code, states: [...new Set(states)] }
    }
    const direct = await drawn(twins.plain.address)
    assert.ok(
      direct.states.some(state => /Fetched|Processed/.test(state)),
      `Kubo drew ${JSON.stringify(direct.states)}`
    )
    assert.deepEqual(await drawn(`/ip4/127.0.0.1/tcp/${twins.daemon.port}`), direct)
  })
})

/** A bar is drawn again and again: its last state is kept. */
function bars(text: string): string {
  return text
    .split('\n')
    .map(line => line.split('\r').at(-1) ?? '')
    .map(line => line.replace(/\d+(\.\d+)? [KMG]?i?B \/ .*$/, '<bar>'))
    .join('\n')
}

async function filesFor(folder: string, content: Content): Promise<Readonly<Record<string, string>>> {
  const tree = join(folder, 'tree')
  await mkdir(join(tree, 'inner'), { recursive: true })
  await mkdir(join(folder, 'home'))
  const at = (name: string) => join(folder, name)
  await Promise.all([
    writeFile(at('file'), 'a file of the program'),
    writeFile(at('other'), 'another file of the program'),
    writeFile(at('big'), 'big '.repeat(100_000)),
    writeFile(at('pb'), Buffer.from('0a0408021800', 'hex')),
    writeFile(join(tree, 'a'), 'a of the tree'),
    writeFile(join(tree, '.hidden'), 'hidden'),
    writeFile(join(tree, 'inner', 'b'), 'b of the tree'),
    writeFile(at('one.car'), content.cars[0]),
    writeFile(at('two.car'), content.cars[1])
  ])
  const { small, smallV1, large, folder: dir, broken, node, blocks } = content
  return {
    ...{ file: at('file'), other: at('other'), big: at('big'), pb: at('pb'), tree, missing: at('missing') },
    ...{ car: at('one.car'), car2: at('two.car'), small, smallV1, large, folder: dir, broken, node, nowhere },
    ...Object.fromEntries(blocks.map((block, number) => [`block${number || ''}`, block]))
  }
}

function run(program: string, words: readonly string[], { input, home }: { input: string | undefined; home: string }): Promise<Outcome> {
  return new Promise(resolve => {
    const child = execFile(
      program,
      words,
      { env: { ...process.env, IPFS_PATH: home }, encoding: 'latin1', maxBuffer: 64 << 20, timeout: 30_000 },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr })
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
  })
}
