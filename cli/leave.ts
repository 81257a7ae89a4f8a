/** `flotilla leave`: the peer that answers leaves the cluster, as by `peers rm`, and its process ends. */
import type { CommandModule } from 'yargs'
import { type CommonOptions, connect } from './connection.ts'
import { printJson, printLine } from './output.ts'

interface LeaveOptions extends CommonOptions {
  readonly force: boolean
}

export const leaveCommand: CommandModule<CommonOptions, LeaveOptions> = {
  command: 'leave',
  describe: 'Take the peer that answers out of the cluster, and stop it; its pins go to others',
  builder: parser =>
    parser
      .option('force', { type: 'boolean', default: false, describe: 'Also where it costs the majority or the only copy of a pin' })
      .epilogue('The folder keeps its data. A daemon that is started there again stands by, and answers 503.'),
  async handler({ host, json, force }) {
    await using client = connect({ host })
    const { id } = await client.id()
    await client.leave({ force })
    if (json) printJson({ left: id })
    else printLine(`peer ${id} has left the cluster and stops`)
  }
}
