/** `flotilla peers ls`: every member, those that do not answer last. `peers add`: an invitation for one more. `peers rm`: one less. */
import type { CommandModule } from 'yargs'
import { parsePeerId } from '../src/codec.ts'
import { configFileOf, loadConfig, peerFolder } from '../src/config-file.ts'
import { formatInvitation } from '../src/invitation.ts'
import type { Multiaddr, PeerInfo } from '../src/types.ts'
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

const addCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'add',
  describe: 'Print an invitation for a new peer; run it in the folder of a member',
  builder: parser =>
    parser
      .example('$0 peers add | ssh new-host flotilla init --join -', 'the new peer joins when its daemon starts')
      .epilogue(
        'The invitation holds the secret of the cluster, which no API tells: it is read from the folder of this peer ($FLOTILLA_PATH, else ' +
          '$IPFS_CLUSTER_PATH, else ~/.flotilla). Treat the line as a password.'
      ),
  async handler(options) {
    const { config } = await loadConfig(configFileOf(peerFolder()))
    await using client = connect(options)
    const [info, { clusterId }] = [await client.id(), await client.overview()]
    const invitation = formatInvitation({ clusterId, secret: config.cluster.secret, addresses: reachable(info) })
    if (options.json) printJson({ invitation })
    else printLine(invitation)
  }
}

/** Where a new peer can begin: this peer first, then the others. Loopback only where there is nothing else: all on one machine. */
function reachable({ addresses, clusterPeersAddresses }: PeerInfo): readonly Multiaddr[] {
  const all = [...new Set([...addresses, ...clusterPeersAddresses])]
  const remote = all.filter(address => !/^\/(ip4\/127\.|ip6\/::1\/)/.test(address))
  return (remote.length > 0 ? remote : all).slice(0, 8)
}

export const peersCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'peers',
  describe: 'Members of the cluster',
  builder: parser =>
    parser.command(listCommand).command(addCommand).command(removeCommand).demandCommand(1, 'which command? See flotilla peers --help'),
  handler: () => {}
}
