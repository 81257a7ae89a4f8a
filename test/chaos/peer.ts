/** One real `flotilla daemon` in a network of its own, and what can be done to its process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { initFolder } from '../../cli/peer-folder.ts'
import { createIdentity, type PeerIdentity, writeIdentity } from '../../cluster/net/identity.ts'
import { parseMultiaddr } from '../../src/codec.ts'
import { Secret } from '../../src/secret.ts'
import type { Multiaddr } from '../../src/types.ts'
import { addressOf, namespaceOf } from './wires.ts'

const program = resolve(import.meta.dirname, '../../cli/bin.js')
/** Those of its first line. */
const flags = readFileSync(program, 'utf8').split('\n')[0]?.match(/--\S+/g) ?? []

/** Calls under way may take three seconds. */
const stopMs = 10_000
/** As long as a client waits. */
const leaveMs = 15_000

export interface NewPeer {
  readonly number: number
  readonly folder: string
  readonly identity: PeerIdentity
}

export interface Build {
  /** One of the bugs on purpose. */
  readonly mutation: string | undefined
}

/** A process that ended, and was not killed by the harness. */
export interface Death {
  readonly peer: number
  readonly how: string
}

export class ChaosPeer {
  readonly number: number
  readonly id: string
  readonly folder: string
  /** Of the REST API. */
  readonly url: string
  readonly #build: Build
  readonly #onDeath: (death: Death) => void
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  #isFrozen = false
  #bootstrap: readonly Multiaddr[] = []
  #foldersAside = 0

  constructor({ number, folder, identity }: NewPeer, { build, onDeath }: { build: Build; onDeath: (death: Death) => void }) {
    this.number = number
    this.id = identity.id
    this.folder = folder
    this.url = `http://${addressOf(number)}:9094`
    this.#build = build
    this.#onDeath = onDeath
  }

  get name(): string {
    return namespaceOf(this.number)
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  get isFrozen(): boolean {
    return this.#isFrozen
  }

  get logFile(): string {
    return join(this.folder, 'log')
  }

  /** Members to join through; a member does not look at them. */
  joinThrough(members: readonly ChaosPeer[]): void {
    this.#bootstrap = members.map(({ number }) => peerAddress(number))
  }

  start(): void {
    if (this.#child !== undefined) return
    const log = openSync(this.logFile, 'a')
    const preload = (file: string, query: string) => `--import=${new URL(`./${file}?${query}`, import.meta.url).href}`
    const imports = [
      preload('clock-shift.ts', `file=${encodeURIComponent(this.#shiftFile)}`),
      ...(this.#build.mutation === undefined ? [] : [preload('faulty-build.ts', `mutation=${this.#build.mutation}`)])
    ]
    const words = [process.execPath, ...flags, ...imports, program, 'daemon']
    const bootstrap = this.#bootstrap.length > 0 ? ['--bootstrap', this.#bootstrap.join()] : []
    // Who joins founds nothing, though it may have been a founder once.
    const joins = bootstrap.length > 0 ? { CLUSTER_RAFT_INITPEERSET: '' } : {}
    const child = spawn('nsenter', [`--net=/run/netns/${this.name}`, ...words, ...bootstrap], {
      env: { ...process.env, ...joins, FLOTILLA_PATH: this.folder },
      stdio: ['ignore', log, log]
    })
    closeSync(log)
    this.#child = child
    this.#isFrozen = false
    this.#ended = new Promise(resolve => {
      child.once('exit', (code, signal) => {
        // Whoever killed it has taken it away before.
        if (this.#child === child) {
          this.#child = undefined
          this.#onDeath({ peer: this.number, how: signal ?? `exit code ${code}` })
        }
        resolve()
      })
    })
  }

  /** kill -9. Returns when the process is gone. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL', { isTheEnd: true })
    await this.#ended
  }

  /** SIGTERM. Returns when the process is gone, of itself or by force. */
  async stop(): Promise<void> {
    const child = this.#child
    this.#signal('SIGTERM', { isTheEnd: true })
    const force = setTimeout(() => child?.kill('SIGKILL'), stopMs)
    await this.#ended
    clearTimeout(force)
  }

  /** Its process ends as its own answer to `tell`, or by force. */
  async leave(tell: () => Promise<boolean>): Promise<void> {
    const child = this.#child
    this.#child = undefined
    const force = setTimeout(() => child?.kill('SIGKILL'), leaveMs)
    if (!(await tell())) child?.kill('SIGKILL')
    await this.#ended
    clearTimeout(force)
  }

  /** What it knows is not used any more: it comes back as a new member, under its old name. */
  async moveDataAside(): Promise<void> {
    await rename(join(this.folder, 'data'), join(this.folder, `data-${this.#foldersAside++}`))
    await mkdir(join(this.folder, 'data'))
  }

  freeze(): void {
    this.#isFrozen = true
    this.#signal('SIGSTOP')
  }

  thaw(): void {
    this.#isFrozen = false
    this.#signal('SIGCONT')
  }

  /** Its wall clock is wrong by so much from now on. */
  async shiftClock(ms: number): Promise<void> {
    await writeFile(this.#shiftFile, String(ms))
    this.#signal('SIGUSR2')
  }

  /** A line of the harness among those of the peer. */
  note(text: string): void {
    appendFileSync(this.logFile, `${JSON.stringify({ chaos: text, time: Date.now() })}\n`)
  }

  /** What it has logged so far, in bytes: where {@link logged} begins to look. */
  get logBytes(): number {
    return statSync(this.logFile).size
  }

  /** Whether it has logged `words` behind the first `from` bytes. */
  logged(words: string, from: number): boolean {
    return readFileSync(this.logFile).includes(words, from)
  }

  get #shiftFile(): string {
    return join(this.folder, 'clock-shift')
  }

  #signal(signal: NodeJS.Signals, { isTheEnd = false } = {}): void {
    const child = this.#child
    if (isTheEnd) this.#child = undefined
    child?.kill(signal)
  }
}

/**
 * Folders for peers. The first `founders` of them found a cluster together.
 */
export async function makeFolders(
  dir: string,
  { founders, spare, trailingLogs }: { founders: number; spare: number; trailingLogs: number | undefined }
): Promise<NewPeer[]> {
  const peers: NewPeer[] = []
  for (let number = 0; number < founders + spare; number++) {
    const folder = join(dir, namespaceOf(number))
    await mkdir(join(folder, 'data'), { recursive: true })
    const identity = await createIdentity()
    await writeIdentity(join(folder, 'identity.json'), identity)
    await writeFile(join(folder, 'clock-shift'), '0')
    peers.push({ number, folder, identity })
  }
  const founding = peers.slice(0, founders)
  const founderAddresses = founding.map(({ number, identity }) => parseMultiaddr(`${peerAddress(number)}/p2p/${identity.id}`))
  for (const { number, folder } of peers) {
    const isFounder = number < founders
    await initFolder(
      folder,
      {
        cluster: {
          peername: namespaceOf(number),
          secret: new Secret(new Uint8Array(32).fill(7)),
          listenMultiaddress: [peerAddress(number)],
          peerAddresses: isFounder ? founderAddresses.filter((_, other) => other !== number) : []
        },
        consensus: {
          raft: {
            initPeerset: isFounder ? founding.map(({ identity }) => identity.id) : [],
            ...(trailingLogs !== undefined && { trailingLogs })
          }
        },
        api: {
          restapi: { httpListenMultiaddress: [parseMultiaddr('/ip4/0.0.0.0/tcp/9094')] },
          ipfsproxy: { listenMultiaddress: [parseMultiaddr('/ip4/127.0.0.1/tcp/9095')] }
        },
        flotilla: { store: 'leveldb', logLevel: 'debug' }
      },
      { force: false, variables: {} }
    )
  }
  return peers
}

function peerAddress(number: number): Multiaddr {
  return parseMultiaddr(`/ip4/${addressOf(number)}/tcp/9096`)
}
