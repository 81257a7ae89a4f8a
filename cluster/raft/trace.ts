/**
 * One event for every transition, in the names and shape of the trace events of etcd/raft, so that tools made for those can look at a run. Roles,
 * terms and indexes are compared before and after each call, so nothing else in the core knows of it.
 *
 * Pre-votes, hand-overs, news of a commit and the word that a state is needed have no name there and are left out; a change of role or of the commit
 * index that they cause is an event.
 */
import type { Node } from './node.ts'
import { voters } from './quorum.ts'
import type { Message, NodeId } from './types.ts'

export interface TraceEvent {
  readonly name: string
  readonly nid: NodeId
  readonly state: { readonly term: number; readonly vote: NodeId | '0'; readonly commit: number }
  readonly role: 'StateFollower' | 'StatePreCandidate' | 'StateCandidate' | 'StateLeader'
  /** Index of the last entry. */
  readonly log: number
  /** Voters, and those of the configuration that is being left, of which there are never any. */
  readonly conf: readonly [readonly NodeId[], readonly NodeId[]]
  readonly msg?: TraceMessage
}

export interface TraceMessage {
  readonly type: string
  readonly term: number
  readonly from: NodeId
  readonly to: NodeId
  /** How many. */
  readonly entries: number
  readonly logTerm: number
  readonly index: number
  readonly commit: number
  readonly reject: boolean
  readonly rejectHint: number
}

export type TraceSink = (event: TraceEvent) => void

const roles = { follower: 'StateFollower', pre_candidate: 'StatePreCandidate', candidate: 'StateCandidate', leader: 'StateLeader' } as const
const becomes = { follower: 'BecomeFollower', pre_candidate: null, candidate: 'BecomeCandidate', leader: 'BecomeLeader' } as const

export class Trace {
  readonly #node: Node
  readonly #sink: TraceSink
  #seen: Pick<Node, 'role' | 'term' | 'commit'> & { readonly lastIndex: number; readonly configurationIndex: number }

  constructor(node: Node, sink: TraceSink) {
    this.#node = node
    this.#sink = sink
    this.#seen = this.#now()
    this.emit('InitState')
  }

  emit(name: string, msg?: TraceMessage): void {
    const { settings, term, vote, commit, role, log, membership } = this.#node
    const state = { term, vote: vote ?? '0', commit } as const
    const event: TraceEvent = {
      name,
      nid: settings.id,
      state,
      role: roles[role],
      log: log.lastIndex,
      conf: [voters(membership.current), []]
    }
    this.#sink(msg === undefined ? event : { ...event, msg })
  }

  /** After every call: what became of it. */
  observe(): void {
    const before = this.#seen
    const now = this.#now()
    this.#seen = now
    const become = becomes[now.role]
    if (become !== null && (before.role !== now.role || before.term !== now.term)) this.emit(become)
    if (before.configurationIndex !== now.configurationIndex) {
      // Effective as soon as it is appended: what etcd does in two steps is one here.
      if (now.role === 'leader') this.emit('ChangeConf')
      this.emit('ApplyConfChange')
    }
    if (now.role === 'leader' && before.lastIndex < now.lastIndex) this.emit('Replicate')
    if (before.commit !== now.commit) this.emit('Commit')
  }

  sent(messages: readonly Message[]): void {
    for (const message of messages) this.#pass('Send', message)
  }

  received(message: Message): void {
    this.#pass('Receive', message)
  }

  #pass(verb: 'Send' | 'Receive', message: Message): void {
    const known = nameOf(message)
    if (known !== null) this.emit(`${verb}${known.name}`, { ...plain(message), ...known.msg })
  }

  #now() {
    const { role, term, commit, log, membership } = this.#node
    return { role, term, commit, lastIndex: log.lastIndex, configurationIndex: membership.index }
  }
}

function plain({ term, from, to }: Message): Omit<TraceMessage, 'type'> {
  return { term, from, to, entries: 0, logTerm: 0, index: 0, commit: 0, reject: false, rejectHint: 0 }
}

function nameOf(message: Message): { readonly name: string; readonly msg: Partial<TraceMessage> & Pick<TraceMessage, 'type'> } | null {
  switch (message.type) {
    case 'append': {
      const { entries, previousIndex: index, previousTerm: logTerm, commit } = message
      return { name: 'AppendEntriesRequest', msg: { type: 'MsgApp', entries: entries.length, index, logTerm, commit } }
    }
    case 'append_reply': {
      const rejectHint = message.rejected ? message.hintIndex : 0
      return { name: 'AppendEntriesResponse', msg: { type: 'MsgAppResp', index: message.index, reject: message.rejected, rejectHint } }
    }
    case 'heartbeat':
      return { name: 'AppendEntriesRequest', msg: { type: 'MsgHeartbeat', commit: message.commit } }
    case 'heartbeat_reply':
      return { name: 'AppendEntriesResponse', msg: { type: 'MsgHeartbeatResp' } }
    case 'vote':
      return message.isPreVote
        ? null
        : { name: 'RequestVoteRequest', msg: { type: 'MsgVote', index: message.lastIndex, logTerm: message.lastTerm } }
    case 'vote_reply':
      return message.isPreVote ? null : { name: 'RequestVoteResponse', msg: { type: 'MsgVoteResp', reject: message.rejected } }
    case 'commit':
    case 'timeout_now':
    case 'snapshot':
      return null
  }
}
