/** `pin/ls`: recursive and direct pins are what the cluster has agreed on; indirect ones are what hangs on them in the Kubo behind this door. */
import { tryCid } from '../../src/codec.ts'
import { isFault, messageOf } from '../../src/errors.ts'
import { PinCursor, type PinPage } from '../../src/pin-page.ts'
import type { Cid, PinMode } from '../../src/types.ts'
import { goJson } from './answer.ts'
import { type Asked, agreed, failure, resolve } from './asked.ts'
import { cidText } from './cid-text.ts'
import { type LineWish, type Listed, lineOf, PinLines } from './pin-lines.ts'

const types = ['direct', 'indirect', 'recursive', 'all']
/** In the order in which they are listed. */
const modes = ['recursive', 'direct'] as const satisfies readonly PinMode[]
/** Characters that are written at once. */
const pieceLength = 64 << 10

interface ListWish extends LineWish {
  readonly type: string
  /** Must be in the name, where all pins are listed. */
  readonly part: string
}

export async function pinList(asked: Asked): Promise<void> {
  const { call, answer } = asked
  const type = call.text('type') ?? 'all'
  if (!types.includes(type)) throw failure(`invalid type '${type}', must be one of {direct, indirect, recursive, all}`)
  const part = call.text('name') ?? ''
  const showsNames = part !== '' || call.flag('names', false)
  const wish = { type, part, showsNames, isQuiet: call.flag('quiet', false), format: call.format, cidBase: call.cidBase }
  if (call.flag('stream', false) || call.format === 'text') await stream(asked, wish)
  else await map(asked, wish)
  answer.end()
}

/** A line each: recursive ones, direct ones, indirect ones. */
async function stream(asked: Asked, wish: ListWish): Promise<void> {
  const { answer, args } = asked
  let hasDirect = true
  for (const mode of modes) {
    if (args.length > 0 || !hasDirect || (wish.type !== 'all' && wish.type !== mode)) continue
    const lines = new PinLines(mode, wish)
    for await (const page of pages(asked)) await answer.chunk(lines.of(page, wish.part))
    hasDirect = lines.hasSeenOthers
  }
  for await (const item of others(asked, wish)) await answer.write(lineOf(item, wish))
}

/** One value, by CID. Not in flat memory, as its order is that of the texts. */
async function map(asked: Asked, wish: ListWish): Promise<void> {
  const { args, answer, call } = asked
  const entry = (type: string, name: string) => goJson({ Type: type, Name: wish.showsNames ? name : '' }).trimEnd()
  const nameless = { recursive: entry('recursive', ''), direct: entry('direct', '') }
  const values = new Map<string, string>()
  if (args.length === 0 && wish.type !== 'indirect') {
    for await (const page of pages(asked)) {
      for (const cursor = new PinCursor(page); cursor.next(); ) {
        const mode = cursor.isDirect ? 'direct' : 'recursive'
        if (!cursor.isPlain || (wish.type !== 'all' && wish.type !== mode) || !cursor.hasInName(wish.part)) continue
        values.set(cidText(cursor.cid, wish.cidBase), wish.showsNames ? entry(mode, cursor.name) : nameless[mode])
      }
    }
  }
  for await (const { cid, type, name } of others(asked, wish)) values.set(cidText(cid, wish.cidBase), entry(type, name))
  // Go cannot write a map as XML, and says so behind an empty answer.
  if (call.format === 'xml') {
    answer.begin()
    throw failure('xml: unsupported type: map[string]pin.PinLsType')
  }
  if (values.size === 0) return await answer.write('{}\n')
  let piece = '{"Keys":{'
  for (const [at, cid] of [...values.keys()].sort().entries()) {
    piece += `${at === 0 ? '' : ','}${goJson(cid).trimEnd()}:${values.get(cid)}`
    if (piece.length < pieceLength) continue
    await answer.write(piece)
    piece = ''
  }
  await answer.write(`${piece}}}\n`)
}

/** All pins of the cluster. */
async function* pages({ api, signal }: Asked): AsyncGenerator<PinPage, void, undefined> {
  for await (const page of api.pinPages({ signal })) {
    signal.throwIfAborted()
    yield page
  }
}

/** What is not in {@link pages}: the arguments where there are some, else what hangs on pins. */
async function* others(asked: Asked, { type, part }: ListWish): AsyncGenerator<Listed, void, undefined> {
  if (asked.args.length > 0) yield* listed(asked, type)
  else if ((type === 'all' || type === 'indirect') && part === '') yield* indirect(asked)
}

async function* indirect(asked: Asked): AsyncGenerator<Listed, void, undefined> {
  const lines = asked.kubo.lines('pin/ls', { type: 'indirect', stream: 'true' }, asked.signal)
  for await (const line of lines) {
    const cid = tryCid((line as { Cid?: string } | undefined)?.Cid ?? '')
    if (cid !== undefined && (await agreed(asked, cid)) === undefined) yield { cid, type: 'indirect', name: '' }
  }
}

/** The arguments, each for itself, in the order asked. */
async function* listed(asked: Asked, type: string): AsyncGenerator<Listed, void, undefined> {
  for (const word of asked.args) {
    const cid = await resolve(asked, word)
    const pin = await agreed(asked, cid)
    if (pin !== undefined && (type === 'all' || type === (pin.mode satisfies PinMode))) yield { cid, type: pin.mode, name: pin.name }
    else {
      const through = type === 'all' || type === 'indirect' ? await indirectType(asked, cid) : undefined
      if (through === undefined) throw failure(`path '${word}' is not pinned`)
      yield { cid, type: through, name: '' }
    }
  }
}

/** `indirect through <root>`, in Kubo's words; `undefined` where nothing holds it. */
async function indirectType({ kubo, call, signal }: Asked, cid: Cid): Promise<string | undefined> {
  try {
    const base: Record<string, string> = call.cidBase === null ? {} : { 'cid-base': call.cidBase }
    const answer = (await kubo.json('pin/ls', { arg: cid, type: 'indirect', ...base }, signal)) as {
      Keys?: Record<string, { Type: string }>
    }
    return Object.values(answer.Keys ?? {})[0]?.Type
  } catch (error) {
    if (isFault(error, 'kubo_error') && messageOf(error).endsWith('is not pinned')) return undefined
    throw error
  }
}
