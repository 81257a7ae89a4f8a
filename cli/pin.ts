/** `flotilla pin add|rm|ls`: what the cluster agrees to keep. */
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import type { WaitLevel } from '../src/api.ts'
import type { FlotillaClient } from '../src/client.ts'
import { parseCid, parseDuration, parseTarget } from '../src/codec.ts'
import { ClusterError } from '../src/errors.ts'
import type { Pin, PinFilter, PinOptions, PinProgress } from '../src/types.ts'
import { pinToJson } from '../src/wire.ts'
import { parseTime } from '../src/wire-time.ts'
import { type CommonOptions, connect } from './connection.ts'
import { counted, momentOf, ProgressLine, printJson, printLine, sizeOf } from './output.ts'

interface AddOptions extends CommonOptions {
  readonly target: string
  readonly name?: string | undefined
  readonly replicationMin?: number | undefined
  readonly replicationMax?: number | undefined
  readonly mode?: 'recursive' | 'direct' | undefined
  readonly expireIn?: string | undefined
  readonly meta?: readonly string[] | undefined
  readonly wait?: WaitLevel | undefined
}

const addCommand: CommandModule<CommonOptions, AddOptions> = {
  command: 'add <target>',
  describe: 'Keep a CID, or what a path leads to now',
  builder: parser =>
    parser
      .positional('target', { type: 'string', demandOption: true, describe: 'bafybei…, Qm…, /ipfs/<cid>/a/b or /ipns/<name>' })
      .option('name', { type: 'string', describe: 'A name for people' })
      .option('replication-min', { type: 'number', alias: 'rmin', describe: 'Copies it must have; -1 means every peer' })
      .option('replication-max', { type: 'number', alias: 'rmax', describe: 'Copies it may have; -1 means every peer' })
      .option('mode', { choices: ['recursive', 'direct'] as const, describe: 'Direct keeps the one block alone' })
      .option('expire-in', { type: 'string', describe: 'Unpin after this time, such as 12h' })
      .option('meta', { type: 'string', array: true, nargs: 1, describe: 'key=value, kept with the pin; may be repeated' })
      .option('wait', {
        choices: ['min', 'all'] as const,
        describe: 'Return when enough peers hold it (--wait), or all of them (--wait=all)'
      })
      .example('$0 pin add bafybei…', 'return once the cluster has agreed')
      .example('$0 pin add --wait --rmin 2 --rmax 3 /ipns/docs.ipfs.tech', 'wait for two copies')
      .example('$0 pin add --wait=all --meta owner=ann bafybei…', 'wait for all copies'),
  async handler(options) {
    const target = parseTarget(options.target)
    const asked = pinOptionsOf(options)
    await using client = connect(options)
    const pin = await client.pin(target, asked)
    const last = options.wait && (await waitFor(client, pin, { until: options.wait, isQuiet: options.json }))
    if (options.json) printJson(pinToJson(pin))
    else if (last) printLine(`${pin.cid}  pinned by ${counted(last.pinned, 'peer')}`)
    else printLine(`${pin.cid}  agreed, to be held by ${holdersOf(pin)}`)
  }
}

interface RemoveOptions extends CommonOptions {
  readonly target: string
}

const removeCommand: CommandModule<CommonOptions, RemoveOptions> = {
  command: ['rm <target>', 'remove <target>'],
  describe: 'End the agreement: every Kubo drops the pin',
  builder: parser => parser.positional('target', { type: 'string', demandOption: true, describe: 'A CID, or a path that leads to it' }),
  async handler(options) {
    const target = parseTarget(options.target)
    await using client = connect(options)
    const pin = await client.unpin(target)
    if (options.json) printJson(pinToJson(pin))
    else printLine(`${pin.cid}  unpinned`)
  }
}

interface ListOptions extends CommonOptions {
  readonly cid?: string | undefined
  readonly name?: string | undefined
  readonly namePrefix?: string | undefined
  readonly after?: string | undefined
  readonly before?: string | undefined
  readonly order?: 'oldest' | 'newest' | undefined
  readonly limit?: number | undefined
}

const listCommand: CommandModule<CommonOptions, ListOptions> = {
  command: ['ls [cid]', 'list [cid]'],
  describe: 'List what is agreed; what peers really hold is in status',
  builder: parser =>
    parser
      .positional('cid', { type: 'string', describe: 'Only this pin, in full' })
      .option('name', { type: 'string', describe: 'Only pins of exactly this name' })
      .option('name-prefix', { type: 'string', describe: 'Only pins whose names begin with this, by name' })
      .option('after', {
        type: 'string',
        describe: 'Only pins asked for at this time (2026-05-11T10:17:41Z) or later; 2h is two hours ago'
      })
      .option('before', { type: 'string', describe: 'As --after, or earlier' })
      .option('order', { choices: ['oldest', 'newest'] as const, describe: 'By the time they were asked for' })
      .option('limit', { type: 'number', describe: 'At most so many' })
      .example('$0 pin ls --order newest --limit 10', 'what came last'),
  async handler(options) {
    const cid = options.cid === undefined ? undefined : parseCid(options.cid)
    const filter = filterOf(options)
    await using client = connect(options)
    if (cid !== undefined) {
      const pin = await client.allocation(cid)
      if (options.json) printJson(pinToJson(pin))
      else printLine(describePin(pin))
      return
    }
    // One line each as they come: a table would need all of them first, and there may be millions.
    for await (const pin of client.allocations(filter)) {
      if (options.json) printJson(pinToJson(pin))
      else printLine(`${pin.cid}  ${factorsOf(pin)}${pin.name && `  ${pin.name}`}`)
    }
  }
}

function filterOf({ name, namePrefix, after, before, order, limit }: ListOptions): PinFilter {
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 0)) {
    throw new ClusterError({ code: 'invalid' }, '--limit takes a number of pins')
  }
  return { name, namePrefix, after: momentIn('--after', after), before: momentIn('--before', before), order, limit }
}

function momentIn(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = parseTime(text)
  if (ms !== undefined) return ms ?? 0
  if (/^[\d.]+[a-zµ]/.test(text)) return Date.now() - parseDuration(text)
  throw new ClusterError({ code: 'invalid' }, `${option} takes a time like 2026-05-11T10:17:41Z, or a duration like 2h, not "${text}"`)
}

export const pinCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'pin',
  describe: 'Add, remove and list pins',
  builder: parser =>
    parser.command(addCommand).command(removeCommand).command(listCommand).demandCommand(1, 'which command? See flotilla pin --help'),
  handler: () => {}
}

function pinOptionsOf(options: ArgumentsCamelCase<AddOptions>): PinOptions {
  const { name, mode, replicationMin, replicationMax, expireIn, meta } = options
  for (const factor of [replicationMin, replicationMax]) {
    if (factor !== undefined && (!Number.isInteger(factor) || factor < -1 || factor === 0)) {
      throw new ClusterError({ code: 'invalid' }, 'a replication factor is a whole number from 1, or -1 for every peer')
    }
  }
  return {
    ...(name && { name }),
    ...(mode && { mode }),
    ...(replicationMin && { replicationMin }),
    ...(replicationMax && { replicationMax }),
    ...(expireIn && { expireAt: Date.now() + parseDuration(expireIn) }),
    ...(meta && { metadata: Object.fromEntries(meta.map(entryOf)) })
  }
}

function entryOf(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new ClusterError({ code: 'invalid' }, `--meta takes key=value, not "${text}"`)
  return [text.slice(0, at), text.slice(at + 1)]
}

async function waitFor(
  client: FlotillaClient,
  { cid }: Pin,
  { until, isQuiet }: { until: WaitLevel; isQuiet: boolean }
): Promise<PinProgress> {
  using line = new ProgressLine()
  let last: PinProgress | undefined
  for await (const progress of client.follow(cid, { until })) {
    last = progress
    const size = progress.bytes === null ? '' : `, ${sizeOf(progress.bytes)}`
    if (!isQuiet) line.show(`${progress.pinned} of ${progress.wanted} copies, ${counted(progress.nodes, 'block')} fetched${size}`)
  }
  if (!last?.done)
    throw new ClusterError({ code: 'outcome_unknown' }, 'the peer stopped telling how far the pin is; it goes on: see flotilla status')
  return last
}

function holdersOf(pin: Pin): string {
  return pin.allocations.length === 0 ? 'every peer' : counted(pin.allocations.length, 'peer')
}

function factorsOf(pin: Pin): string {
  if (pin.replicationMin === -1) return 'everywhere'
  if (pin.replicationMax === 1) return '1 copy'
  return pin.replicationMin === pin.replicationMax
    ? `${pin.replicationMin} copies`
    : `${pin.replicationMin} to ${pin.replicationMax} copies`
}

function describePin(pin: Pin): string {
  const fields: readonly (readonly [string, string])[] = [
    ['cid', pin.cid],
    ['name', pin.name],
    ['mode', pin.type === 'pin' ? pin.mode : `${pin.mode} (${pin.type})`],
    ['copies', factorsOf(pin)],
    ...pin.allocations.map(peer => ['held by', peer] as const),
    ['added', momentOf(pin.timestamp)],
    ['expires', pin.expireAt === null ? 'never' : momentOf(pin.expireAt)],
    ['replaces', pin.pinUpdate ?? ''],
    ...pin.origins.map(origin => ['origin', origin] as const),
    ...Object.entries(pin.metadata).map(([key, value]) => ['meta', `${key}=${value}`] as const)
  ]
  return fields
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key.padEnd(9)}${value}`)
    .join('\n')
}
