/**
 * Doors in front of one Kubo, each a process on a core of its own: flotilla's as its package is published, nginx, the Go ipfs-cluster proxy; and no
 * door at all. Kubo and the load share the other core.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { kuboAddress } from '../src/address.ts'
import { parseMultiaddr } from '../src/codec.ts'
import { inline } from '../test/support/cids.ts'
import { TestDaemon } from '../test/support/daemon.ts'
import { FakeKubo } from '../test/support/fake-kubo.ts'
import { freePorts } from '../test/support/kubo.ts'
import { installPackage } from '../test/support/package.ts'
import { until } from '../test/support/until.ts'
import { memoryMiB } from './processes.ts'
import { pins } from './systems.ts'

const run = promisify(execFile)

/** Core of the doors; everything else works on the others. */
const doorCore = 0

export interface BenchedDoor extends AsyncDisposable {
  readonly name: 'flotilla' | 'nginx' | 'Go' | 'direct'
  readonly port: number
  /** `null` where there is no process between the client and Kubo. */
  readonly pid: number | null
}

export interface Doors extends AsyncDisposable {
  readonly doors: readonly BenchedDoor[]
}

/** What stands behind all doors. */
export interface Backend extends AsyncDisposable {
  readonly rpc: number
  readonly pid: number
}

export interface DoorWish {
  readonly kubo: Backend
  /** How many pins flotilla and Go know, for lists. */
  readonly pinned: number
  /** Has the binary `ipfs-cluster-service`, or there is no Go. */
  readonly goFolder: string
}

export async function openDoors({ kubo, pinned, goFolder }: DoorWish): Promise<Doors> {
  await using opened = new AsyncDisposableStack()
  if (cpus().length < 2) console.log('There is one core only: doors, Kubo and load share it, and the figures are worth little')
  const doors: BenchedDoor[] = [{ name: 'direct', port: kubo.rpc, pid: null, [Symbol.asyncDispose]: async () => {} }]
  const own = opened.use(await flotilla(kubo, pinned))
  doors.push(own)
  const others = [
    ['nginx', existsSync('/usr/sbin/nginx'), () => nginx(kubo)],
    ['the Go proxy', existsSync(join(goFolder, goService)), () => goProxy(kubo, join(goFolder, goService), pinned)]
  ] as const
  for (const [name, isThere, start] of others) {
    if (isThere) doors.push(opened.use(await start()))
    else console.log(`${name} is left out: its program is not there`)
  }
  pinTo(
    doorCore,
    doors.flatMap(({ pid }) => pid ?? [])
  )
  const rest = Array.from({ length: cpus().length }, (_, core) => core).filter(core => core !== doorCore)
  pinTo(rest.join(','), [kubo.pid, process.pid])
  // What this process starts later has all cores again.
  opened.defer(() => pinTo([doorCore, ...rest].join(','), [process.pid]))
  const owned = opened.move()
  return { doors, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Streams of lines, from a process of its own. */
export async function lineServer(): Promise<Backend> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'door-lines.ts')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const rpc = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', bytes => resolve(Number(bytes)))
    child.once('exit', code => reject(new Error(`the server of lines ended with ${code}`)))
  })
  return { rpc, pid: child.pid ?? 0, [Symbol.asyncDispose]: async () => void child.kill() }
}

function apiOf({ rpc }: Backend): string {
  return `/ip4/127.0.0.1/tcp/${rpc}`
}

/** Every thread they have; those that come later are where their parents are. */
function pinTo(cores: string | number, pids: readonly number[]): void {
  if (cpus().length < 2) return
  for (const pid of pids) execFileSync('taskset', ['-acp', String(cores), String(pid)])
}

/** The pins of the cluster are kept by a Kubo in memory, so that they are there in seconds; what the door passes on goes to the real one. */
async function flotilla(kubo: Backend, pinned: number): Promise<BenchedDoor> {
  await using opened = new AsyncDisposableStack()
  const { program } = opened.use(await installPackage())
  const keeper = opened.use(await FakeKubo.start())
  const anyPort = [parseMultiaddr('/ip4/127.0.0.1/tcp/0')]
  const daemon = opened.use(
    await TestDaemon.start(
      apiOf(kubo),
      {
        api: {
          restapi: { httpListenMultiaddress: anyPort },
          ipfsproxy: { listenMultiaddress: anyPort, nodeMultiaddress: parseMultiaddr(apiOf(kubo)) }
        },
        ipfsConnector: { ipfshttp: { nodeMultiaddress: parseMultiaddr(keeper.api) } }
      },
      // As the first line of bin.js says.
      {
        command: [
          process.execPath,
          '--min-semi-space-size=8',
          '--max-semi-space-size=8',
          ...(process.env.NODE_FLAGS?.split(' ') ?? []),
          program
        ]
      }
    )
  )
  if (pinned > 0) {
    console.log(`${pinned} pins for flotilla …`)
    await pins('flotilla', kuboAddress(daemon.rest).origin, { clients: 64, count: pinned })
    await until('all are pinned', () => keeper.pins.size >= pinned, 120_000)
  }
  const owned = opened.move()
  return { name: 'flotilla', port: daemon.port, pid: daemon.pid, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** As Debian builds it, one process, with nothing switched on that the others do not do either. */
async function nginx(kubo: Backend): Promise<BenchedDoor> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-nginx-'))
  const [port] = await freePorts()
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`)
  const config = `
    daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000; pid ${folder}/pid; error_log ${folder}/error.log;
    events { worker_connections 19000; }
    http {
      access_log off; client_max_body_size 0; keepalive_requests 1000000000; keepalive_timeout 1d; ${places.join(' ')}
      upstream kubo { server 127.0.0.1:${kubo.rpc}; keepalive 64; keepalive_requests 1000000000; }
      server {
        listen 127.0.0.1:${port} backlog=4096;
        location / {
          proxy_pass http://kubo; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
          proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 1d; proxy_send_timeout 1d;
        }
      }
    }`
  await writeFile(join(folder, 'conf'), config)
  return started('nginx', {
    folder,
    port,
    command: ['/usr/sbin/nginx', '-p', folder, '-c', join(folder, 'conf'), '-e', join(folder, 'error.log')]
  })
}

const goService = 'ipfs-cluster-service'

/** One peer. Its pins belong to somebody else, so that its Kubo has nothing to do with them. */
async function goProxy(kubo: Backend, service: string, pinned: number): Promise<BenchedDoor> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-go-'))
  const [port, rest, swarm] = await freePorts()
  const [pinning] = await freePorts()
  const local = (tcp: number) => `/ip4/127.0.0.1/tcp/${tcp}`
  const variables = {
    IPFS_CLUSTER_PATH: folder,
    CLUSTER_SECRET: randomBytes(32).toString('hex'),
    CLUSTER_IPFSHTTP_NODEMULTIADDRESS: apiOf(kubo),
    CLUSTER_IPFSPROXY_NODEMULTIADDRESS: apiOf(kubo),
    CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: local(port),
    CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: local(rest),
    CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS: local(pinning),
    CLUSTER_LISTENMULTIADDRESS: local(swarm),
    CLUSTER_MDNSINTERVAL: '0s',
    // It is moved to one core only after its start.
    GOMAXPROCS: '1'
  }
  const env = { ...process.env, ...variables }
  await run(service, ['init', '--consensus', 'raft'], { env })
  if (pinned > 0) {
    const somebody = '12D3KooWGTc3tfeKvcSUvbqYxUBGhEVJHQvcTVTCckFUCmCDKeTZ'
    const line = (index: number) =>
      JSON.stringify({
        ...{ cid: inline(`load-go-${index}`), name: '', allocations: [somebody], max_depth: -1, type: 'pin', mode: 'recursive' },
        ...{ replication_factor_min: 1, replication_factor_max: 1 }
      })
    await writeFile(join(folder, 'state'), Array.from({ length: pinned }, (_, index) => `${line(index)}\n`).join(''))
    await run(service, ['state', 'import', '-f', join(folder, 'state')], { env, maxBuffer: 1 << 30 })
  }
  return started('Go', { folder, port, command: [service, 'daemon'], env })
}

async function started(
  name: BenchedDoor['name'],
  {
    folder,
    port,
    command: [file, ...words],
    env
  }: { folder: string; port: number; command: [string, ...string[]]; env?: NodeJS.ProcessEnv }
): Promise<BenchedDoor> {
  const child = spawn(file, words, { stdio: 'ignore', ...(env && { env }) })
  const ended = new Promise(resolve => child.once('exit', resolve))
  const dispose = async () => {
    child.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
  try {
    await until(`${name} answers`, () => (child.exitCode === null ? answers(port) : Promise.reject(new Error(`${name} ended`))), 60_000)
  } catch (error) {
    await dispose()
    throw error
  }
  return { name, port, pid: child.pid ?? 0, [Symbol.asyncDispose]: dispose }
}

function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/api/v0/version`, { method: 'POST' }).then(
    ({ status }) => status === 200,
    () => false
  )
}

/** The most memory that `act` makes a process need beyond what it has, in MiB. */
export async function growthMiB(pid: number, act: () => Promise<unknown>): Promise<number> {
  const before = memoryMiB(pid)
  // From here on the kernel counts the peak anew.
  await writeFile(`/proc/${pid}/clear_refs`, '5')
  await act()
  return memoryMiB(pid, 'VmHWM') - before
}
