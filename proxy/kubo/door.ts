/**
 * The Kubo door: Kubo's RPC on a port of ours. Calls that pin become pins of the cluster, every other byte goes to Kubo and back unchanged.
 *
 * @see https://docs.ipfs.tech/reference/kubo/rpc/
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { ClusterApi } from '../../src/api.ts'
import { systemClock } from '../../src/clock.ts'
import { messageOf } from '../../src/errors.ts'
import { Limit, logFailures, Tasks, unlessAborted } from '../../src/lifetime.ts'
import type { Log } from '../../src/log.ts'
import { authorizationOf } from '../../src/secret.ts'
import type { PeerId } from '../../src/types.ts'
import { type Door, listen, opened } from '../http/server.ts'
import { Access, type AccessRule, accessDenied } from './access.ts'
import { CommandAnswer, sendFailure, sendText } from './answer.ts'
import { type Asked, KuboHelp, type WaitFor, waitLevels } from './asked.ts'
import { argumentsOfBody, formOf } from './body-arguments.ts'
import { type Call, changedQuery, pathOf, readCall } from './call.ts'
import { Connection, type Decision, type Exchange } from './connection.ts'
import { Gate } from './gate.ts'
import { headerOf, type RequestHead } from './head.ts'
import { LearntHeaders } from './learnt-headers.ts'
import { allowedAgain, changedHead, forKubo, isTranslated, type Ports } from './origins.ts'
import { OwnPins } from './own-pins.ts'
import { pinAdd, pinUpdate } from './pin-add.ts'
import { pinList } from './pin-list.ts'
import { pinRemove } from './pin-remove.ts'
import type { Header } from './reply.ts'
import { collectGarbage, repositorySize } from './repository.ts'
import { forwardRoots } from './roots.ts'
import { UnknownPinners } from './strict.ts'
import { Upstream } from './upstream.ts'

export type { AccessRule } from './access.ts'
export type { WaitFor } from './asked.ts'

export interface KuboDoorSettings {
  /** Multiaddresses to listen on; the setting `api.ipfsproxy.listen_multiaddress`. */
  readonly listen: readonly string[]
  /** Kubo's API: a multiaddress or a URL. */
  readonly node: string
  /** How far a pin must be when its call returns; a call may say otherwise by the header `X-Flotilla-Wait` or the option `flotilla-wait`. */
  readonly waitFor: WaitFor
  /** How long calls in flight may still take when the door closes. */
  readonly closeTimeoutMs: number
  /** What the door shows to a Kubo with `API.Authorizations`: `bearer:…`, `basic:user:password`. `null`, the default: what the client shows. */
  readonly nodeAuthorization?: string | null
  /** Whether a pin stays wanted when its client leaves, or its `timeout` ends, before it is there. Default: it does not, as at Kubo. */
  readonly keepsTrying?: boolean
  /** Whether `repo/stat`, `stats/repo` and `repo/gc` are about the Kubos of all peers, or about the one behind the door. Default: all. */
  readonly sums?: 'all' | 'local'
  /** Refuses commands that pin and are not replicated. Default: they pass, and the log says so. */
  readonly isStrict?: boolean
  /** Who may use which paths. Default: everybody all, as far as Kubo lets them. */
  readonly access?: readonly AccessRule[]
}

export interface KuboDoorMetrics {
  countUnreplicated(command: string, fate: 'passed' | 'refused'): void
}

export interface KuboDoorParts {
  readonly api: ClusterApi
  readonly log: Log
  readonly metrics?: KuboDoorMetrics | undefined
}

/** @throws ClusterError `cannot_start` where it cannot listen; nothing is left open then */
export function openKuboDoor(parts: KuboDoorParts, settings: KuboDoorSettings): Promise<Door> {
  return opened(new KuboDoor(parts, settings))
}

class KuboDoor implements Door {
  readonly #api: ClusterApi
  readonly #log: Log
  readonly #metrics: KuboDoorMetrics | undefined
  readonly #settings: KuboDoorSettings
  readonly #upstream: Upstream
  readonly #gate: Gate
  readonly #learnt: LearntHeaders
  readonly #access: Access
  readonly #strangers: UnknownPinners
  readonly #ownPins = new OwnPins()
  readonly #tasks: Tasks
  readonly #servers: Server[] = []
  readonly #addresses: string[] = []
  readonly #connections = new Set<Connection>()
  readonly #closing = new AbortController()
  #self: Promise<PeerId> | null = null

  constructor({ api, log, metrics }: KuboDoorParts, settings: KuboDoorSettings) {
    const clock = systemClock
    this.#api = api
    this.#log = log
    this.#metrics = metrics
    this.#settings = settings
    const { nodeAuthorization = null } = settings
    this.#upstream = new Upstream(settings.node, nodeAuthorization === null ? null : authorizationOf(nodeAuthorization))
    this.#gate = new Gate({ upstream: this.#upstream, clock })
    this.#learnt = new LearntHeaders({ upstream: this.#upstream, clock, log })
    this.#access = new Access(settings.access ?? [])
    this.#strangers = new UnknownPinners({ upstream: this.#upstream, clock, log })
    this.#tasks = new Tasks(logFailures(log))
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  async start(): Promise<void> {
    for (const address of this.#settings.listen) {
      // A client that has closed its sending side still gets its answer.
      const server = createServer({ allowHalfOpen: true, noDelay: true }, client => this.#accept(client))
      this.#servers.push(server)
      this.#addresses.push(await listen(server, address, 'api.ipfsproxy.listen_multiaddress'))
    }
    this.#tasks.run('commands of kubo', signal => this.#strangers.watch(signal))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers
      .filter(({ listening }) => listening)
      .map(server => new Promise<void>(resolve => server.close(() => resolve())))
    // Connections become idle one by one.
    const closeIdle = () => {
      for (const connection of this.#connections) connection.closeWhenIdle()
    }
    closeIdle()
    const idle = setInterval(closeIdle, 20)
    const cut = setTimeout(() => {
      this.#closing.abort(new Error('this peer stops'))
      for (const connection of this.#connections) connection.cut()
    }, this.#settings.closeTimeoutMs)
    await Promise.all(closed)
    clearInterval(idle)
    clearTimeout(cut)
    // Calls under way propose their pins in its name.
    await this.#tasks[Symbol.asyncDispose]()
    this.#upstream[Symbol.dispose]()
  }

  #accept(client: Socket): void {
    const ports: Ports = { door: client.localPort ?? null, kubo: this.#upstream.port }
    const connection = new Connection({
      client,
      decide: head => this.#decide(head, ports),
      connect: onread => this.#upstream.connect(onread),
      unreachable: (reply, error) => sendFailure(reply, this.#upstream.unreachable(error)),
      onFailure: error => this.#log.error({ err: error, reason: messageOf(error) }, 'kubo call failed')
    })
    this.#connections.add(connection)
    client.once('close', () => this.#connections.delete(connection))
  }

  // ---- deciding ----

  #decide(head: RequestHead, ports: Ports): Decision {
    const path = pathOf(head.target)
    // Never the query: it may hold secrets.
    this.#log.debug({ method: head.method, path }, 'kubo call')
    if (!this.#access.allows(path, head.headers)) return serve(({ reply }) => sendText(reply, 403, accessDenied))
    if (head.method !== 'POST' || head.hasOddExpectation) return this.#pass(head, ports)
    const call = readCall(head.target)
    if (call !== undefined && isComplete(call, head) && !(isSum(call) && this.#settings.sums === 'local')) {
      return { kind: 'serve', serve: exchange => this.#serve(exchange, call, ports) }
    }
    const stranger = path === undefined ? undefined : this.#strangers.find(path)
    if (stranger === undefined) return this.#pass(head, ports)
    return this.#meet(stranger) ?? this.#pass(head, ports)
  }

  #meet(command: string): Decision | undefined {
    const { isStrict } = this.#settings
    this.#metrics?.countUnreplicated(command, isStrict ? 'refused' : 'passed')
    this.#log.warn({ command, isRefused: isStrict }, 'this command pins on one node only')
    if (!isStrict) return undefined
    const words = `${command} would pin on one node only: this door does not know how to replicate it, and is set to refuse such commands\n`
    return serve(({ reply }) => sendText(reply, 501, words))
  }

  #pass(head: RequestHead, ports: Ports): Decision {
    const origin = headerOf(head.headers, 'origin')
    const isOwn = isTranslated(origin, ports)
    const isChanged =
      isOwn ||
      isTranslated(headerOf(head.headers, 'referer'), ports) ||
      this.#access.isOn ||
      this.#upstream.authorization !== null ||
      this.#upstream.host !== null
    return {
      kind: 'pass',
      head: isChanged ? this.#forKubo(head.text, ports) : null,
      rewrite: isOwn ? answerHead => allowedAgain(answerHead, origin, ports) : undefined
    }
  }

  /** The head with this machine's own origins, and with what is said to this Kubo alone. */
  #forKubo(text: string, ports: Ports): string {
    const { authorization, host } = this.#upstream
    const isOurs = this.#access.isOn || authorization !== null
    const changed = changedHead(text, (name, value) => {
      if (name === 'origin' || name === 'referer') return forKubo(value, ports)
      if (name === 'authorization' && isOurs) return null
      return name === 'host' && host !== null ? host : value
    })
    return authorization === null ? changed : changed.replace('\n', `\nAuthorization: ${authorization}\r\n`)
  }

  // ---- answering ----

  async #serve(exchange: Exchange, call: Call, ports: Ports): Promise<void> {
    const { head, reply } = exchange
    // A call ends with its client, with the door, and with its own `timeout`, in Kubo's words.
    const limits = { ms: call.timeoutMs, reason: () => new Error('context deadline exceeded') }
    using limit = new Limit([exchange.signal, this.#closing.signal], limits)
    // A Kubo that says nothing takes longer than some clients have.
    const admission = await unlessAborted(this.#gate.judge(call.command, head.headers, ports), limit.signal).catch(error => {
      new CommandAnswer(reply, { format: call.format, isStream: isStream(call), headers: [] }).fail(error)
    })
    if (!admission) return
    const { refusal, cors, isKuboThere } = admission
    if (refusal) {
      reply.send(refusal.status, refusal.headers, refusal.body)
      return
    }
    const waitFor = this.#waitFor(call, head)
    if (waitFor === undefined) {
      sendText(reply, 400, `flotilla-wait must be one of ${waitLevels.join(', ')}\n`, cors)
      return
    }
    const authorization = this.#access.isOn ? undefined : headerOf(head.headers, 'authorization')
    const common = {
      api: this.#api,
      call,
      kubo: new KuboHelp(this.#upstream, authorization),
      waitFor,
      keepsTrying: this.#settings.keepsTrying ?? false,
      signal: limit.signal,
      tasks: this.#tasks
    }
    // Waited for, as the limit ends with this function.
    if (isUpload(call)) return await this.#forward(exchange, common, ports)
    const learnt = isKuboThere ? await this.#learnt.get(authorization) : []
    const answer = new CommandAnswer(reply, { format: call.format, isStream: isStream(call), headers: [...learnt, ...cors] })
    await this.#run(exchange, common, answer, cors)
  }

  async #run(exchange: Exchange, common: Omit<Asked, 'answer' | 'args'>, answer: CommandAnswer, cors: readonly Header[]): Promise<void> {
    const { call } = common
    try {
      const form = takesLines(call) ? formOf(exchange.head.headers) : 'none'
      const more = typeof form === 'string' ? [] : await argumentsOfBody(exchange, form.boundary)
      const asked: Asked = { ...common, args: [...call.args, ...more], answer }
      if (asked.args.length === 0 && takesArguments(call)) {
        sendText(exchange.reply, 400, 'argument "ipfs-path" is required\n', cors)
        return
      }
      await this.#command(asked)
    } catch (error) {
      answer.fail(error)
    }
  }

  #forward(exchange: Exchange, common: Omit<Asked, 'answer' | 'args'>, ports: Ports): Promise<void> {
    const { head } = exchange
    const { call } = common
    // Kubo would say nothing at all, and so hide the roots from us; the silence is kept here. And only JSON can be read here.
    const query = changedQuery(call.query, ['silent', 'encoding', 'enc', 'flotilla-wait'], [['encoding', 'json']])
    const [, ...fields] = this.#forKubo(head.text, ports).split(/(?<=\n)/)
    const hasHost = headerOf(head.headers, 'host') !== undefined
    const origin = headerOf(head.headers, 'origin')
    return forwardRoots({
      ...common,
      exchange,
      upstream: this.#upstream.connect(),
      head: `POST ${call.path}?${query} HTTP/1.1\r\n${hasHost ? '' : 'Host: kubo\r\n'}${fields.join('')}`,
      toClient: text => (isTranslated(origin, ports) ? allowedAgain(text, origin, ports) : text),
      unreachable: error => this.#upstream.unreachable(error),
      self: () => this.#whoami(),
      ownPins: this.#ownPins
    })
  }

  async #command(asked: Asked): Promise<void> {
    switch (asked.call.command) {
      case 'pin/add':
        return pinAdd(asked)
      case 'pin/rm':
        return pinRemove(asked)
      case 'pin/update':
        return pinUpdate(asked)
      case 'repo/stat':
      case 'stats/repo':
        return repositorySize({ ...asked, log: this.#log })
      case 'repo/gc':
        return collectGarbage({ ...asked, self: await this.#whoami() })
      default:
        return pinList(asked)
    }
  }

  /** This peer's own id never changes. */
  #whoami(): Promise<PeerId> {
    this.#self ??= this.#api.id().then(
      ({ id }) => id,
      error => {
        this.#self = null
        throw error
      }
    )
    return this.#self
  }

  #waitFor(call: Call, head: RequestHead): WaitFor | undefined {
    const wish = call.text('flotilla-wait') ?? headerOf(head.headers, 'x-flotilla-wait')
    return wish === undefined ? this.#settings.waitFor : waitLevels.find(level => level === wish)
  }
}

function serve(act: (exchange: Exchange) => void): Decision {
  return { kind: 'serve', serve: async exchange => act(exchange) }
}

/** Whether the call has what its command needs; where it has not, Kubo refuses it, in its own words. */
function isComplete(call: Call, { headers }: RequestHead): boolean {
  const form = formOf(headers)
  switch (call.command) {
    case 'pin/ls':
    case 'repo/stat':
    case 'stats/repo':
    case 'repo/gc':
      return form !== 'broken'
    case 'pin/update':
      return form !== 'broken' && call.args.length === 2
    case 'pin/add':
    case 'pin/rm':
      return form === 'none' ? call.args.length > 0 : form !== 'broken'
    default:
      return typeof form !== 'string'
  }
}

function isUpload({ command }: Call): boolean {
  return command === 'add' || command === 'block/put' || command === 'dag/put' || command === 'dag/import'
}

/** Commands whose arguments may also be the lines of a body. */
function takesLines({ command }: Call): boolean {
  return command === 'pin/add' || command === 'pin/rm'
}

function takesArguments({ command }: Call): boolean {
  return command === 'pin/add' || command === 'pin/rm' || command === 'pin/update'
}

/** Commands that tell of one Kubo, or of all together. */
function isSum({ command }: Call): boolean {
  return command === 'repo/stat' || command === 'stats/repo' || command === 'repo/gc'
}

/** Kubo marks answers of many values. */
function isStream({ command, flag }: Call): boolean {
  if (command === 'repo/gc') return true
  return (command === 'pin/add' && flag('progress', false)) || (command === 'pin/ls' && flag('stream', false))
}
