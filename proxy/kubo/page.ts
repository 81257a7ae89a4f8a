/** The page "What the door changes", `docs/reference/kubo-door.md`: printed from the table of commands and from the rows of the configuration. */
import { places } from '../../src/config.ts'
import { intercepted, passed } from './table.ts'

const settings = [
  'api.ipfsproxy.listen_multiaddress',
  'api.ipfsproxy.node_multiaddress',
  'api.ipfsproxy.node_https',
  'flotilla.kubo_authorization',
  'flotilla.pin_wait',
  'flotilla.keep_trying',
  'flotilla.repository_sums',
  'flotilla.strict_pinning',
  'flotilla.door_access'
]

export function kuboDoorPage(): string {
  return `${[
    '# What the Kubo door changes',
    'The commands are printed from `proxy/kubo/table.ts`, the settings from `src/config.ts`; a test holds the page to the code.',
    [
      'The door speaks the RPC of Kubo (9095). A call that pins becomes a pin of the cluster; every byte of every other call goes to the Kubo behind the door and',
      'comes back as it is. Requests are judged by that Kubo itself: method, origin, referer, user agent, `API.Authorizations`. Pages on the port of the door, such',
      'as the WebUI, are to Kubo what pages on its own port are.'
    ].join('\n'),
    '## Commands that the cluster takes part in',
    table(['command', 'what happens'], [...Object.entries(intercepted).map(([command, { does }]) => [`\`${command}\``, does])]),
    'Options, argument forms, errors, formats (`json`, `text`, `xml`) and CID bases are those of Kubo. Where a call cannot be read, Kubo refuses it.',
    '## Commands that pass, and what to know of them',
    table(['command', 'what to know'], [...Object.entries(passed).map(([command, knows]) => [`\`${command}\``, knows])]),
    [
      'Commands of a Kubo newer than this door: its list of commands is read at the start and every ten minutes. What pins and is not in the first table passes, with',
      'a warning in the log, counted in the metric `flotilla_unreplicated_pinning_calls_total`; with `flotilla.strict_pinning` it is refused with status 501.'
    ].join('\n'),
    '## When a pin returns',
    table(
      ['level', 'the call returns when'],
      [
        [
          '`committed`',
          'the pin is agreed: a majority of the peers has it on disk. It is fetched afterwards, and tried again until it is there.'
        ],
        [
          '`min`',
          'as many peers as the pin needs at least (`replication_factor_min`) have all of it; with -1, every peer that is up, and at least one.'
        ],
        ['`all`', 'all peers that are to hold it have all of it.']
      ]
    ),
    [
      'The level is `flotilla.pin_wait`, or for one call the request header `X-Flotilla-Wait: <level>`, or the option `flotilla-wait=<level>`, which goes over the',
      'header and which Kubo ignores. Another word is refused with status 400.'
    ].join('\n'),
    [
      '- A pin that was answered survives: the crash of any minority of the peers, of the leader, of the Kubo behind the door.',
      '- Progress (`pin add --progress`) is that of the peer that is furthest, in nodes and bytes, twice a second, whether or not this peer holds the pin.',
      '- A client that leaves, and a `timeout` that ends, end the call as in Kubo. A pin that this call made is taken back, unless somebody asked for the same CID',
      '  meanwhile; a pin that was there before stays. With `flotilla.keep_trying` nothing is taken back.',
      '- Of an upload, the line that names a root is sent when the cluster has the root, and Kubo keeps its own pin until then. Otherwise the answer ends with',
      '  `X-Stream-Error`. Roots that were named stay when a later one fails.',
      '- Without a quorum, calls that change pins end with an error in the form of Kubo after `flotilla.propose_timeout`, or their own `timeout`; all others go on.'
    ].join('\n'),
    '## What a client can still see',
    [
      '- Answers of the door are cut into other chunks.',
      '- Of a pinned upload that fails in the middle, Kubo names roots that it then does not pin; the door does not name them.',
      '- `pin/ls` with several arguments answers each for itself; Kubo mixes up their types.',
      '- What only this Kubo has pinned is not in `pin/ls`, and can be removed by `pin/rm`.',
      '- Kubo gone: 502, and no leader or no state: 503, each with the JSON error of Kubo.'
    ].join('\n'),
    '## MFS',
    [
      'The files under `ipfs files` belong to the one Kubo behind the door: they are safe from its garbage collection, and nowhere else. Their state at one moment is',
      'replicated by pinning its root through the door:'
    ].join('\n'),
    '```sh\nipfs --api /ip4/127.0.0.1/tcp/9095 pin add --name my-files $(ipfs --api /ip4/127.0.0.1/tcp/9095 files stat --hash /)\n```',
    [
      'Kubo does so by itself, after every change, with a service that speaks the pinning service API. The pinning service of the cluster (9097) is not served yet;',
      'for any other, in the configuration of Kubo:'
    ].join('\n'),
    [
      '```sh',
      'ipfs pin remote service add cluster https://pins.example.net <token>',
      `ipfs config --json Pinning.RemoteServices.cluster.Policies.MFS '{"Enable": true, "PinName": "my-files", "RepinInterval": "5m"}'`,
      '```'
    ].join('\n'),
    '## Settings',
    table(
      ['key', 'default', 'what it does'],
      settings.map(path => {
        const { row } = place(path)
        return [`\`${path}\``, row.shownDefault ?? `\`${JSON.stringify(row.kind.toJson(row.default))}\``, row.help]
      })
    ),
    'Secrets in the manner of Kubo; a client that shows one may use the paths that begin so, and `/api/v0/version`. None is ever logged, nor is any query:',
    [
      '```json',
      JSON.stringify(
        {
          flotilla: {
            door_access: {
              uploader: { AuthSecret: 'bearer:<token>', AllowedPaths: ['/api/v0/add', '/api/v0/pin'] },
              admin: { AuthSecret: 'basic:<user>:<password>', AllowedPaths: ['/'] }
            }
          }
        },
        null,
        2
      ),
      '```'
    ].join('\n')
  ].join('\n\n')}\n`
}

function place(path: string): (typeof places)[number] {
  const found = places.find(({ row }) => row.path === path)
  if (found === undefined) throw new Error(`there is no key ${path}`)
  return found
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}
