/**
 * The command line: which commands there are, what every one of them takes, and how each ends. Exit code 0 is done, 1 failed, 2 a mistake in
 * the call. A command's code is loaded when it is the one asked for.
 */
import type { Argv, CommandModule } from 'yargs'
import yargs from 'yargs'
import { ClusterError, messageOf } from '../src/errors.ts'
import type { CommonOptions } from './connection.ts'
import { Failed } from './output.ts'
import { ownVersion } from './own-version.ts'

/** @param words the arguments behind the name of the program */
export async function main(words: readonly string[]): Promise<void> {
  endQuietlyWithoutReader()
  const isJson = words.includes('--json')
  try {
    await parser(words, ownVersion()).parseAsync()
  } catch (error) {
    if (error instanceof Failed) {
      process.exitCode = 1
      return
    }
    const isMistake = (error instanceof Error && error.name === 'YError') || (error instanceof ClusterError && error.code === 'invalid')
    process.exitCode = isMistake ? 2 : 1
    report(error, { isJson, isMistake })
  }
}

function parser(words: readonly string[], version: string) {
  return (
    yargs(words.map(withDefaultLevel))
      .scriptName('flotilla')
      .usage('$0 <command>\n\nKeeps IPFS pins replicated over a set of Kubo daemons.')
      .option('host', {
        type: 'string',
        global: true,
        describe: 'REST API of a peer, as multiaddress, URL or host:port [default: $FLOTILLA_HOST or /ip4/127.0.0.1/tcp/9094]'
      })
      .option('json', { type: 'boolean', default: false, global: true, describe: 'Print JSON: one document, lists one document a line' })
      .command(
        lazy('up', 'Run a private cluster with its own Kubo daemons on this machine', async () => (await import('./up.ts')).upCommand)
      )
      .command(lazy('init', 'Write service.json and identity.json for a peer', async () => (await import('./init.ts')).initCommand))
      .command(lazy('daemon', 'Run the peer of a folder', async () => (await import('./daemon.ts')).daemonCommand))
      .command(lazy('id', 'Show the peer that answers, and its Kubo', async () => (await import('./id.ts')).idCommand))
      .command(lazy('version', 'Show the version of the peer that answers', async () => (await import('./version.ts')).versionCommand))
      .command(lazy('peers', 'Members: peers ls, peers add', async () => (await import('./peers.ts')).peersCommand))
      .command(lazy('pin', 'Add, remove and list pins: pin add, pin rm, pin ls', async () => (await import('./pin.ts')).pinCommand))
      .command(
        lazy(
          'status [cid]',
          'The cluster at a glance, or what every peer says of one CID',
          async () => (await import('./status.ts')).statusCommand
        )
      )
      .command(
        lazy(
          'state',
          'What is agreed, as a whole: state export, state import, state info',
          async () => (await import('./state.ts')).stateCommand
        )
      )
      .command(
        lazy('leave', 'Take the peer that answers out of the cluster, and stop it', async () => (await import('./leave.ts')).leaveCommand)
      )
      .command(
        lazy(
          'recover',
          'Go on with this peer alone when the majority is lost for good',
          async () => (await import('./recover.ts')).recoverCommand
        )
      )
      .command(lazy('health', 'What is wrong; exit code 1 if anything is', async () => (await import('./health.ts')).healthCommand))
      .example('$0 up', 'three peers and three Kubos, to try it out')
      .example('$0 pin add --name site --wait bafybei…', 'pin, and wait until enough peers hold it')
      .example('$0 status', 'peers, space, queues, and what is wrong')
      .epilogue('Password of the REST API: FLOTILLA_BASIC_AUTH=user:password. Exit codes: 0 done, 1 failed, 2 mistake in the call.')
      .demandCommand(1, 'which command? See flotilla --help')
      .recommendCommands()
      .strictCommands()
      .strictOptions()
      .version(version)
      .wrap(Math.min(100, process.stdout.columns || 80))
      // A mistake is thrown, and told in one sentence by `main`.
      .fail((message, error) => {
        throw error ?? Object.assign(new Error(sentenceOf(message)), { name: 'YError' })
      })
      .exitProcess(false)
  )
}

/** The parser's words on one line, and with a way out. */
function sentenceOf(message: string): string {
  if (message.startsWith('Not enough non-option arguments')) return 'an argument is missing: --help names them'
  if (message.startsWith('Unknown command')) return `${message.toLowerCase()}: see flotilla --help`
  if (message.startsWith('Did you mean')) return `unknown command: ${message.replace('Did', 'did')}`
  const line = message.replace(/\s*\n\s*/g, ' ')
  return `${line.charAt(0).toLowerCase()}${line.slice(1)}`
}

/** `--wait` has a value that may be left out; to the parser the word behind it, the CID, would be the value. */
function withDefaultLevel(word: string): string {
  return word === '--wait' ? '--wait=min' : word
}

/** A command of which only the name is known until it is asked for. */
function lazy<Options>(
  command: string,
  describe: string,
  load: () => Promise<CommandModule<CommonOptions, Options>>
): CommandModule<CommonOptions, Options> {
  return {
    command,
    describe,
    builder: async parser => {
      const { builder } = await load()
      if (typeof builder === 'function') return builder(parser)
      // Without options of its own, a command has the common ones.
      return (builder === undefined ? parser : parser.options(builder)) as Argv<Options>
    },
    handler: async options => (await load()).handler(options)
  }
}

function report(error: unknown, { isJson, isMistake }: { isJson: boolean; isMistake: boolean }): void {
  const message = messageOf(error)
  if (isJson) {
    const code = error instanceof ClusterError ? error.code : isMistake ? 'invalid' : 'failed'
    process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`)
    return
  }
  process.stderr.write(`flotilla: ${message}\n`)
  // What is no fault of ours to explain is a bug, and its place in the code is what the report needs.
  if (!isMistake && !(error instanceof ClusterError) && error instanceof Error) process.stderr.write(`${error.stack}\n`)
}

/** `flotilla pin ls | head` is no failure. */
function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
}
