/** `pin/ls`: recursive and direct pins are what the cluster has agreed on; indirect ones are what hangs on them in the Kubo behind this door. */
import { tryCid } from '../../src/codec.ts'
import { isFault, messageOf } from '../../src/errors.ts'
import type { Cid, PinMode } from '../../src/types.ts'
import { goJson } from './answer.ts'
import { type Asked, agreed, failure, resolve } from './asked.ts'
import { cidText } from './cid-text.ts'

const types = ['direct', 'indirect', 'recursive', 'all']

interface Listed {
  readonly cid: Cid
  /** `indirect through <root>` where one CID was asked for. */
  readonly type: string
  readonly name: string
}

export async function pinList(asked: Asked): Promise<void> {
  const { call, answer, args } = asked
  const type = call.text('type') ?? 'all'
  if (!types.includes(type)) throw failure(`invalid type '${type}', must be one of {direct, indirect, recursive, all}`)
  const isQuiet = call.flag('quiet', false)
  const isStream = call.flag('stream', false)
  const wanted = call.text('name') ?? ''
  const showsNames = wanted !== '' || call.flag('names', false)
  const items = args.length > 0 ? listed(asked, type) : all(asked, type, wanted)
  const line = ({ cid, type, name }: Listed) => (isQuiet ? `${cid}\n` : `${cid} ${type}${name === '' ? '' : ` ${name}`}\n`)
  const shown = (item: Listed) => ({ ...item, cid: cidText(item.cid, call.cidBase) as Cid, name: showsNames ? item.name : '' })
  if (isStream || call.format === 'text') {
    for await (const item of items) {
      const { cid, type, name } = shown(item)
      const document = { Cid: cid, ...(name === '' ? {} : { Name: name }), Type: type }
      await answer.line(document, line({ cid, type, name }))
    }
  } else {
    const keys: [string, { Type: string; Name: string }][] = []
    for await (const item of items) {
      const { cid, type, name } = shown(item)
      keys.push([cid, { Type: type, Name: name }])
    }
    // Go cannot write a map as XML, and says so behind an empty answer.
    if (call.format === 'xml') {
      answer.begin()
      throw failure('xml: unsupported type: map[string]pin.PinLsType')
    }
    keys.sort(([a], [b]) => (a < b ? -1 : 1))
    await answer.write(goJson(keys.length === 0 ? {} : { Keys: Object.fromEntries(keys) }))
  }
  answer.end()
}

/** Everything: recursive, direct, indirect, a CID once. */
async function* all(asked: Asked, type: string, wanted: string): AsyncGenerator<Listed, void, undefined> {
  for (const mode of ['recursive', 'direct'] as const) {
    if (type !== 'all' && type !== mode) continue
    for await (const pin of asked.api.allocations({ types: ['pin'], signal: asked.signal })) {
      asked.signal.throwIfAborted()
      if (pin.mode === mode && pin.name.includes(wanted)) yield { cid: pin.cid, type: mode, name: pin.name }
    }
  }
  if ((type === 'all' || type === 'indirect') && wanted === '') yield* indirect(asked)
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
