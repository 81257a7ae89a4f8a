/** The Raft core by hand: single nodes to be stepped, and groups whose messages are delivered, held back or lost as the test says. */
import assert from 'node:assert/strict'
import { Raft } from '../../cluster/raft/raft.ts'
import type {
  Configuration,
  Entry,
  HardState,
  Message,
  MessageType,
  NodeId,
  RaftSettings,
  Ready,
  Restored
} from '../../cluster/raft/types.ts'

export type MessageOf<T extends MessageType> = Extract<Message, { type: T }>

export function configuration(voters: readonly NodeId[], learners: readonly NodeId[] = []): Configuration {
  const member = (isVoter: boolean) => (id: NodeId) => ({ id, isVoter, context: new Uint8Array() })
  return { members: [...voters.map(member(true)), ...learners.map(member(false))] }
}

export function normal(index: number, term: number, text = `${index}/${term}`): Entry {
  return { index, term, type: 'normal', data: new TextEncoder().encode(text) }
}

/** Entries of these terms, from index `from` on. */
export function entries(terms: readonly number[], from = 1): readonly Entry[] {
  return terms.map((term, position) => normal(from + position, term))
}

export interface Beginning {
  readonly founding: Configuration
  readonly log?: readonly Entry[]
  readonly hardState?: Partial<HardState>
  readonly applied?: number
  readonly truncated?: { readonly index: number; readonly term: number }
  readonly settings?: Partial<RaftSettings>
}

/** What a driver would find on disk. The term is that of the last entry where nothing else is said. */
export function restored({
  founding,
  log = [],
  hardState,
  applied = 0,
  truncated = { index: 0, term: 0 }
}: Omit<Beginning, 'settings'>): Restored {
  const terms: { index: number; term: number }[] = []
  for (const { index, term } of log) if (term !== terms.at(-1)?.term) terms.push({ index, term })
  const changes = log.flatMap(entry => (entry.type === 'configuration' ? [{ index: entry.index, configuration: entry.configuration }] : []))
  return {
    hardState: { term: terms.at(-1)?.term ?? truncated.term, vote: null, commit: truncated.index, ...hardState },
    applied,
    truncated,
    lastIndex: log.at(-1)?.index ?? truncated.index,
    terms,
    configurations: [{ index: 0, configuration: founding }, ...changes]
  }
}

export const electionTicks = 10

/** A node alone. Its election timeout is exactly `electionTicks` where `random` says nothing else. */
export function createRaft(id: NodeId, beginning: Beginning): Raft {
  const settings: RaftSettings = {
    id,
    electionTicks,
    heartbeatTicks: 1,
    appendBytesMax: 10_000,
    inflightMax: 8,
    inflightBytesMax: 100_000,
    uncommittedBytesMax: 100_000,
    cacheBytesMax: 100_000,
    random: () => 0,
    ...beginning.settings
  }
  return new Raft(settings, restored(beginning))
}

/** Does all work at once, as a driver with a disk that takes no time. @returns what it sent, in order */
export function flush(raft: Raft): readonly Message[] {
  const sent: Message[] = []
  while (raft.hasReady()) {
    const ready = raft.ready()
    raft.advance()
    sent.push(...ready.messages, ...ready.afterPersist)
  }
  return sent
}

export function only<T extends MessageType>(messages: readonly Message[], type: T, to?: NodeId): readonly MessageOf<T>[] {
  return messages.filter((message): message is MessageOf<T> => message.type === type && (to === undefined || message.to === to))
}

/** The one message of this type, or the test fails. */
export function single<T extends MessageType>(messages: readonly Message[], type: T, to?: NodeId): MessageOf<T> {
  const found = only(messages, type, to)
  assert.equal(found.length, 1, `one ${type} is expected among ${JSON.stringify(messages)}`)
  return found[0] as MessageOf<T>
}

/** Makes `raft` the leader of the next term, by the votes of `voters`. */
export function lead(raft: Raft, voters: readonly NodeId[]): readonly Message[] {
  const { id } = raft.status()
  raft.campaign()
  for (const isPreVote of [true, false]) {
    flush(raft)
    const term = raft.status().term + (isPreVote ? 1 : 0)
    for (const from of voters) raft.step({ type: 'vote_reply', from, to: id, term, isPreVote, rejected: false })
  }
  const sent = flush(raft)
  assert.equal(raft.status().role, 'leader')
  return sent
}

export interface GroupMember {
  readonly raft: Raft
  /** As on disk. */
  readonly log: Entry[]
  applied: number
}

/** Several nodes and the messages between them. Election timeouts differ: the first node's is the shortest. */
export class Group {
  readonly #members = new Map<NodeId, GroupMember>()
  readonly #isCut: ((from: NodeId, to: NodeId) => boolean)[] = []
  readonly #down = new Set<NodeId>()
  /** Every message that was sent, also those that were lost. */
  readonly sent: Message[] = []

  constructor(founding: Configuration, special: Readonly<Record<NodeId, Partial<Beginning>>> = {}, others: readonly NodeId[] = []) {
    const ids = [...founding.members.map(({ id }) => id), ...others]
    for (const [position, id] of ids.entries()) {
      const beginning = { founding, ...special[id] }
      const settings = { random: () => position % electionTicks, ...beginning.settings }
      const raft = createRaft(id, { ...beginning, settings })
      this.#members.set(id, { raft, log: [...(beginning.log ?? [])], applied: beginning.applied ?? 0 })
    }
  }

  member(id: NodeId): GroupMember {
    const found = this.#members.get(id)
    assert.ok(found, `there is no ${id}`)
    return found
  }

  raft(id: NodeId): Raft {
    return this.member(id).raft
  }

  /** Leader of the highest term. */
  get leader(): NodeId | undefined {
    const leaders = [...this.#members.values()].map(({ raft }) => raft.status()).filter(({ role }) => role === 'leader')
    return leaders.toSorted((a, b) => b.term - a.term)[0]?.id
  }

  /** Loses what goes over these links, until `heal`. */
  cut(isCut: (from: NodeId, to: NodeId) => boolean): void {
    this.#isCut.push(isCut)
  }

  isolate(id: NodeId): void {
    this.cut((from, to) => from === id || to === id)
  }

  heal(): void {
    this.#isCut.length = 0
  }

  /** It neither ticks nor hears. */
  stop(id: NodeId): void {
    this.#down.add(id)
  }

  /** Delivers and works until nobody has anything to do. */
  run(): void {
    for (let isBusy = true; isBusy; ) {
      isBusy = false
      for (const [id, member] of this.#members) {
        if (this.#down.has(id) || !member.raft.hasReady()) continue
        isBusy = true
        for (const message of this.#work(member)) this.#deliver(message)
      }
    }
  }

  tick(times = 1): void {
    for (let time = 0; time < times; time++) {
      for (const [id, { raft }] of this.#members) if (!this.#down.has(id)) raft.tick()
      this.run()
    }
  }

  elect(id: NodeId): void {
    this.raft(id).campaign()
    this.run()
    assert.equal(this.raft(id).status().role, 'leader', `${id} leads`)
  }

  propose(id: NodeId, text: string): { readonly index: number; readonly term: number } {
    const outcome = this.raft(id).propose(new TextEncoder().encode(text))
    assert.ok('index' in outcome, `proposed: ${JSON.stringify(outcome)}`)
    this.run()
    return outcome
  }

  change(id: NodeId, next: Configuration): void {
    const outcome = this.raft(id).proposeConfiguration(next)
    assert.ok('index' in outcome, `changed: ${JSON.stringify(outcome)}`)
    this.run()
  }

  terms(): readonly number[] {
    return [...this.#members.values()].map(({ raft }) => raft.status().term)
  }

  #work(member: GroupMember): readonly Message[] {
    const { raft, log } = member
    const ready: Ready = raft.ready()
    const first = ready.entries[0]
    if (first) log.splice(first.index - 1)
    log.push(...ready.entries)
    raft.advance()
    raft.applied(ready.commit)
    member.applied = ready.commit
    for (const { to, index } of ready.fetches) raft.supply(to, log.slice(index - 1, index + 2))
    return [...ready.messages, ...ready.afterPersist]
  }

  #deliver(message: Message): void {
    this.sent.push(message)
    const { from, to } = message
    if (this.#down.has(to) || this.#isCut.some(isCut => isCut(from, to))) return
    this.#members.get(to)?.raft.step(message)
  }
}
