/** `flotilla recover`: a cluster that has lost its majority for good goes on with one survivor. */
import type { CommandModule } from 'yargs'
import { ClusterError } from '../src/errors.ts'
import type { CommonOptions } from './connection.ts'
import { contentsToJson, describeContents } from './folder-contents.ts'
import { printJson, printLine } from './output.ts'
import { openStopped } from './stopped-folder.ts'

interface RecoverOptions extends CommonOptions {
  readonly acceptDataLoss?: string | undefined
}

export const recoverCommand: CommandModule<CommonOptions, RecoverOptions> = {
  command: 'recover',
  describe: 'Go on with this peer alone when the majority is lost for good',
  builder: parser =>
    parser
      .option('accept-data-loss', {
        type: 'string',
        describe: 'Do it. TERM/INDEX of the last entry, as the command prints them without this option'
      })
      .hide('host')
      .example('$0 recover', 'what this folder has, and how to go on; changes nothing')
      .example('$0 recover --accept-data-loss 7/1234', 'on the survivor with the highest term, then the highest index')
      .epilogue('Works on the folder of a peer that does not run: $FLOTILLA_PATH, else $IPFS_CLUSTER_PATH, else ~/.flotilla.'),
  async handler({ acceptDataLoss, json }) {
    await using stopped = await openStopped()
    const contents = await stopped.peer.contents()
    const { lastTerm, lastIndex } = contents.log
    const place = `${lastTerm}/${lastIndex}`
    if (acceptDataLoss === undefined) {
      if (json) return printJson(contentsToJson(contents))
      printLine(describeContents(contents))
      printLine()
      printLine(warning.trim())
      printLine()
      printLine(`  flotilla recover --accept-data-loss ${place}`)
      return
    }
    if (acceptDataLoss !== place) {
      const message = `the last entry of this folder is ${place}, not ${acceptDataLoss}: is it the survivor that you mean?`
      throw new ClusterError({ code: 'refused' }, message)
    }
    await stopped.peer.recover()
    const after = await stopped.peer.contents()
    if (json) return printJson(contentsToJson(after))
    printLine(`this peer is the only member of the new cluster ${after.clusterId}, with ${after.pins} pins: start it by "flotilla daemon".`)
    printLine('The others have to join anew: move their data folders aside, and start them with --bootstrap and the address of this peer.')
  }
}

const warning = `
This would make this peer the only member of a new cluster. Do it only when a majority of the voters is lost for good, and none of them will
be started again with its old data:
- What the others agreed without this peer is lost. Run this command in the folder of every survivor: the one with the highest term, and among
  those the highest index, has the longest history. Take that one.
- Peers that keep their old data are refused by the new cluster; a majority of them could go on as the old one, beside it.
- Make a copy of the folder first.
What was done is kept in the state. To go on:
`
