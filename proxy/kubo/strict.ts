/**
 * Commands that pin and that this door does not know how to replicate: Kubo's own list of commands, compared with the table. Their pins would stay
 * on one node, which is said in the log, or, in strict mode, to the client instead of running them.
 */
import type { Clock } from '../../src/clock.ts'
import { messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import { intercepted, passed, pinningOptions } from './table.ts'
import type { Upstream } from './upstream.ts'

/** As `ipfs commands --flags` tells it. */
interface Listed {
  readonly Name?: string
  readonly Subcommands?: readonly Listed[] | null
  readonly Options?: readonly { readonly Names?: readonly string[] | null }[] | null
}

const retryMs = 2_000
/** Kubo may be another one after a restart. */
const againMs = 600_000

export class UnknownPinners {
  readonly #parts: { readonly upstream: Upstream; readonly clock: Clock; readonly log: Log }
  #found: ReadonlySet<string> = new Set()
  #isLearnt = false

  constructor(parts: { upstream: Upstream; clock: Clock; log: Log }) {
    this.#parts = parts
  }

  /** Asks Kubo now and then, until `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const { upstream, clock, log } = this.#parts
    for (;;) {
      let waitMs = retryMs
      try {
        const root = (await upstream.json('commands', { query: new URLSearchParams({ flags: 'true' }), signal })) as Listed | undefined
        const found = new Set(unknownPinners(root ?? {}))
        const isNews = [...found].some(command => !this.#found.has(command))
        this.#found = found
        this.#isLearnt = true
        if (isNews) log.warn({ commands: [...found] }, 'kubo has commands that pin on one node only')
        waitMs = againMs
      } catch (error) {
        if (signal.aborted) return
        log.debug({ reason: messageOf(error) }, 'commands of kubo not learnt')
      }
      await clock.sleep(waitMs, { signal })
    }
  }

  /** The command that `path` runs, if it pins and is not replicated. Before Kubo has told, nothing under `pin/` is trusted that is not known. */
  find(path: string): string | undefined {
    if (!path.startsWith('/api/v0/')) return undefined
    const rest = path.slice('/api/v0/'.length)
    for (const command of this.#found) if (rest === command || rest.startsWith(`${command}/`)) return command
    return !this.#isLearnt && rest.startsWith('pin/') && !isKnown(rest) ? 'a command under pin/' : undefined
  }
}

function isKnown(path: string): boolean {
  return [...Object.keys(intercepted), ...Object.keys(passed)].some(known => path === known || path.startsWith(`${known}/`))
}

/** Everything under `pin/`, and whatever has an option that pins, unless the table has it. */
export function unknownPinners(root: Listed): readonly string[] {
  const found: string[] = []
  const visit = (listed: Listed, path: string): void => {
    const pins = /^pin\/./.test(path) || (listed.Options ?? []).some(({ Names }) => (Names ?? []).some(name => pinningOptions.has(name)))
    if (pins && !isKnown(path)) found.push(path)
    for (const sub of listed.Subcommands ?? []) visit(sub, path === '' ? (sub.Name ?? '') : `${path}/${sub.Name ?? ''}`)
  }
  visit(root, '')
  return found
}
