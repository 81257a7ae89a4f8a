/** `flotilla init`: what a peer needs before its first start, `service.json` and `identity.json`, in the format of ipfs-cluster. */
import { randomBytes } from 'node:crypto'
import type { CommandModule } from 'yargs'
import { configFileOf, peerFolder } from '../src/config-file.ts'
import { peerAddresses } from '../src/config-kinds.ts'
import { changesFromVariables, unusedVariables } from '../src/config-parse.ts'
import { environment } from '../src/environment.ts'
import { ClusterError } from '../src/errors.ts'
import { Secret } from '../src/secret.ts'
import type { Multiaddr } from '../src/types.ts'
import type { CommonOptions } from './connection.ts'
import { keepHost, readInvitation } from './invited.ts'
import { printJson, printLine } from './output.ts'
import { identityFileOf, initFolder } from './peer-folder.ts'
import { profiles } from './timing.ts'

export interface InitOptions extends CommonOptions {
  readonly force: boolean
  readonly peers: readonly string[]
  readonly join?: string | undefined
  readonly profile: keyof typeof profiles
}

export const initCommand: CommandModule<CommonOptions, InitOptions> = {
  command: 'init',
  describe: 'Write service.json and identity.json for a peer',
  builder: parser =>
    parser
      .option('peers', {
        type: 'string',
        array: true,
        default: [],
        describe: 'Addresses of other peers, as in /ip4/10.0.0.1/tcp/9096/p2p/12D3Koo…; several are separated by commas'
      })
      .option('join', {
        type: 'string',
        nargs: 1,
        describe: 'Join the cluster of this invitation at the first start: a file, or - for stdin [default: $FLOTILLA_INVITATION]'
      })
      .option('profile', {
        choices: ['lan', 'wan'] as const,
        default: 'lan' as const,
        describe: 'Timeouts for peers that are near each other, or up to 300 ms of round trip apart; the same on every peer'
      })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'Overwrite service.json where there is one; an identity is always kept'
      })
      .hide('host')
      .epilogue(
        'The folder is $FLOTILLA_PATH, else $IPFS_CLUSTER_PATH, else ~/.flotilla. Variables CLUSTER_* that are set go into the file. ' +
          'Peers of one cluster share a secret: the first init makes one, the others get it with an invitation ("flotilla peers add" prints ' +
          'one) or by CLUSTER_SECRET. Neither is an option, because options are in every process list.'
      ),
  async handler({ json, force, peers, join, profile }) {
    const variables = environment()
    const folder = peerFolder(variables)
    const fromVariables = changesFromVariables(variables)
    const addresses = addressesOf(peers)
    const invitation = await readInvitation(join, variables)
    if (invitation !== undefined && variables.CLUSTER_SECRET !== undefined) {
      throw new ClusterError({ code: 'invalid' }, 'the secret comes with the invitation: leave CLUSTER_SECRET unset')
    }
    const { consensus, flotilla } = profiles[profile]
    const changes = {
      ...fromVariables,
      consensus: { raft: { ...consensus?.raft, ...fromVariables.consensus?.raft } },
      flotilla: { ...flotilla, ...fromVariables.flotilla },
      cluster: {
        secret: invitation === undefined ? new Secret<Uint8Array>(randomBytes(32)) : invitation.secret,
        ...(addresses.length > 0 && { peerAddresses: addresses }),
        ...fromVariables.cluster
      }
    }
    const { identity, isNewIdentity } = await initFolder(folder, changes, { force, variables })
    if (invitation !== undefined) await keepHost(folder, invitation)
    const written = { folder, id: identity.id, config: configFileOf(folder), identity: identityFileOf(folder), new_identity: isNewIdentity }
    if (json) return printJson(written)
    printLine(`configuration written to ${written.config}`)
    printLine(`${isNewIdentity ? 'new identity written to' : 'identity kept in'} ${written.identity}`)
    printLine(`peer id ${identity.id}`)
    const unused = unusedVariables(variables)
    if (unused.length > 0) printLine(`variables without effect: ${unused.join(', ')}`)
    if (invitation !== undefined) return printLine(`"flotilla daemon" joins cluster ${invitation.clusterId}`)
    if (variables.CLUSTER_SECRET === undefined) {
      printLine('')
      printLine('The other peers of this cluster need the same secret: once this one runs, "flotilla peers add" prints an')
      printLine('invitation for "flotilla init --join" there.')
    }
  }
}

/** @throws ClusterError `invalid`: a mistake in the call */
function addressesOf(words: readonly string[]): readonly Multiaddr[] {
  const addresses = peerAddresses.fromText(words.join(','))
  if (addresses !== undefined) return addresses
  throw new ClusterError({ code: 'invalid' }, '--peers takes addresses such as /ip4/10.0.0.1/tcp/9096/p2p/12D3Koo…, separated by commas')
}
