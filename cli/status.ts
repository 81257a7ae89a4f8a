/** `flotilla status`: the screen an administrator looks at first; with a CID, what every peer says of it. */
import type { CommandModule } from 'yargs'
import { parseCid } from '../src/codec.ts'
import type { Overview, PeerHealth, PeerStatus, PinStatus } from '../src/types.ts'
import { overviewToJson, pinStatusToJson } from '../src/wire.ts'
import { type CommonOptions, connect } from './connection.ts'
import { counted, momentOf, printJson, printLine, roughly, sizeOf, tableOf } from './output.ts'

interface StatusOptions extends CommonOptions {
  readonly cid?: string | undefined
  readonly local?: boolean | undefined
}

export const statusCommand: CommandModule<CommonOptions, StatusOptions> = {
  command: 'status [cid]',
  describe: 'The cluster at a glance, or what every peer says of one CID',
  builder: parser =>
    parser
      .positional('cid', { type: 'string', describe: 'Only this CID, peer by peer' })
      .option('local', { type: 'boolean', describe: 'With a CID: ask only the peer that answers' })
      .example('$0 status', 'peers with role, lag, space and queue; pins by state; what is wrong')
      .example('$0 status --json | jq .problems', 'for a script')
      .example('$0 status bafybei…', 'where it is, and why not where it is not'),
  async handler(options) {
    const cid = options.cid === undefined ? undefined : parseCid(options.cid)
    await using client = connect(options)
    if (cid === undefined) {
      const overview = await client.overview()
      if (options.json) printJson(overviewToJson(overview))
      else printLine(describeOverview(overview))
      return
    }
    const status = await client.status(cid, { local: options.local })
    if (options.json) printJson(pinStatusToJson(status))
    else printLine(describeStatus(status))
  }
}

function describeOverview(overview: Overview): string {
  const { peers, leader, term } = overview
  const nameOf = (id: string | null) => peers.find(peer => peer.id === id)?.name || id
  const lines = [
    `${nameOf(overview.answeredBy)} answers; ${leader === null ? 'nobody leads' : `${nameOf(leader)} leads`} in term ${term}; ` +
      `${overview.votersReached} of ${counted(overview.voters, 'voter')} reached`,
    '',
    tableOf(['PEER', 'ROLE', 'LAG', 'FREE', 'QUEUED', 'PINNING', 'PINNED', 'FAILED'], peers.toSorted(byName).map(peerRow)),
    '',
    `${counted(overview.pins, 'pin')} agreed; copies: ${copiesOf(overview)}`,
    '',
    ...(overview.problems.length === 0 ? ['Nothing is wrong.'] : ['What is wrong:', ...overview.problems.map(problem => `- ${problem}`)])
  ]
  return lines.join('\n')
}

/** As people count: `peer-2` before `peer-10`. */
function byName(one: PeerHealth, other: PeerHealth): number {
  return one.name.localeCompare(other.name, 'en', { numeric: true }) || (one.id < other.id ? -1 : 1)
}

function peerRow(peer: PeerHealth): readonly (string | number)[] {
  const role = peer.role === 'unreachable' ? `silent ${roughly(peer.silentMs)}` : peer.role
  const { queued, pinning, pinned, failed } = peer
  // Of a silent peer, the last known counts would read like the present.
  const counts = peer.role === 'unreachable' ? ['-', '-', '-', '-'] : [queued, pinning, pinned, failed]
  return [shortened(peer.name || peer.id, 24), role, peer.lagEntries ?? '-', sizeOf(peer.freeBytes), ...counts]
}

function copiesOf({ copies }: Overview): string {
  const parts = Object.entries(copies).filter(([, count]) => count > 0)
  return parts.length === 0 ? 'none' : parts.map(([status, count]) => `${count} ${status}`).join(', ')
}

function describeStatus(status: PinStatus): string {
  const rows = [...status.peers].map(([id, one]) => [shortened(one.peerName || id, 24), wordFor(one), momentOf(one.timestamp)] as const)
  // Reasons are whole sentences and stand below the table, where they have room.
  const reasons = [...status.peers].filter(([, one]) => one.error !== '').map(([id, one]) => `- ${one.peerName || id}: ${one.error}`)
  return [
    status.name === '' ? status.cid : `${status.cid}  ${status.name}`,
    '',
    tableOf(['PEER', 'STATUS', 'SINCE (UTC)'], rows),
    ...(reasons.length > 0 ? ['', ...reasons] : [])
  ].join('\n')
}

function wordFor(one: PeerStatus): string {
  if (one.progress !== null && one.status === 'pinning') {
    const size = one.progress.bytes === null ? '' : `, ${sizeOf(one.progress.bytes)}`
    return `${one.status}, ${counted(one.progress.nodes, 'block')}${size}`
  }
  return one.attemptCount > 1 ? `${one.status}, attempt ${one.attemptCount}` : one.status
}

function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 8)}…${text.slice(-7)}`
}
