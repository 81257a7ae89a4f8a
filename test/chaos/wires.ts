/**
 * A network of its own for each peer: a namespace, a pair of virtual cables, and one bridge in between, where the clients are.
 *
 * A cut sends what one peer has for another to a card that nobody has: nothing is refused, nothing comes back, as on a line that is cut. Each
 * direction is cut apart. It needs no packet filter, which a kernel may lack.
 */
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const bridge = 'chaos'
const clients = '10.77.0.254'
const nobody = '02:00:00:00:77:00'

export class Wires {
  readonly #count: number
  readonly #cuts = new Set<string>()

  private constructor(count: number) {
    this.#count = count
  }

  /** In the network of this process, which must be its own. */
  static async open(count: number): Promise<Wires> {
    const wires = new Wires(count)
    // Names of namespaces are files: here, they are seen by this process alone.
    await mkdir('/run/netns', { recursive: true })
    await run('mount', ['-t', 'tmpfs', 'names', '/run/netns'])
    await batch(['link set lo up', `link add ${bridge} type bridge`, `addr add ${clients}/24 dev ${bridge}`, `link set ${bridge} up`])
    for (let peer = 0; peer < count; peer++) {
      await run('ip', ['netns', 'add', namespaceOf(peer)])
      await batch([
        `link add cable${peer} type veth peer name eth0 netns ${namespaceOf(peer)} address ${cardOf(peer)}`,
        `link set cable${peer} master ${bridge} up`
      ])
      await batch(['link set lo up', `addr add ${addressOf(peer)}/24 dev eth0`, 'link set eth0 up'], peer)
    }
    await wires.heal()
    return wires
  }

  /** One direction. */
  async cut(from: number, to: number): Promise<void> {
    await this.#set([[from, to]], true)
  }

  /** Both directions of what `isCut` says. */
  async cutWhere(isCut: (from: number, to: number) => boolean): Promise<void> {
    await this.#set(
      this.#pairs().filter(([from, to]) => isCut(from, to)),
      true
    )
  }

  async heal(isHealed: (from: number, to: number) => boolean = () => true): Promise<void> {
    await this.#set(
      this.#pairs().filter(([from, to]) => isHealed(from, to)),
      false
    )
  }

  get isWhole(): boolean {
    return this.#cuts.size === 0
  }

  #pairs(): (readonly [number, number])[] {
    const all = Array.from({ length: this.#count }, (_, peer) => peer)
    return all.flatMap(from => all.filter(to => to !== from).map(to => [from, to] as const))
  }

  async #set(pairs: readonly (readonly [number, number])[], isCut: boolean): Promise<void> {
    const bySender = Map.groupBy(pairs, ([from]) => from)
    for (const [from, to] of pairs) this.#cuts[isCut ? 'add' : 'delete'](`${from} ${to}`)
    await Promise.all(
      [...bySender].map(([from, its]) =>
        batch(
          its.map(([, to]) => `neigh replace ${addressOf(to)} lladdr ${isCut ? nobody : cardOf(to)} dev eth0 nud permanent`),
          from
        )
      )
    )
  }
}

export function namespaceOf(peer: number): string {
  return `peer-${peer}`
}

export function addressOf(peer: number): string {
  return `10.77.0.${peer + 1}`
}

function cardOf(peer: number): string {
  return `02:00:00:00:07:${(peer + 1).toString(16).padStart(2, '0')}`
}

/** Several words to `ip` by one process, in the namespace of a peer or in that of the clients. */
async function batch(lines: readonly string[], peer?: number): Promise<void> {
  const child = run('ip', [...(peer === undefined ? [] : ['-n', namespaceOf(peer)]), '-batch', '-'])
  child.child.stdin?.end(`${lines.join('\n')}\n`)
  await child
}
