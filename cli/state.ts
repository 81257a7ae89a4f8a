/** `flotilla state export|import`: what is agreed, as ipfs-cluster exports it, out and in; through a peer that runs, or from a folder that does not. */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Argv, CommandModule } from 'yargs'
import { ClusterError, messageOf } from '../src/errors.ts'
import { exportBytes, pinsOf } from '../src/lines.ts'
import type { ImportOptions, ImportProgress, Pin, StateExport } from '../src/types.ts'
import { importProgressToJson } from '../src/wire.ts'
import { type CommonOptions, connect } from './connection.ts'
import { contentsToJson, describeContents } from './folder-contents.ts'
import { counted, ProgressLine, printJson, printLine } from './output.ts'
import { openStopped } from './stopped-folder.ts'

interface ExportOptions extends CommonOptions {
  readonly file?: string | undefined
  readonly offline: boolean
  readonly consistency: 'local' | 'linearizable'
}

const exportCommand: CommandModule<CommonOptions, ExportOptions> = {
  command: 'export',
  describe: 'Write every pin, one JSON document a line',
  builder: parser =>
    parser
      .option('file', { type: 'string', describe: 'Write to this file, whole or not at all [default: stdout]' })
      .option('offline', { type: 'boolean', default: false, describe: 'From the folder of a peer that does not run' })
      .option('consistency', {
        choices: ['local', 'linearizable'] as const,
        default: 'local' as const,
        describe: 'linearizable: nothing that is agreed by now may be missing, so a majority has to answer'
      })
      .example('$0 state export --file pins.ndjson', 'a backup')
      .example('$0 state export --offline > pins.ndjson', 'from the folder of a peer that is stopped, or crashed'),
  async handler(options) {
    if (options.offline) {
      await using stopped = await openStopped()
      await write(await stopped.peer.transfer.export(), options)
      return
    }
    await using client = connect(options)
    await write(await client.exportState({ consistency: options.consistency }), options)
  }
}

async function write({ index, pins }: StateExport, { file, json }: ExportOptions): Promise<void> {
  let count = 0
  const counting = async function* (): AsyncIterable<Pin> {
    using line = new ProgressLine()
    for await (const pin of pins) {
      if (++count % 1_000 === 0) line.show(`${count} pins`)
      yield pin
    }
  }
  const bytes = exportBytes(counting())
  if (file === undefined) {
    await pipeline(bytes, process.stdout as Writable, { end: false })
    process.stderr.write(`${counted(count, 'pin')} as of index ${index}\n`)
    return
  }
  await writeWhole(file, bytes)
  if (json) printJson({ file, index, pins: count })
  else printLine(`${counted(count, 'pin')} as of index ${index} written to ${file}`)
}

/** Beside it first, and on disk before it takes its place: a backup that was cut off must not look like one. */
async function writeWhole(file: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const fresh = `${file}.${randomBytes(6).toString('hex')}`
  try {
    await using handle = await open(fresh, 'wx', 0o600).catch(error => {
      throw new ClusterError({ code: 'refused' }, `cannot write to ${file}: ${messageOf(error)}`, { cause: error })
    })
    for await (const chunk of bytes) await handle.writeFile(chunk)
    await handle.sync()
    await rename(fresh, file)
  } finally {
    await rm(fresh, { force: true })
  }
}

interface ReadOptions extends CommonOptions {
  readonly file?: string | undefined
  readonly offline: boolean
  readonly keep: boolean
  readonly replicationMin?: number | undefined
  readonly replicationMax?: number | undefined
}

const importCommand: CommandModule<CommonOptions, ReadOptions> = {
  command: 'import',
  describe: 'Have the pins of an export agreed',
  builder: parser =>
    parser
      .option('file', { type: 'string', describe: 'Read this file [default: stdin]' })
      .option('offline', {
        type: 'boolean',
        default: false,
        describe: 'Into the folder of a peer that does not run: an empty one, or that of a cluster of one'
      })
      .option('keep', { type: 'boolean', default: false, describe: 'Leave pins that are there already as they are' })
      .option('replication-min', { type: 'number', alias: 'rmin', describe: 'In place of what each pin says; with --rmax' })
      .option('replication-max', { type: 'number', alias: 'rmax', describe: 'In place of what each pin says; with --rmin' })
      .example('$0 state import --file pins.ndjson', 'pins that are not in the file stay; run it again if it was cut off')
      .example('ipfs-cluster-service state export | $0 state import', 'move from ipfs-cluster'),
  async handler(options) {
    const asked = importOptionsOf(options)
    const source = await sourceOf(options.file)
    if (options.offline) {
      await using stopped = await openStopped()
      await stopped.peer.found()
      await follow(stopped.peer.transfer.import(pinsOf(source.bytes), asked), source, options)
      return
    }
    await using client = connect(options)
    await follow(client.importBytes(source.bytes, asked), source, options)
  }
}

function importOptionsOf({ keep, replicationMin, replicationMax }: ReadOptions): ImportOptions {
  if ((replicationMin === undefined) !== (replicationMax === undefined)) {
    throw new ClusterError({ code: 'invalid' }, '--rmin and --rmax go together: give both or none')
  }
  return {
    existing: keep ? 'keep' : 'replace',
    ...(replicationMin !== undefined && { replicationMin }),
    ...(replicationMax !== undefined && { replicationMax })
  }
}

interface Source {
  readonly bytes: AsyncIterable<Uint8Array>
  /** From 0 to 1; `null` where nobody knows how much there is. */
  readonly share: () => number | null
}

async function sourceOf(file: string | undefined): Promise<Source> {
  if (file === undefined) return { bytes: process.stdin, share: () => null }
  try {
    const { size } = await stat(file)
    const stream = createReadStream(file)
    return { bytes: stream, share: () => (size === 0 ? 1 : stream.bytesRead / size) }
  } catch (error) {
    throw new ClusterError({ code: 'invalid' }, `${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

async function follow(steps: AsyncIterable<ImportProgress>, { share }: Source, { json }: CommonOptions): Promise<void> {
  using line = new ProgressLine()
  const started = performance.now()
  let last: ImportProgress = { pins: 0, added: 0, replaced: 0, unchanged: 0, done: true }
  try {
    for await (const step of steps) {
      last = step
      const read = share()
      const perSecond = Math.round((step.pins * 1_000) / (performance.now() - started))
      line.show(`${read === null ? '' : `${Math.floor(100 * read)}%, `}${counted(step.pins, 'pin')}, ${perSecond} a second`)
    }
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error
    const way = 'what was imported stays, so run it again when this is mended'
    throw new ClusterError(error.fault, `${error.message} (after at least ${counted(last.pins, 'pin')}: ${way})`, { cause: error })
  }
  if (json) return printJson(importProgressToJson(last))
  printLine(`${counted(last.pins, 'pin')}: ${last.added} added, ${last.replaced} replaced, ${last.unchanged} as they were`)
}

const infoCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'info',
  describe: 'What the folder of a peer that does not run holds: log, members, pins, state hash',
  builder: parser => parser.hide('host'),
  async handler({ json }) {
    await using stopped = await openStopped()
    const contents = await stopped.peer.contents()
    if (json) printJson(contentsToJson(contents))
    else printLine(describeContents(contents))
  }
}

export const stateCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'state',
  describe: 'Export and import what is agreed',
  builder: (parser): Argv<CommonOptions> =>
    parser.command(exportCommand).command(importCommand).command(infoCommand).demandCommand(1, 'which command? See flotilla state --help'),
  handler: () => {}
}
