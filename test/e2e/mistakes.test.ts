/** What operators get wrong: one clear sentence, the right exit code, nothing lost. */
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { inline } from '../support/cids.ts'
import { freeBase, LocalCluster } from '../support/local-cluster.ts'
import { until } from '../support/until.ts'

const program = resolve(import.meta.dirname, '../../cli/bin.js')

/** A disk of its own for the test needs the right to mount one. */
const cannotMount = process.getuid?.() === 0 ? false : 'mounting a small disk needs root'

interface End {
  readonly code: number
  readonly said: string
}

function flotilla(words: readonly string[], variables: Record<string, string> = {}): Promise<End> {
  return new Promise(done => {
    execFile(process.execPath, [program, ...words], { env: { ...process.env, ...variables }, timeout: 40_000 }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code ?? -1) : 0, said: stdout + stderr })
    )
  })
}

/** One that goes on until it is told to stop, and what it has logged so far. */
function daemon(variables: Record<string, string>) {
  const child = spawn(process.execPath, [program, 'daemon'], {
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let said = ''
  child.stdout.on('data', chunk => (said += chunk))
  return { child, ended: new Promise<number | null>(done => child.on('exit', done)), said: () => said }
}

/** What is left of it. */
function fill(disk: string): void {
  execFileSync('sh', ['-c', `dd if=/dev/zero of=${join(disk, 'filler')} bs=64k 2> /dev/null || true`])
}

describe('mistakes', () => {
  let cluster: LocalCluster
  let folder: string
  let port: number
  before(async () => {
    cluster = await LocalCluster.start({ peers: 1 })
    folder = await mkdtemp(join(tmpdir(), 'flotilla-mistakes-'))
    port = await freeBase(4)
  })
  after(async () => {
    await cluster[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** A new peer's folder with ports of its own. */
  async function init(name: string, secret: string): Promise<Record<string, string>> {
    const at = (offset: number) => `/ip4/127.0.0.1/tcp/${port + offset}`
    const variables = {
      FLOTILLA_PATH: join(folder, name),
      CLUSTER_SECRET: secret,
      CLUSTER_LISTENMULTIADDRESS: at(2),
      CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: at(0),
      CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: at(1)
    }
    assert.equal((await flotilla(['init'], variables)).code, 0)
    return { FLOTILLA_PATH: variables.FLOTILLA_PATH }
  }
  const secretOf = async () => JSON.parse(await readFile(join(cluster.peer(0).dir, 'service.json'), 'utf8')).cluster.secret as string
  const bootstrap = () => `/ip4/127.0.0.1/tcp/${cluster.basePort + 2}`

  test('a wrong secret: the newcomer ends with a sentence that says so, and shows no secret', async () => {
    const wrong = '11'.repeat(32)
    const { code, said } = await flotilla(['daemon', '--bootstrap', bootstrap()], await init('wrong-secret', wrong))
    assert.equal(code, 1)
    assert.match(said, /cannot join: .*another secret/)
    assert.ok(!said.includes(wrong))
  })

  test('a second daemon on one folder is refused with the process that holds it', async () => {
    const { code, said } = await flotilla(['daemon'], { FLOTILLA_PATH: cluster.peer(0).dir })
    assert.equal(code, 1)
    assert.match(said, new RegExp(`in use by process ${cluster.peer(0).pid}`))
  })

  test('a port in use is named with its setting', async () => {
    const variables = await init('port', await secretOf())
    const taken = createServer()
    await new Promise<void>(done => taken.listen(port, '127.0.0.1', done))
    const { code, said } = await flotilla(['daemon'], variables)
    taken.close()
    assert.equal(code, 1)
    assert.match(said, new RegExp(`cannot listen on /ip4/127.0.0.1/tcp/${port}.*api.restapi.http_listen_multiaddress`))
  })

  test('up names the port that is taken before it starts anything', async () => {
    const { code, said } = await flotilla(['up', '--dir', join(folder, 'up'), '--base-port', String(cluster.basePort)])
    assert.equal(code, 1)
    assert.match(said, new RegExp(`port ${cluster.basePort} is in use \\(REST of peer-0\\)`))
  })

  test('a configuration that is missing, no JSON, or has an unknown key or a bad value, each gets its sentence', async () => {
    const variables = await init('config', await secretOf())
    const file = join(variables.FLOTILLA_PATH ?? '', 'service.json')
    const good = JSON.parse(await readFile(file, 'utf8'))
    const cases: readonly (readonly [string, RegExp])[] = [
      ['{"cluster": ', /is not JSON/],
      [
        JSON.stringify({ ...good, cluster: { ...good.cluster, peer_name: 'x' } }),
        /unknown key cluster\.peer_name \(did you mean cluster\.peername\?\)/
      ],
      [
        JSON.stringify({ ...good, cluster: { ...good.cluster, secret: 'abcd' } }),
        /cluster\.secret is 2 bytes long, expected 32 bytes as 64 hexadecimal digits/
      ],
      [
        JSON.stringify({ ...good, cluster: { ...good.cluster, replication_factor_min: 3, replication_factor_max: 2 } }),
        /replication_factor_min is 3 and cluster\.replication_factor_max is 2, expected both -1/
      ]
    ]
    for (const [content, sentence] of cases) {
      await writeFile(file, content)
      const { code, said } = await flotilla(['daemon'], variables)
      assert.equal(code, 1)
      assert.match(said, sentence)
    }
    const { code, said } = await flotilla(['daemon'], { FLOTILLA_PATH: join(folder, 'nowhere') })
    assert.equal(code, 1)
    assert.match(said, /does not exist, "flotilla init" makes one/)
  })

  test('init does not overwrite', async () => {
    const variables = await init('twice', await secretOf())
    const before = await readFile(join(variables.FLOTILLA_PATH ?? '', 'service.json'), 'utf8')
    const { code, said } = await flotilla(['init'], variables)
    assert.equal(code, 1)
    assert.match(said, /exists already; --force overwrites it/)
    assert.equal(await readFile(join(variables.FLOTILLA_PATH ?? '', 'service.json'), 'utf8'), before)
  })

  test('a data folder of another cluster is not joined to this one', async () => {
    const variables = await init('other-cluster', await secretOf())
    const alone = spawn(process.execPath, [program, 'daemon'], { env: { ...process.env, ...variables }, stdio: 'ignore' })
    const ended = new Promise(done => alone.on('exit', done))
    await until(
      'it founded a cluster of its own',
      async () => (await fetch(`http://127.0.0.1:${port}/id`).catch(() => undefined))?.ok,
      20_000
    )
    alone.kill('SIGTERM')
    assert.equal(await ended, 0)
    const { code, said } = await flotilla(['daemon', '--bootstrap', bootstrap()], variables)
    assert.equal(code, 1)
    assert.match(said, /the data folder belongs to cluster .* is a member of another one/)
  })

  test('a peer whose disk is full steps aside with a sentence, and with room again comes back by itself with all it acknowledged', {
    skip: cannotMount
  }, async () => {
    const disk = join(folder, 'disk')
    await mkdir(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'flotilla-test', disk])
    try {
      const variables = await init('disk/peer', await secretOf())
      const { child, ended, said } = daemon(variables)
      const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
      const isUp = () => until('the peer answers', async () => (await ask('/id'))?.ok, 20_000)
      await isUp()
      const answered: string[] = []
      const filler = 'x'.repeat(3_000)
      for (let index = 0; ; index++) {
        if (index === 100) fill(disk)
        const cid = inline(`disk ${index}`)
        const url = `http://127.0.0.1:${port}/pins/${cid}?name=${index}&meta-filler=${filler}`
        const answer = await fetch(url, { method: 'POST' }).catch(() => undefined)
        if (!answer?.ok) break
        answered.push(cid)
        await answer.arrayBuffer()
      }
      assert.ok(answered.length >= 100)
      await until('it says why', () => said().includes('the disk is full: this peer steps aside'))
      assert.match(said(), /the store cannot write: .*(No space left|ENOSPC)/i)
      await until('nobody is there', async () => (await ask('/id')) === undefined)
      execFileSync('mount', ['-o', 'remount,size=64m', disk])
      await isUp()
      const listed = await (await ask('/allocations'))?.text()
      for (const cid of answered) assert.ok(listed?.includes(cid), `${cid} was acknowledged and is lost`)
      assert.equal(child.exitCode, null, 'it is the same process')
      child.kill('SIGTERM')
      assert.equal(await ended, 0)
      execFileSync('mount', ['-o', 'remount,ro', disk])
      const { code, said: refused } = await flotilla(['daemon'], variables)
      assert.equal(code, 1)
      assert.match(refused, /cannot be used: the file system is read-only/)
    } finally {
      execFileSync('umount', ['-l', disk])
    }
  })

  test('a peer that waits for room ends when it is told to, and one that is started on a full disk says so and ends', {
    skip: cannotMount
  }, async () => {
    const disk = join(folder, 'small')
    await mkdir(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'flotilla-test', disk])
    try {
      const variables = await init('small/peer', await secretOf())
      const { child, ended, said } = daemon(variables)
      await until('it is ready', () => said().includes('"ready"'), 20_000)
      fill(disk)
      for (let index = 0; !said().includes('steps aside'); index++) {
        await fetch(`http://127.0.0.1:${port}/pins/${inline(`small ${index}`)}`, { method: 'POST' }).catch(() => undefined)
      }
      child.kill('SIGTERM')
      assert.equal(await ended, 0)
      const { code, said: refused } = await flotilla(['daemon'], variables)
      assert.equal(code, 1)
      assert.match(refused, /the disk is full/)
    } finally {
      execFileSync('umount', ['-l', disk])
    }
  })

  test('what is no CID, and a path that is none, are answered with 400 and exit code 2', async () => {
    const { rest } = cluster.peer(0)
    assert.equal((await fetch(`${rest}/pins/nonsense`, { method: 'POST' })).status, 400)
    assert.equal((await fetch(`${rest}/nowhere`)).status, 404)
    const { code, said } = await flotilla(['pin', 'add', 'nonsense', '--host', rest])
    assert.equal(code, 2)
    assert.match(said, /neither a CID nor a path/)
  })
})
