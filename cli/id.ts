/** `flotilla id`: the peer that answers. */
import type { CommandModule } from 'yargs'
import type { PeerInfo } from '../src/types.ts'
import { peerInfoToJson } from '../src/wire.ts'
import { type CommonOptions, connect } from './connection.ts'
import { counted, printJson, printLine } from './output.ts'

export const idCommand: CommandModule<CommonOptions, CommonOptions> = {
  command: 'id',
  describe: 'Show the peer that answers, and its Kubo',
  async handler(options) {
    await using client = connect(options)
    const info = await client.id()
    if (options.json) printJson(peerInfoToJson(info))
    else printLine(describePeer(info))
  }
}

/** A few lines on one peer. */
export function describePeer(info: PeerInfo): string {
  if (info.error !== '') return `${info.name || 'a peer'}  ${info.id}\n  not reached: ${info.error}`
  const others = info.clusterPeers.filter(peer => peer !== info.id).length
  const { ipfs } = info
  return [
    `${info.name}  ${info.id}`,
    `  version ${info.version}, a cluster with ${counted(others, 'other peer')}`,
    ...info.addresses.map(address => `  ${address}`),
    ipfs.error === '' ? `  Kubo ${ipfs.id ?? ''}` : `  Kubo does not answer: ${ipfs.error}`,
    ...ipfs.addresses.map(address => `    ${address}`)
  ].join('\n')
}
