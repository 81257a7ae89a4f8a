/** `flotilla version`: of the peer that answers; `--version` is that of the program itself. */
import type { CommandModule } from 'yargs'
import { versionToJson } from '../src/wire.ts'
import { type CommonOptions, connect } from './connection.ts'
import { printJson, printLine } from './output.ts'

export const versionCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'version',
  describe: 'Show the version of the peer that answers',
  async handler(options) {
    await using client = connect(options)
    const version = await client.version()
    if (options.json) printJson(versionToJson(version))
    else printLine(version)
  }
}
