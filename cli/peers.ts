/** `flotilla peers ls`: every member, those that do not answer last. */
import type { CommandModule } from 'yargs'
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

export const peersCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'peers',
  describe: 'Members of the cluster',
  builder: parser => parser.command(listCommand).demandCommand(1, 'which command? See flotilla peers --help'),
  handler: () => {}
}
