/** The pin commands of Kubo, on the cluster: arguments and answers are Kubo's, the pins are everybody's. */
import type { ClusterApi } from '../../src/api.ts'
import { isPath, parseTarget, tryCid } from '../../src/codec.ts'
import { ClusterError, isFault } from '../../src/errors.ts'
import type { Cid, PinProgress } from '../../src/types.ts'
import type { CommandAnswer } from './answer.ts'
import { type Call, flag } from './request.ts'
import type { Upstream } from './upstream.ts'

/** How far a pin must be when the call returns: agreed, on the minimum of peers, on all of them. */
export type WaitFor = 'committed' | 'min' | 'all'

export interface CommandParts {
  readonly api: ClusterApi
  readonly upstream: Upstream
  readonly waitFor: WaitFor
}

/** Kubo's own pace. */
const progressMs = 500
const nameBytesMax = 255

export async function pinAdd(
  { api, upstream, waitFor }: CommandParts,
  { words, options }: Call,
  answer: CommandAnswer,
  signal: AbortSignal
): Promise<void> {
  const isRecursive = boolean(options, 'recursive', true)
  const showsProgress = boolean(options, 'progress', false)
  const name = options.get('name') ?? ''
  if (Buffer.byteLength(name) > nameBytesMax) throw failure(`pin name is ${Buffer.byteLength(name)} bytes (max ${nameBytesMax} bytes)`)
  const pinned: Cid[] = []
  for (const word of words) {
    const cid = await resolve(upstream, word, options, signal)
    const before = await api
      .allocation(cid, { signal })
      .catch(error => (isFault(error, 'not_pinned') || isFault(error, 'not_ready') ? undefined : Promise.reject(error)))
    if (before?.mode === 'recursive' && !isRecursive) throw failure(`pin: ${cid} already pinned recursively`)
    await api.pin(cid, { name, mode: isRecursive ? 'recursive' : 'direct', signal })
    try {
      if (waitFor !== 'committed') await wait(api, cid, waitFor, showsProgress ? answer : undefined, signal)
    } catch (error) {
      // As at Kubo: what did not get pinned does not stay; what was pinned before does.
      if (before === undefined) await api.unpin(cid, { signal: AbortSignal.timeout(5_000) }).catch(() => {})
      throw error
    }
    pinned.push(cid)
  }
  await answer.line({ Pins: pinned }, pinned.map(cid => `pinned ${cid} ${isRecursive ? 'recursively' : 'directly'}\n`).join(''))
  answer.end()
}

/** Follows a pin to the level wanted, telling the client now and then. */
export async function wait(
  api: ClusterApi,
  cid: Cid,
  until: Exclude<WaitFor, 'committed'>,
  answer: CommandAnswer | undefined,
  signal: AbortSignal
): Promise<void> {
  let toldMs = performance.now()
  let last: PinProgress | undefined
  for await (const progress of api.follow(cid, { until, signal })) {
    last = progress
    if (answer === undefined || performance.now() - toldMs < progressMs) continue
    toldMs = performance.now()
    await answer.line(progressLine(progress))
  }
  if (answer !== undefined && last !== undefined && last.nodes > 0) await answer.line(progressLine(last))
}

/** Zeros are left out, as Go does. */
function progressLine({ nodes, bytes }: PinProgress): object {
  return { ...(nodes > 0 ? { Progress: nodes } : {}), ...(bytes !== null && bytes > 0 ? { Bytes: bytes } : {}) }
}

export async function pinRemove(
  { api, upstream }: CommandParts,
  { words, options }: Call,
  answer: CommandAnswer,
  signal: AbortSignal
): Promise<void> {
  const isRecursive = boolean(options, 'recursive', true)
  const removed: Cid[] = []
  for (const word of words) {
    const cid = await resolve(upstream, word, options, signal)
    try {
      const pin = await api.allocation(cid, { signal })
      if (pin.mode === 'recursive' && !isRecursive) throw failure(`${cid} is pinned recursively`)
      await api.unpin(cid, { signal })
      await gone(api, cid, signal)
    } catch (error) {
      if (!isFault(error, 'not_pinned')) throw error
      // Not the cluster's: it may be a pin of this Kubo alone, which nobody could remove otherwise.
      await kubo(upstream, `pin/rm?arg=${cid}&recursive=${isRecursive}`, signal)
    }
    removed.push(cid)
  }
  await answer.line({ Pins: removed }, removed.map(cid => `unpinned ${cid}\n`).join(''))
  answer.end()
}

/** Waits until this peer's Kubo has dropped it, so that a garbage collection right after works; a Kubo that is down is not waited for. */
async function gone(api: ClusterApi, cid: Cid, signal: AbortSignal): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const { peers } = await api.status(cid, { local: true, signal })
    const [own] = peers.values()
    if (own === undefined || (own.status !== 'unpinning' && own.status !== 'unpin_queued')) return
    await new Promise(done => setTimeout(done, 20))
  }
}

const listTypes = ['direct', 'indirect', 'recursive', 'all']

export async function pinList(
  { api, upstream }: CommandParts,
  { words, options }: Call,
  answer: CommandAnswer,
  signal: AbortSignal
): Promise<void> {
  const type = options.get('type') ?? 'all'
  if (!listTypes.includes(type)) throw failure(`invalid type '${type}', must be one of {direct, indirect, recursive, all}`)
  const isStream = boolean(options, 'stream', false)
  const isQuiet = boolean(options, 'quiet', false)
  const wantedName = options.get('name')
  const showsNames = wantedName !== undefined || boolean(options, 'names', false)
  const keys: Record<string, { Type: string; Name: string }> = {}
  let count = 0
  const emit = async (cid: string, kind: string, name: string) => {
    const shown = showsNames ? name : ''
    const line = isQuiet ? `${cid}\n` : `${cid} ${kind}${shown === '' ? '' : ` ${shown}`}\n`
    count++
    if (isStream || answer.isText) await answer.line({ Cid: cid, ...(shown === '' ? {} : { Name: shown }), Type: kind }, line)
    else keys[cid] = { Type: kind, Name: shown }
  }
  if (words.length > 0) for (const word of words) await listOne({ api, upstream }, word, type, options, emit, signal)
  else {
    for await (const pin of api.allocations({ types: ['pin'], signal })) {
      if (type !== 'all' && type !== pin.mode) continue
      if (wantedName !== undefined && !pin.name.includes(wantedName)) continue
      await emit(pin.cid, pin.mode, pin.name)
    }
    if ((type === 'all' || type === 'indirect') && wantedName === undefined) await listIndirect({ api, upstream }, emit, signal)
  }
  if (!isStream && !answer.isText) await answer.line(count === 0 ? {} : { Keys: sorted(keys) })
  answer.end()
}

type Emit = (cid: string, kind: string, name: string) => Promise<void>

async function listOne(
  { api, upstream }: Pick<CommandParts, 'api' | 'upstream'>,
  word: string,
  type: string,
  options: Call['options'],
  emit: Emit,
  signal: AbortSignal
): Promise<void> {
  const cid = await resolve(upstream, word, options, signal)
  const pin = await api.allocation(cid, { signal }).catch(error => (isFault(error, 'not_pinned') ? undefined : Promise.reject(error)))
  if (pin && (type === 'all' || type === pin.mode)) return emit(cid, pin.mode, pin.name)
  if (type === 'all' || type === 'indirect') {
    const found = (await kubo(upstream, `pin/ls?arg=${cid}&type=indirect`, signal).catch(() => undefined)) as
      | { Keys?: Record<string, { Type: string }> }
      | undefined
    const kind = found?.Keys?.[cid]?.Type
    if (kind !== undefined) return emit(cid, kind, '')
  }
  throw failure(`path '${word}' is not pinned`)
}

/** What hangs on a recursive pin, as far as this peer's Kubo holds it. */
async function listIndirect({ api, upstream }: Pick<CommandParts, 'api' | 'upstream'>, emit: Emit, signal: AbortSignal): Promise<void> {
  const found = (await kubo(upstream, 'pin/ls?type=indirect', signal)) as { Keys?: Record<string, { Type: string }> }
  for (const text of Object.keys(found.Keys ?? {})) {
    const cid = tryCid(text)
    const isPinned =
      cid !== undefined &&
      (await api.allocation(cid, { signal }).then(
        () => true,
        () => false
      ))
    if (!isPinned) await emit(text, 'indirect', '')
  }
}

/** The CID that an argument names; Kubo resolves paths, and says in its own words what is wrong with them. */
async function resolve(upstream: Upstream, word: string, options: Call['options'], signal: AbortSignal): Promise<Cid> {
  const bare = tryCid(word)
  if (bare !== undefined) return bare
  let target: ReturnType<typeof parseTarget> | undefined
  try {
    target = parseTarget(word)
  } catch {
    // Kubo also takes "<cid>/path", and knows what else is a path.
  }
  if (target !== undefined && !isPath(target)) return target
  const path = target ?? word
  const offline = options.has('offline') ? `&offline=${encodeURIComponent(options.get('offline') ?? '')}` : ''
  const { Cid: link } = (await kubo(upstream, `dag/resolve?arg=${encodeURIComponent(path)}${offline}`, signal)) as { Cid: { '/': string } }
  return parseTarget(link['/']) as Cid
}

/** A call to Kubo of our own. @throws ClusterError `kubo_error` with Kubo's words, `kubo_unreachable` */
async function kubo(upstream: Upstream, path: string, signal: AbortSignal): Promise<unknown> {
  let answer: Awaited<ReturnType<Upstream['call']>>
  try {
    answer = await upstream.call(`/api/v0/${path}`, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw new ClusterError({ code: 'kubo_unreachable' }, 'Kubo does not answer, and is needed for this call', { cause: error })
  }
  const text = answer.body.toString('utf8')
  if (answer.status === 200) return JSON.parse(text)
  let message = text.trim()
  let kuboCode = 0
  try {
    const parsed = JSON.parse(text) as { Message?: string; Code?: number }
    message = parsed.Message ?? message
    kuboCode = parsed.Code ?? 0
  } catch {
    // Plain text before the command ran.
  }
  throw new ClusterError({ code: 'kubo_error', status: answer.status, kuboCode }, message)
}

function boolean(options: Call['options'], name: string, initial: boolean): boolean {
  const value = flag(options, name, initial)
  if (value === undefined) {
    throw new ClusterError(
      { code: 'kubo_error', status: 400, kuboCode: 1 },
      `could not convert value "${options.get(name)}" to type "bool" (for option "-${name}")`
    )
  }
  return value
}

/** Words of Kubo's, with its status. */
function failure(message: string): ClusterError {
  return new ClusterError({ code: 'kubo_error', status: 500, kuboCode: 0 }, message)
}

function sorted<T>(keys: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : 1)))
}
