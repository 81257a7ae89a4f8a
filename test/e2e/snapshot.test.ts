/** A state comes to a peer whose log begins too long ago: real daemons and stores. A Kubo only where the pins are to get there. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { initFolder } from '../../cli/peer-folder.ts'
import { FlotillaClient } from '../../src/client.ts'
import { inline } from '../support/cids.ts'
import { FakeKubo } from '../support/fake-kubo.ts'
import { freeBase } from '../support/local-cluster.ts'
import { until } from '../support/until.ts'

const program = resolve(import.meta.dirname, '../../cli/bin.js')
const pinsMin = 20_500
const clients = 64

interface Daemon {
  readonly child: ChildProcess
  readonly log: () => string
  readonly client: FlotillaClient
}

class Daemons implements AsyncDisposable {
  readonly #folder: string
  readonly #port: number
  readonly #secret = randomBytes(32).toString('hex')
  readonly #running: Daemon[] = []

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.#port = port
  }

  static async open(): Promise<Daemons> {
    return new Daemons(await mkdtemp(join(tmpdir(), 'flotilla-snapshot-')), await freeBase(4))
  }

  async start(number: number, special: Readonly<Record<string, string>> = {}): Promise<Daemon> {
    const at = (peer: number, offset: number) => `/ip4/127.0.0.1/tcp/${this.#port + 10 * peer + offset}`
    const variables = {
      FLOTILLA_PATH: join(this.#folder, String(number)),
      CLUSTER_SECRET: this.#secret,
      CLUSTER_PEERNAME: `peer-${number}`,
      CLUSTER_RAFT_TRAILINGLOGS: '500',
      CLUSTER_LISTENMULTIADDRESS: at(number, 2),
      CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: at(number, 0),
      CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: at(number, 1),
      ...special
    }
    await initFolder(variables.FLOTILLA_PATH, {}, { force: true, variables: {} })
    const words = number === 0 ? [] : ['--bootstrap', at(0, 2)]
    const child = spawn(process.execPath, [program, 'daemon', ...words], {
      env: { ...process.env, ...variables },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (output = `${output}${chunk}`.slice(-1_000_000)))
    const daemon = { child, log: () => output, client: new FlotillaClient({ address: at(number, 0) }) }
    this.#running.push(daemon)
    return daemon
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, client } of this.#running) {
      await client[Symbol.asyncDispose]()
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

async function says(daemon: Daemon, line: string): Promise<void> {
  await until(
    line,
    () => {
      if (daemon.child.exitCode !== null) throw new Error(`the daemon ended: ${daemon.log().slice(-2_000)}`)
      return daemon.log().includes(`"msg":"${line}"`)
    },
    60_000
  )
}

async function count({ client }: Daemon): Promise<number> {
  let pins = 0
  for await (const _ of client.allocations()) pins++
  return pins
}

test('a fourth peer is killed while the state of 20,000 pins comes in, goes on where it was, and serves all of them; writes go on', async () => {
  await using daemons = await Daemons.open()
  const first = await daemons.start(0)
  await says(first, 'ready')
  const second = await daemons.start(1)
  const third = await daemons.start(2)
  for (const daemon of [second, third]) await says(daemon, 'ready')
  let pins = 0
  const pinUntil = (isEnough: () => boolean) =>
    Promise.all(
      Array.from({ length: clients }, async () => {
        while (!isEnough()) await first.client.pin(inline(`snapshot ${pins++}`))
      })
    )
  await pinUntil(() => pins >= pinsMin)

  let isOver = false
  const writing = pinUntil(() => isOver)
  const killed = await daemons.start(3)
  await says(killed, 'state is coming in')
  killed.child.kill('SIGKILL')
  const before = pins
  const fourth = await daemons.start(3)
  await says(fourth, 'part of a state is here')
  await says(fourth, 'state installed')
  await says(fourth, 'ready')
  await until(
    'it is ready to answer',
    () =>
      count(fourth)
        .then(found => found > 0)
        .catch(() => false),
    60_000
  )
  isOver = true
  await writing
  assert.ok(pins > before, 'writes went on')
  await until('it has every pin', async () => (await count(fourth)) === pins, 60_000)
  assert.equal(await count(first), pins)
})

test('pins that arrive inside a state go to the Kubo of that peer at once, as none of them comes to its tracker one by one', async () => {
  await using kubo = await FakeKubo.start()
  await using daemons = await Daemons.open()
  const shortLog = { CLUSTER_RAFT_TRAILINGLOGS: '50' }
  const first = await daemons.start(0, shortLog)
  await says(first, 'ready')
  const second = await daemons.start(1, shortLog)
  const third = await daemons.start(2, { ...shortLog, CLUSTER_IPFSHTTP_NODEMULTIADDRESS: kubo.api })
  for (const daemon of [second, third]) await says(daemon, 'ready')
  await first.client.pin(inline('before'))
  await until('its Kubo has a pin', () => kubo.pins.size === 1)
  const reaches = (voters: number) => async () => (await first.client.overview()).votersReached === voters
  await until('it has its vote', reaches(3))
  third.child.kill('SIGSTOP')
  // Before that its socket would take what it hears when it thaws.
  await until('it is given up', reaches(2), 30_000)
  const names = Array.from({ length: 300 }, (_, place) => `inside ${place}`)
  for (let from = 0; from < names.length; from += clients) {
    await Promise.all(names.slice(from, from + clients).map(name => first.client.pin(inline(name))))
  }
  third.child.kill('SIGCONT')
  await says(third, 'state installed')
  await until('its Kubo has them all', () => kubo.pins.size === 1 + names.length, 30_000)
})
