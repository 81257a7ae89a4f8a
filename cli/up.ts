/** `flotilla up`: a private cluster on this machine, each peer with a Kubo of its own. A process that dies is reported, not restarted. */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, relative, resolve } from 'node:path'
import type { CommandModule } from 'yargs'
import { FlotillaClient } from '../src/client.ts'
import { parseMultiaddr } from '../src/codec.ts'
import type { ConfigChanges } from '../src/config.ts'
import { configFileOf, loadConfig } from '../src/config-file.ts'
import { environment } from '../src/environment.ts'
import { ClusterError } from '../src/errors.ts'
import { Secret } from '../src/secret.ts'
import type { Overview, PeerId } from '../src/types.ts'
import type { CommonOptions } from './connection.ts'
import { ensureKubo } from './kubo-binary.ts'
import { connectKubos, kuboIsUp, prepareKubo } from './local-kubo.ts'
import { holderOf, lockFolder } from './lock.ts'
import { printJson, printLine, tableOf } from './output.ts'
import { exists, identityOf, initFolder } from './peer-folder.ts'
import { Child, type Death } from './processes.ts'

interface UpOptions extends CommonOptions {
  readonly peers: number
  readonly dir: string
  readonly 'base-port': number
  readonly ipfs?: string | undefined
}

export const upCommand: CommandModule<CommonOptions, UpOptions> = {
  command: 'up',
  describe: 'Run a private cluster with its own Kubo daemons on this machine',
  builder: parser =>
    parser
      .option('peers', { type: 'number', default: 3, describe: 'How many peers, each with a Kubo of its own (1 to 9)' })
      .option('dir', {
        type: 'string',
        default: '.flotilla',
        describe: 'Folder for everything; start again with it and all pins are there'
      })
      .option('base-port', {
        type: 'number',
        default: 9094,
        describe: 'Peer k uses the ports from here + 10k: REST, Kubo door +1, libp2p +2, Kubo RPC +5, gateway +6, swarm +7'
      })
      .option('ipfs', { type: 'string', describe: 'The Kubo program; else KUBO_BIN, ipfs on PATH, the cache, or it is fetched or built' })
      .hide('host')
      .example('$0 up', 'three peers on ports 9094 to 9121')
      .example('$0 up --dir other --base-port 20000', 'a second cluster beside it')
      .epilogue(
        'Runs until Ctrl-C. With --json it prints one line when all are ready. A process that dies is reported, not restarted; each peer ' +
          'can be started alone: FLOTILLA_PATH=.flotilla/peer-1 flotilla daemon.'
      ),
  handler: async options => {
    const wrong =
      !Number.isInteger(options.peers) ||
      options.peers < 1 ||
      options.peers > 9 ||
      !Number.isInteger(options['base-port']) ||
      options['base-port'] < 1 ||
      options['base-port'] > 65_400
    if (wrong) throw new ClusterError({ code: 'invalid' }, 'expected --peers from 1 to 9 and --base-port from 1 to 65400')
    await up(options)
  }
}

interface Place {
  readonly name: string
  readonly folder: string
  readonly kuboFolder: string
  readonly rest: number
  readonly door: number
  readonly libp2p: number
  readonly kubo: { readonly rpc: number; readonly gateway: number; readonly swarm: number }
}

interface Ready {
  readonly place: Place
  readonly id: PeerId
  readonly role: string
  readonly pid: number
}

const startMs = 60_000
/** As in the first line of bin.js: where V8 sees much memory it takes 128 MiB for young objects. */
const daemonFlags = ['--min-semi-space-size=8', '--max-semi-space-size=8']
/** Also from there: glibc gives each of the dozen threads a heap of its own, and returns little of it. */
const allocatorVariables = { MALLOC_ARENA_MAX: '2' }
/** Together within the five seconds that Ctrl-C may take. */
const peerGraceMs = 3_000
const kuboGraceMs = 1_500

async function up(options: UpOptions): Promise<void> {
  const stop = new AbortController()
  const children: Child[] = []
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) for (const child of children) child.kill()
      stop.abort(new Error(`told to stop by ${name}`))
    })
  }
  const say = (line: string) => process.stderr.write(`${line}\n`)
  await mkdir(resolve(options.dir), { recursive: true, mode: 0o700 })
  await using _lock = await lockFolder(resolve(options.dir))
  try {
    const ready = await start(options, children, { say, signal: stop.signal })
    announce(ready, options)
    await new Promise<void>(resolve => {
      if (stop.signal.aborted) resolve()
      // The listener alone does not keep a process alive.
      const alive = setInterval(() => {}, 1 << 30)
      const end = () => {
        clearInterval(alive)
        resolve()
      }
      stop.signal.addEventListener('abort', end, { once: true })
    })
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    if (children.length > 0) say('stopping …')
    const kubos = children.filter(({ name }) => name.startsWith('kubo'))
    await Promise.all(children.filter(child => !kubos.includes(child)).map(child => child.stop(peerGraceMs)))
    await Promise.all(kubos.map(child => child.stop(kuboGraceMs)))
  }
}

async function start(
  options: UpOptions,
  children: Child[],
  { say, signal }: { say: (line: string) => void; signal: AbortSignal }
): Promise<Ready[]> {
  const places = Array.from({ length: options.peers }, (_, number) => placeOf(resolve(options.dir), options['base-port'], number))
  await refuseOtherShape(places, options)
  for (const place of places) await refuseTaken(place)
  const binary = await ensureKubo({ explicit: options.ipfs, say, signal })
  say(`starting ${places.length} Kubo ${places.length === 1 ? 'daemon' : 'daemons'} and peers in ${options.dir} …`)
  const identities = await prepare(places, binary)
  const onDeath = ({ name, folder, how, lastLines }: Death) => {
    const again = name.startsWith('kubo') ? '' : ` Start it again with: FLOTILLA_PATH=${folder} flotilla daemon.`
    say(
      `${name} ended ${how}; it is not restarted.${again} Its last words, from ${join(folder, 'log')}:\n${lastLines.replace(/^/gm, '  ')}`
    )
  }
  for (const { name, kuboFolder } of places) {
    children.push(
      await Child.start({
        name: `kubo of ${name}`,
        folder: kuboFolder,
        command: binary,
        words: ['daemon'],
        variables: { ...environment(), IPFS_PATH: kuboFolder },
        locksFolder: false,
        onDeath
      })
    )
  }
  const limit = AbortSignal.any([signal, AbortSignal.timeout(startMs)])
  const ids = await Promise.all(places.map(({ kubo }) => kuboIsUp(kubo.rpc, limit)))
  await connectKubos(
    places.map(({ kubo: { rpc, swarm } }, number) => ({ id: ids[number] ?? '', rpc, swarm })),
    limit
  )
  // The entry of this very run: cli/bin.js, wherever the package is installed and whether or not it is compiled.
  const program = process.argv[1] ?? ''
  const started = new Map<Place, Child>()
  const addressOf = (place: Place, number: number) => `/ip4/127.0.0.1/tcp/${place.libp2p}/p2p/${identities[number]}`
  for (const [number, place] of places.entries()) {
    // The first one founds the cluster; a peer that is a member already does not look at this.
    const others = places.map(addressOf).filter((_, other) => other !== number)
    const child = await Child.start({
      name: place.name,
      folder: place.folder,
      command: process.execPath,
      words: [...daemonFlags, program, 'daemon', ...(number === 0 ? [] : ['--bootstrap', others.join(',')])],
      variables: { ...daemonVariables(), FLOTILLA_PATH: place.folder },
      locksFolder: true,
      onDeath
    })
    children.push(child)
    started.set(place, child)
  }
  return Promise.all(
    places.map((place, number) =>
      whenReady(place, { id: identities[number] as PeerId, child: started.get(place), peers: places.length, signal: limit })
    )
  )
}

function placeOf(dir: string, base: number, number: number): Place {
  const port = base + 10 * number
  return {
    name: `peer-${number}`,
    folder: join(dir, `peer-${number}`),
    kuboFolder: join(dir, `kubo-${number}`),
    rest: port,
    door: port + 1,
    libp2p: port + 2,
    kubo: { rpc: port + 5, gateway: port + 6, swarm: port + 7 }
  }
}

/** A folder that was made with other ports or more peers keeps them: it would never become ready. */
async function refuseOtherShape(places: readonly Place[], { dir, 'base-port': basePort, peers }: UpOptions): Promise<void> {
  if (await exists(configFileOf(join(resolve(dir), `peer-${peers}`)))) {
    throw new ClusterError(
      { code: 'cannot_start' },
      `${dir} has more than ${peers} peers: start all of them with --peers, or choose another --dir`
    )
  }
  for (const { folder, rest, name } of places) {
    if (!(await exists(configFileOf(folder)))) continue
    const listens = (await loadConfig(configFileOf(folder), {})).config.api.restapi?.httpListenMultiaddress ?? []
    if (!listens.some(address => address.split('/')[4] === String(rest))) {
      throw new ClusterError(
        { code: 'cannot_start' },
        `${dir} was made with another --base-port than ${basePort}: the REST API of ${name} is at ${listens.join(', ') || 'no address'}`
      )
    }
  }
}

/** Before anything is started: a folder in use, or a port that somebody has. */
async function refuseTaken(place: Place): Promise<void> {
  for (const folder of [place.folder, place.kuboFolder]) {
    const holder = await holderOf(folder)
    if (holder !== undefined) {
      throw new ClusterError(
        { code: 'cannot_start' },
        `process ${holder} still uses ${folder}: stop it first (kill ${holder}), or choose another --dir and --base-port`
      )
    }
  }
  const ports = {
    REST: place.rest,
    'the Kubo door': place.door,
    libp2p: place.libp2p,
    'Kubo RPC': place.kubo.rpc,
    'the Kubo gateway': place.kubo.gateway,
    'the Kubo swarm': place.kubo.swarm
  }
  for (const [use, port] of Object.entries(ports)) {
    if (!(await isFree(port)))
      throw new ClusterError({ code: 'cannot_start' }, `port ${port} is in use (${use} of ${place.name}): choose another --base-port`)
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Every folder complete, so that each peer can also be started alone. @returns the peer ids */
async function prepare(places: readonly Place[], binary: string): Promise<PeerId[]> {
  // Peers that are added later join with the secret of those that are there.
  let secret: Secret<Uint8Array> | null = new Secret<Uint8Array>(randomBytes(32))
  for (const { folder } of places)
    if (await exists(configFileOf(folder))) secret = (await loadConfig(configFileOf(folder), {})).config.cluster.secret
  const ids: PeerId[] = []
  for (const place of places) {
    await mkdir(place.kuboFolder, { recursive: true, mode: 0o700 })
    // Variables such as CLUSTER_ID are meant for one peer, and there are several here.
    if (await exists(configFileOf(place.folder))) ids.push((await identityOf(place.folder, {})).id)
    else ids.push((await initFolder(place.folder, settingsOf(place, secret), { force: false, variables: {} })).identity.id)
  }
  await Promise.all(places.map(({ kuboFolder, kubo }) => prepareKubo(binary, kuboFolder, kubo)))
  return ids
}

function settingsOf(place: Place, secret: Secret<Uint8Array> | null): ConfigChanges {
  const local = (port: number) => parseMultiaddr(`/ip4/127.0.0.1/tcp/${port}`)
  return {
    cluster: { peername: place.name, secret, listenMultiaddress: [local(place.libp2p)] },
    api: {
      restapi: { httpListenMultiaddress: [local(place.rest)] },
      ipfsproxy: { listenMultiaddress: [local(place.door)], nodeMultiaddress: local(place.kubo.rpc) }
    },
    ipfsConnector: { ipfshttp: { nodeMultiaddress: local(place.kubo.rpc) } }
  }
}

/** It answers, knows a leader, and has as many voters as there are peers. */
async function whenReady(
  place: Place,
  { id, child, peers, signal }: { id: PeerId; child: Child | undefined; peers: number; signal: AbortSignal }
): Promise<Ready> {
  await using client = new FlotillaClient({ address: `/ip4/127.0.0.1/tcp/${place.rest}` })
  for (;;) {
    if (child && !child.isRunning)
      throw new ClusterError({ code: 'cannot_start' }, `${place.name} did not start: see ${join(place.folder, 'log')}`)
    if (signal.aborted)
      throw new ClusterError(
        { code: 'cannot_start' },
        `${place.name} was not ready within ${startMs / 1_000} s: see ${join(place.folder, 'log')}`
      )
    const overview: Overview | undefined = await client.overview({ signal }).catch(() => undefined)
    const own = overview?.peers.find(peer => peer.id === id)
    const isReady =
      overview?.leader !== null && overview?.voters !== undefined && overview.voters >= peers && own?.isVoter && own.kuboError === ''
    if (isReady && overview.peers.every(({ role }) => role !== 'unreachable')) return { place, id, role: own.role, pid: child?.pid ?? 0 }
    await new Promise(done => setTimeout(done, 50))
  }
}

function announce(ready: readonly Ready[], { json }: UpOptions): void {
  if (json) {
    const peers = ready.map(({ place, id, role, pid }) => ({
      name: place.name,
      id,
      role,
      pid,
      rest: `http://127.0.0.1:${place.rest}`,
      door: `/ip4/127.0.0.1/tcp/${place.door}`,
      kubo: `http://127.0.0.1:${place.kubo.rpc}`,
      dir: place.folder,
      kuboDir: place.kuboFolder
    }))
    return printJson({ event: 'ready', peers })
  }
  const rows = ready.map(({ place, role }) => [
    place.name,
    role,
    ...[place.rest, place.door, place.kubo.rpc].map(port => `127.0.0.1:${port}`),
    relative(process.cwd(), place.folder)
  ])
  printLine(tableOf(['NAME', 'ROLE', 'REST', 'KUBO DOOR', 'KUBO RPC', 'DATA FOLDER'], rows))
  printLine()
  printLine(
    tableOf(
      ['NAME', 'PEER ID'],
      ready.map(({ place, id }) => [place.name, id])
    )
  )
  const [first] = ready
  const host = first === undefined || first.place.rest === 9094 ? '' : ` --host /ip4/127.0.0.1/tcp/${first.place.rest}`
  printLine()
  printLine('Try:')
  printLine(`  ipfs --api /ip4/127.0.0.1/tcp/${first?.place.door} pin add <cid>`)
  printLine(`  npx flotilla status${host}`)
  printLine()
  printLine('Ctrl-C stops everything; the next start comes back with all pins.')
}

/** CLUSTER_PEERNAME, CLUSTER_ID and their like are meant for one peer: three with the same would be broken. */
function daemonVariables(): Readonly<Record<string, string | undefined>> {
  const variables = Object.entries(environment()).filter(([name]) => !name.startsWith('CLUSTER_'))
  return { ...allocatorVariables, ...Object.fromEntries(variables) }
}
