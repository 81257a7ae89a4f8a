/**
 * What the door does with which command: the one table that routing, strict mode and the page "What the door changes" are read from.
 */

type Kind = 'flag' | 'text'
/** By long name; the short ones behind the kind. */
export type Options = Readonly<Record<string, readonly [kind: Kind, ...shortNames: string[]]>>

export interface Row {
  /** As the page says it. */
  readonly does: string
  /** Only what the door reads; Kubo checks the rest. */
  readonly options: Options
  /** The last part of a path may be an argument: commands that take files have none. */
  readonly takesWords: boolean
}

/** Options that every command has. */
export const commonOptions: Options = {
  encoding: ['text', 'enc'],
  'stream-channels': ['flag'],
  timeout: ['text'],
  offline: ['flag'],
  local: ['flag', 'L'],
  'cid-base': ['text'],
  'upgrade-cidv0-in-output': ['flag'],
  debug: ['flag', 'D'],
  help: ['flag'],
  h: ['flag'],
  // Kubo ignores what it does not know, so that a client may always say it.
  'flotilla-wait': ['text']
}

const words = { takesWords: true }
const files = { takesWords: false }
const nothing = { takesWords: false }
const repositorySize = { options: { 'size-only': ['flag', 's'], human: ['flag', 'H'] }, takesWords: false } as const
const fastProvide: Options = { 'fast-provide-root': ['flag'], 'fast-provide-dag': ['flag'], 'fast-provide-wait': ['flag'] }

export const intercepted = {
  'pin/add': {
    does: 'Each argument, resolved by Kubo, becomes a pin of the cluster; returns when enough peers have it, with the progress of all of them.',
    options: { recursive: ['flag', 'r'], name: ['text', 'n'], progress: ['flag'], ...fastProvide },
    ...words
  },
  'pin/rm': {
    does: 'Ends the pin of the cluster; returns when the Kubo behind this door has dropped it too. What only that Kubo has pinned is removed there.',
    options: { recursive: ['flag', 'r'] },
    ...words
  },
  'pin/ls': {
    does: 'Lists what the cluster has agreed on, recursive and direct, with names; indirect pins are those of the Kubo behind this door.',
    options: { type: ['text', 't'], quiet: ['flag', 'q'], stream: ['flag', 's'], name: ['text', 'n'], names: ['flag'] },
    ...words
  },
  'pin/update': {
    does: 'Pins the new root with the options and on the peers of the old one, and then ends the old pin.',
    options: { unpin: ['flag'], ...fastProvide },
    ...words
  },
  add: {
    does: 'Kubo adds; each root becomes a pin of the cluster, and the line that names it is sent when enough peers have it. Passed through with `only-hash` or `pin=false`.',
    options: { 'only-hash': ['flag', 'n'], pin: ['flag'], 'pin-name': ['text'], silent: ['flag'], 'wrap-with-directory': ['flag', 'w'] },
    ...files
  },
  'block/put': {
    does: 'With `pin`, each block becomes a pin of the cluster before its line is sent; passed through without.',
    options: { pin: ['flag'] },
    ...files
  },
  'dag/put': {
    does: 'With `pin`, each node becomes a pin of the cluster before its line is sent; passed through without.',
    options: { pin: ['flag'] },
    ...files
  },
  'dag/import': {
    does: 'Each root becomes a pin of the cluster; a failure is told in its line as `PinErrorMsg`. Passed through with `pin-roots=false` or `local-only`.',
    options: { 'pin-roots': ['flag'], 'local-only': ['flag'] },
    ...files
  },
  'repo/stat': {
    does: 'Sizes and objects are sums over the Kubos of all peers that answer within five seconds, or three times what the Kubo behind this door took; the header `X-Flotilla-Missing` names the others. Path and version are those of the Kubo behind this door.',
    ...repositorySize
  },
  'stats/repo': { does: 'The same as `repo/stat`.', ...repositorySize },
  'repo/gc': {
    does: 'Has the Kubos of all peers collect, and tells what each removes as it is removed; a peer that is down is told at the end, in the trailer. Pins of the cluster are safe everywhere.',
    options: { 'stream-errors': ['flag'], quiet: ['flag', 'q'], silent: ['flag'] },
    ...nothing
  }
} as const satisfies Readonly<Record<string, Row>>

export type Command = keyof typeof intercepted

export const commands = Object.keys(intercepted) as readonly Command[]

/** Commands that touch pins or storage and are Kubo's alone, with what a user should know. */
export const passed: Readonly<Record<string, string>> = {
  'pin/verify': 'Checks the Kubo behind this door only.',
  'pin/remote': 'Is between Kubo and other pinning services.',
  'block/rm': 'Kubo refuses to remove pinned blocks.',
  files: 'MFS belongs to the Kubo behind this door and is not replicated: see below.',
  shutdown: 'Stops the Kubo behind this door; the cluster goes on, and this door answers 502 to what needs Kubo.'
}

/** An option by one of these names pins, unless the command is in the table. */
export const pinningOptions: ReadonlySet<string> = new Set(['pin', 'pin-roots', 'pin-name'])
