/** `flotilla peers ls` and `peers rm`. */
import type { CommandModule } from 'yargs'
import { parsePeerId } from '../src/codec.ts'
import { peerInfoToJson } from '../src/wire.ts'
import { type CommonOptions, connect } from './connection.ts'
import { describePeer } from './id.ts'
import { printJson, printLine } from './output.ts'

const listCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: ['ls', 'list'],
  describe: 'List the members, those that do not answer last',
  async handler(options) {
    await using client = connect(options)
    for await (const info of client.peers()) {
      if (options.json) printJson(peerInfoToJson(info))
      else printLine(describePeer(info))
    }
  }
}

interface RemoveOptions extends CommonOptions {
  readonly peer: string
  readonly force: boolean
}

const removeCommand: CommandModule<CommonOptions, RemoveOptions> = {
  command: 'rm <peer>',
  describe: 'Take a peer out of the cluster, whether it runs or not; its pins go to others',
  builder: parser =>
    parser
      .positional('peer', { type: 'string', demandOption: true, describe: 'Its id' })
      .option('force', { type: 'boolean', default: false, describe: 'Also where it costs the majority or the only copy of a pin' })
      .epilogue('The peer keeps its data and stands by. Without --force nothing is done that could not be undone.'),
  async handler({ peer, force, ...options }) {
    await using client = connect(options)
    await client.removePeer(parsePeerId(peer), { force })
  }
}

export const peersCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'peers',
  describe: 'Members of the cluster',
  builder: parser => parser.command(listCommand).command(removeCommand).demandCommand(1, 'which command? See flotilla peers --help'),
  handler: () => {}
}
