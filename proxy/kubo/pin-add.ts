/** `pin/add` and `pin/update`: arguments and answers are Kubo's, the pins are everybody's. */
import { isFault, messageOf } from '../../src/errors.ts'
import { deadline, unlessAborted } from '../../src/lifetime.ts'
import type { Cid, FetchProgress, Pin, PinOptions } from '../../src/types.ts'
import { goJson, xmlText } from './answer.ts'
import { type Asked, agreed, failure, pinFailure, resolve, settle } from './asked.ts'
import { cidText } from './cid-text.ts'
import { ProgressLines } from './progress.ts'

const nameBytesMax = 255
/** In XML Go leaves no zeros out. */
const zeros = '<Progress>0</Progress><Bytes>0</Bytes>'
/** For taking back a pin whose client has left. */
const takeBackMs = 10_000
/** A client whose time is over is told so, also when nobody leads. */
const answerWithinMs = 250

export async function pinAdd(asked: Asked): Promise<void> {
  const { call, answer, args } = asked
  const isRecursive = call.flag('recursive', true)
  const name = call.text('name') ?? ''
  const nameBytes = Buffer.byteLength(name)
  if (nameBytes > nameBytesMax) throw failure(`pin name is ${nameBytes} bytes (max ${nameBytesMax} bytes)`)
  using progress = call.flag('progress', false) ? new ProgressLines(figures => answer.write(progressText(asked, figures))) : null
  const pinned: Cid[] = []
  for (const word of args) {
    const cid = await resolve(asked, word)
    if (call.isOffline) await findHere(asked, cid)
    const before = await agreed(asked, cid)
    if (before?.mode === 'recursive' && !isRecursive) throw failure(`pin: ${cidText(cid, call.cidBase)} already pinned recursively`)
    const onProgress = progress === null ? undefined : (figures: FetchProgress) => progress.tell(figures)
    await pinOne(asked, cid, { ...keptOf(before), name, mode: isRecursive ? 'recursive' : 'direct' }, before, onProgress)
    progress?.next()
    pinned.push(cid)
  }
  await progress?.end()
  await answer.write(pinsText(asked, 'AddPinOutput', pinned, cid => `pinned ${cid} ${isRecursive ? 'recursively' : 'directly'}\n`))
  answer.end()
}

/** Offline means to Kubo that the root itself must be here; what hangs on it is fetched all the same. */
async function findHere({ kubo, signal }: Asked, cid: Cid): Promise<void> {
  try {
    await kubo.json('block/stat', { arg: cid, offline: 'true' }, signal)
  } catch (error) {
    throw isFault(error, 'kubo_error') ? failure(`pin: ${error.message}`) : error
  }
}

/** Pins and waits. What did not get pinned does not stay, as at Kubo; what was pinned before does. */
async function pinOne(
  asked: Asked,
  cid: Cid,
  options: PinOptions,
  before: Pin | undefined,
  onProgress?: (progress: FetchProgress) => void
): Promise<void> {
  const { api, signal, keepsTrying, tasks } = asked
  // Not cut off with the client: only a change whose outcome is known can be taken back.
  const pinning = api.pin(cid, { ...options, signal: tasks.signal })
  try {
    await unlessAborted(pinning, signal)
    await settle(asked, cid, onProgress)
  } catch (error) {
    const isGone = signal.aborted
    if (before === undefined && !(isGone && keepsTrying)) await takenBack(asked, cid, pinning)
    // Kubo names the step that was cut short, before it has begun to answer.
    if (isGone && !asked.answer.hasBegun) throw failure(`pin: ${messageOf(error)}`)
    throw pinFailure(error)
  }
}

/** Ends a pin that its own call does not want any more; one that somebody else has asked for meanwhile is his. Resolves early where that takes long. */
async function takenBack({ api, tasks }: Asked, cid: Cid, pinning: Promise<Pin>): Promise<void> {
  const done = Promise.withResolvers<void>()
  tasks.run('take back a pin', async stop => {
    try {
      const { version } = await pinning
      await api.unpin(cid, { version, signal: deadline(takeBackMs, stop) })
    } catch {
      // Never agreed, changed by others, or nobody leads: then it is as if the client had left a moment later.
    } finally {
      done.resolve()
    }
  })
  const impatience = setTimeout(done.resolve, answerWithinMs)
  await done.promise
  clearTimeout(impatience)
}

/** What another `pin add` of the same CID leaves as it is. A pin of Kubo's never expires. */
function keptOf(before: Pin | undefined): PinOptions {
  if (before === undefined) return {}
  const { replicationMin, replicationMax, metadata, origins } = before
  return { replicationMin, replicationMax, metadata, origins, expireAt: null }
}

export async function pinUpdate(asked: Asked): Promise<void> {
  const { api, call, answer, signal, args } = asked
  const [from, to] = await Promise.all([resolve(asked, args[0] ?? ''), resolve(asked, args[1] ?? '')])
  const source = await agreed(asked, from)
  if (source?.mode !== 'recursive') throw failure("'from' cid was not recursively pinned already")
  if (from !== to) {
    const target = await agreed(asked, to)
    if (target?.mode === 'recursive') throw failure("'to' cid was already recursively pinned")
    await pinOne(asked, to, { pinUpdate: from, name: source.name, mode: 'recursive' }, target)
    // The old pin ends when the new one is there: in between both are kept, and nothing is ever without a pin.
    if (call.flag('unpin', true)) await api.unpin(from, { signal })
  }
  await answer.write(pinsText(asked, 'PinUpdateOutput', [from, to], () => '', `updated ${args[0]} to ${args[1]}\n`))
  answer.end()
}

/** The one value at the end, in the answer's format. */
export function pinsText({ call }: Asked, xmlName: string, pins: readonly Cid[], line: (cid: string) => string, text?: string): string {
  const shown = pins.map(cid => cidText(cid, call.cidBase))
  switch (call.format) {
    case 'json':
      return goJson({ Pins: shown })
    case 'text':
      return text ?? shown.map(line).join('')
    case 'xml':
      return `<${xmlName}>${shown.map(cid => `<Pins>${xmlText(cid)}</Pins>`).join('')}${xmlName === 'AddPinOutput' ? zeros : ''}</${xmlName}>`
  }
}

/** Zeros are left out, as Go does. */
function progressText({ call }: Asked, { nodes, bytes }: FetchProgress): string {
  switch (call.format) {
    case 'json':
      return goJson({ ...(nodes > 0 ? { Progress: nodes } : {}), ...(bytes !== null && bytes > 0 ? { Bytes: bytes } : {}) })
    case 'text':
      return nodes > 0 ? `Fetched/Processed ${nodes} nodes\n` : ''
    case 'xml':
      return `<AddPinOutput>${nodes > 0 ? `<Progress>${nodes}</Progress>` : ''}</AddPinOutput>`
  }
}
