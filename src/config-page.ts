/** The reference page of the configuration, printed from the rows: `docs/reference/configuration.md`. */

import { places } from './config.ts'
import { refused, withoutUse } from './config-foreign.ts'

export function configurationPage(): string {
  const used = places.filter(({ row }) => !row.isInert)
  const waiting = places.filter(({ row }) => row.isInert)
  const sections = [...new Set(used.map(({ row }) => sectionOf(row.path)))]
  return `${[
    '# Configuration',
    'Printed from `src/config.ts`; a test holds it to the code.',
    [
      'A peer reads `service.json` in its folder: `$FLOTILLA_PATH`, else `$IPFS_CLUSTER_PATH`, else `~/.flotilla`. Keys, defaults and variables are those of',
      'ipfs-cluster 1.1.6; the section `flotilla` is ours. `flotilla init` writes the file. Every key may be left out.'
    ].join('\n'),
    [
      '- A variable goes over the file, also when it is empty; only of durations an empty one says nothing.',
      '- Lists are separated by commas, pairs are `name:value,name2:value2`. In the file one item may stand without brackets.',
      '- Durations are texts such as `30s`, `5m` or `1h30m`; longer than 24 days counts as 24 days.',
      '- Where the file has a section `api`, a door that is missing in it is not opened.',
      '- A key that nobody knows is an error, a value that does not fit is an error. Both name the file, the key and what is expected.',
      '- A variable `CLUSTER_*` that nobody knows is named in the warning, because others may have set it.',
      '- `SIGUSR2` has the file read again while the peer runs: `heartbeat_timeout`, `propose_timeout` and `log_level` change, all else at the next start.',
      '- `CLUSTER_ID` and `CLUSTER_PRIVATEKEY`, always together, go over `identity.json`.'
    ].join('\n'),
    ...sections.map(section => `## ${section}\n\n${table(used.filter(({ row }) => sectionOf(row.path) === section))}`),
    '## Checked, but without effect yet',
    'Values are checked, and one warning names those keys that the file has.',
    table(waiting),
    '## Keys of ipfs-cluster without effect',
    'They may stand in the file; the same warning names them.',
    [['key', 'because'], ...Object.entries(withoutUse).map(([path, why]) => [`\`${path}\``, why])]
      .map(line)
      .toSpliced(1, 0, rule(2))
      .join('\n'),
    '## Keys of ipfs-cluster that are refused',
    'They protect something, so a peer does not start where one of them, or its variable, asks for what is not given. Their harmless values are taken.',
    [['key', 'because'], ...Object.entries(refused).map(([path, { because }]) => [`\`${path}\``, because])]
      .map(line)
      .toSpliced(1, 0, rule(2))
      .join('\n')
  ].join('\n\n')}\n`
}

function table(some: typeof places): string {
  const cells = some.map(({ row }) => {
    const initial = row.shownDefault ?? `\`${JSON.stringify(row.kind.toJson(row.default))}\``
    return [`\`${row.path}\``, initial, `\`${row.variable}\``, row.kind.expected, row.help]
  })
  return [['key', 'default', 'variable', 'value', 'what it does'], ...cells].map(line).toSpliced(1, 0, rule(5)).join('\n')
}

function line(cells: readonly string[]): string {
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function rule(columns: number): string {
  return `|${'---|'.repeat(columns)}`
}

function sectionOf(path: string): string {
  return path.slice(0, path.lastIndexOf('.'))
}
