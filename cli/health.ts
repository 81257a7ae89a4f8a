/** `flotilla health`: for scripts and monitors; silent luck, loud trouble. */
import type { CommandModule } from 'yargs'
import { type CommonOptions, connect } from './connection.ts'
import { Failed, printJson, printLine } from './output.ts'

export const healthCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'health',
  describe: 'What is wrong; exit code 1 if anything is',
  async handler(options) {
    await using client = connect(options)
    const { problems, voters, votersReached } = await client.overview()
    if (options.json) printJson({ healthy: problems.length === 0, problems })
    else if (problems.length === 0) printLine(`healthy: ${votersReached} of ${voters} voters reached`)
    else for (const problem of problems) printLine(problem)
    if (problems.length > 0) throw new Failed('unhealthy')
  }
}
