/**
 * Bugs on purpose: what the simulation finds is only worth something if it finds these. Each one changes one line of a module while it is loaded,
 * (`mutated.ts`), so the product carries nothing for it; a mutation whose line is not there any more fails, and is to be brought in line with the code.
 */
export interface Mutation {
  readonly name: string
  /** Below `cluster`, without its ending. */
  readonly file: string
  readonly line: string
  readonly wrong: string
}

export const mutations: readonly Mutation[] = [
  // ---- votes ----
  {
    name: 'votes-for-everybody',
    file: 'raft/election',
    line: 'const isFree = node.vote === message.from ||',
    wrong: 'const isFree = true ||'
  },
  {
    name: 'votes-for-a-log-that-is-behind',
    file: 'raft/election',
    line: '!node.log.isUpToDate(message.lastIndex, message.lastTerm)',
    wrong: 'false'
  },
  {
    name: 'compares-logs-by-length-alone',
    file: 'raft/log',
    line: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#lastIndex)',
    wrong: 'return lastIndex >= this.#lastIndex'
  },
  {
    name: 'grants-a-vote-before-it-is-on-disk',
    file: 'raft/election',
    line: "sendAfterPersist(node, { type: 'vote_reply'",
    wrong: "send(node, { type: 'vote_reply'"
  },
  {
    name: 'asks-for-votes-before-its-own-is-on-disk',
    file: 'raft/election',
    line: 'else sendAfterPersist(node, request)',
    wrong: 'else send(node, request)'
  },
  {
    name: 'does-not-keep-a-vote-of-its-term',
    file: 'raft/raft',
    line: 'const isNewVote = node.term !== this.#saved.term || node.vote !== this.#saved.vote',
    wrong: 'const isNewVote = node.term !== this.#saved.term'
  },
  {
    name: 'counts-a-pre-vote-as-a-vote',
    file: 'raft/election',
    line: "message.isPreVote ? node.role === 'pre_candidate' : node.role === 'candidate'",
    wrong: 'true'
  },
  {
    name: 'takes-half-for-a-majority',
    file: 'raft/quorum',
    line: 'Math.floor(voterCount / 2) + 1',
    wrong: 'Math.ceil(voterCount / 2)'
  },
  {
    name: 'forgets-its-vote-at-a-restart',
    file: 'consensus/storage',
    line: 'return { hardState: { term, vote, commit }',
    wrong: 'return { hardState: { term, vote: null, commit }'
  },
  // ---- commits ----
  {
    name: 'commits-an-old-term-by-counting',
    file: 'raft/replication',
    line: '|| log.termAt(agreed) !== node.term',
    wrong: ''
  },
  { name: 'counts-learners', file: 'raft/quorum', line: 'members.filter(({ isVoter }) => isVoter).map', wrong: 'members.map' },
  {
    name: 'counts-its-own-entries-before-they-are-on-disk',
    file: 'raft/replication',
    line: 'id === settings.id ? log.durable',
    wrong: 'id === settings.id ? log.lastIndex'
  },
  {
    name: 'acknowledges-entries-before-they-are-on-disk',
    file: 'raft/replication',
    line: "sendAfterPersist(node, { type: 'append_reply', to, term: node.term, index: last",
    wrong: "send(node, { type: 'append_reply', to, term: node.term, index: last"
  },
  {
    name: 'tells-a-follower-to-commit-what-it-may-not-have',
    file: 'raft/reads',
    line: 'commit: Math.min(follower.match, node.commit)',
    wrong: 'commit: node.commit'
  },
  {
    name: 'sends-what-it-promises-before-the-write',
    file: 'consensus/driver',
    line: 'this.#send(ready.messages)',
    wrong: 'this.#send(ready.messages); this.#send(ready.afterPersist)'
  },
  {
    name: 'does-not-sync',
    file: 'consensus/driver',
    line: '(kept, { sync: true })',
    wrong: '(kept, { sync: false })'
  },
  {
    name: 'writes-the-state-before-the-log',
    file: 'consensus/driver',
    line: 'await Promise.all([this.#parts.store.write(kept, { sync: true }), this.#apply(ready.commit)])',
    wrong: '{ await this.#apply(ready.commit); await this.#parts.store.write(kept, { sync: true }) }'
  },
  // ---- the log ----
  {
    name: 'drops-entries-on-an-overtaken-append',
    file: 'raft/replication',
    line: 'const conflict = entries.findIndex(entry => node.log.termAt(entry.index) !== entry.term)',
    wrong: 'const conflict = entries.length > 0 ? 0 : -1'
  },
  {
    name: 'does-not-compare-the-entry-before',
    file: 'raft/replication',
    line: 'node.log.termAt(previousIndex) !== previousTerm',
    wrong: 'node.log.lastIndex < previousIndex'
  },
  {
    name: 'takes-a-late-write-for-what-replaced-it',
    file: 'raft/log',
    line: 'if (this.#writing !== null) this.#writing = Math.min(this.#writing, index - 1)',
    wrong: ''
  },
  {
    name: 'takes-dropped-entries-for-durable',
    file: 'raft/log',
    line: 'this.#durable = Math.min(this.#durable, index - 1)',
    wrong: ''
  },
  {
    name: 'does-not-write-what-replaces',
    file: 'raft/log',
    line: 'this.#handed = Math.min(this.#handed, index - 1)',
    wrong: ''
  },
  {
    name: 'leaves-replaced-rows-on-disk',
    file: 'consensus/storage',
    line: "writes.push({ type: 'delete', key: numberKey(prefix, index) })",
    wrong: 'void prefix'
  },
  {
    name: 'applies-what-is-being-replaced-on-disk',
    file: 'consensus/apply',
    line: 'stored.findIndex(({ index, term }) => raft.termAt(index) !== term)',
    wrong: '-1'
  },
  // ---- once and only once ----
  { name: 'applied-index-apart-from-the-state', file: 'consensus/apply', line: ', ...markerWrites(entries)]', wrong: ']' },
  { name: 'sessions-are-not-stored', file: 'consensus/apply', line: '...sessions.writes(), ', wrong: '' },
  { name: 'sessions-are-forgotten-at-a-restart', file: 'consensus/driver', line: 'await this.#sessions.load(state)', wrong: '' },
  { name: 'applies-a-repetition', file: 'consensus/sessions', line: 'if (known !== undefined) return known', wrong: '' },
  {
    name: 'applies-what-was-answered-long-ago',
    file: 'consensus/sessions',
    line: 'if (sequence < session.answeredBelow) return null',
    wrong: ''
  },
  {
    name: 'denies-what-may-be-in-a-log',
    file: 'consensus/proposals',
    line: 'handing > 0 ? unknown() : noLeader()',
    wrong: 'noLeader()'
  },
  {
    name: 'reads-without-asking',
    file: 'consensus/raft-consensus',
    line: 'return this.#driver.readBarrier(options)',
    wrong: 'return Promise.resolve()'
  },
  {
    name: 'reads-before-it-has-applied',
    file: 'consensus/reads',
    line: 'if (index > this.#parts.applied()) await',
    wrong: 'if (false) await'
  },
  {
    name: 'answers-reads-before-it-committed-in-its-term',
    file: 'raft/reads',
    line: '|| !hasCommittedInTerm(node)',
    wrong: ''
  },
  {
    name: 'answers-reads-without-hearing-anybody',
    file: 'raft/reads',
    line: '(node.followers.get(id)?.round ?? 0)',
    wrong: 'node.round'
  },
  {
    name: 'takes-an-answer-to-an-earlier-round',
    file: 'raft/replication',
    line: 'Math.max(follower.round, token)',
    wrong: 'node.round'
  },
  {
    name: 'lets-a-read-join-a-round-under-way',
    file: 'raft/reads',
    line: 'round: node.round + 1 }',
    wrong: 'round: node.round }'
  },
  // ---- membership ----
  {
    name: 'changes-members-before-it-committed-in-its-term',
    file: 'raft/raft',
    line: 'if (!hasCommittedInTerm(this.#node))',
    wrong: 'if (false)'
  },
  {
    name: 'two-configurations-at-once',
    file: 'raft/raft',
    line: 'if (node.membership.index > node.commit)',
    wrong: 'if (false)'
  },
  {
    name: 'keeps-a-configuration-whose-entry-is-dropped',
    file: 'raft/replication',
    line: 'node.membership.truncateFrom(first.index)',
    wrong: ''
  },
  {
    name: 'does-not-believe-that-it-was-removed',
    file: 'consensus/removal',
    line: 'else if (this.#wasMember) this.#heard = placed.index',
    wrong: ''
  },
  {
    name: 'looks-for-votes-though-it-was-removed',
    file: 'consensus/driver',
    line: 'raft.tick({ mayCampaign: this.#members.removedAt === null })',
    wrong: 'raft.tick()'
  },
  // ---- handing over ----
  {
    name: 'hands-over-to-a-peer-that-is-behind',
    file: 'raft/transfer',
    line: ' || node.followers.get(transfer.to)?.match !== log.lastIndex',
    wrong: ''
  },
  {
    name: 'takes-proposals-while-it-hands-over',
    file: 'raft/raft',
    line: "if (node.transfer !== null) return { refused: 'transferring' }\n      const entry",
    wrong: 'const entry'
  },
  { name: 'hands-over-in-a-later-leadership', file: 'raft/election', line: 'node.transfer = null', wrong: '' },
  {
    name: 'never-gives-up-a-hand-over',
    file: 'raft/transfer',
    line: '++node.transfer.elapsed >= node.settings.electionTicks',
    wrong: 'false'
  },
  {
    name: 'does-not-say-that-the-leader-wants-the-election',
    file: 'raft/election',
    line: 'term: node.term, isTransfer })',
    wrong: 'term: node.term, isTransfer: false })'
  },
  // ---- snapshots and compaction ----
  {
    name: 'leaves-sessions-out-of-a-snapshot',
    file: 'consensus/snapshot-source',
    line: 'transfer.left = page\n',
    wrong: 'transfer.left = page.filter(([name]) => name[0] !== 0x63)\n'
  },
  {
    name: 'keeps-its-sessions-when-it-gets-a-state',
    file: 'consensus/snapshots',
    line: 'await sessions.adopt(state.spare)',
    wrong: '() => {}'
  },
  {
    name: 'keeps-its-members-when-it-gets-a-state',
    file: 'raft/membership',
    line: '{ ...placed, configuration: sorted(placed.configuration) }, ...later)',
    wrong: '...this.#history)'
  },
  {
    name: 'keeps-a-log-that-contradicts-a-state',
    file: 'raft/log',
    line: 'const isContinued = this.termAt(last.index) === last.term',
    wrong: 'const isContinued = this.termAt(last.index) !== undefined'
  },
  {
    name: 'takes-a-state-before-it-is-whole',
    file: 'consensus/snapshot-receiver',
    line: 'if (!chunk.isLast) return false',
    wrong: 'if (chunk.number === 0 && !chunk.isLast) return false'
  },
  {
    name: 'gives-chunks-in-the-wrong-order',
    file: 'consensus/snapshot-source',
    line: 'isLast, rows: packed, checksum }\n    return transfer.last',
    wrong:
      'isLast, rows: packed, checksum }\n    return number === 2 && !isLast ? this.#chunk(transfer, 3).then(later => ({ ...later, number: 2 })) : transfer.last'
  },
  { name: 'takes-a-state-apart-from-its-log', file: 'consensus/snapshots', line: ' state.choice(),', wrong: '' },
  {
    name: 'takes-a-state-that-is-older-than-its-own',
    file: 'raft/snapshot',
    line: "if (index <= node.commit || node.role === 'leader')",
    wrong: "if (node.role === 'leader')"
  },
  {
    name: 'acknowledges-a-state-before-it-is-stored',
    file: 'raft/snapshot',
    line: 'if (node.leader !== null) sendAfterPersist(',
    wrong: 'if (node.leader !== null) send('
  },
  {
    name: 'cuts-away-what-is-not-applied',
    file: 'raft/snapshot',
    line: 'Math.min(index, node.applied, node.log.durable)',
    wrong: 'Math.min(index, node.log.durable)'
  },
  {
    name: 'forgets-the-term-of-what-is-left',
    file: 'raft/log',
    line: 'if (next !== undefined) kept.unshift(',
    wrong: 'if (false) kept.unshift('
  },
  {
    name: 'removes-rows-that-are-not-cut-away',
    file: 'consensus/compaction',
    line: 'Math.min(this.#forgotten + pieceRows, storage.truncated.index)',
    wrong: 'this.#forgotten + pieceRows'
  },
  {
    name: 'announces-a-state-only-once',
    file: 'raft/replication',
    line: "if (follower.state === 'snapshot' || node.log.termAt(follower.next - 1) === undefined) return",
    wrong: 'if (false) return'
  },
  {
    name: 'writes-the-state-behind-what-relies-on-it',
    file: 'consensus/driver',
    line: 'const { shown, written } = this.#later.write(',
    wrong:
      'const shown = undefined, written = Promise.resolve(), late = rows => void this.#parts.clock.sleep(100).then(() => this.#later.write(rows)); late('
  },
  // ---- liveness ----
  {
    name: 'never-asks-after-a-lost-append',
    file: 'raft/replication',
    line: 'follower.next > follower.match + 1',
    wrong: 'false'
  },
  { name: 'never-repeats-a-lost-probe', file: 'raft/replication', line: 'follower.resume()', wrong: 'follower.isActive = true' },
  {
    name: 'leaves-an-earlier-term-in-the-dark',
    file: 'raft/raft',
    line: 'if (isFromLeader(message)) send(',
    wrong: 'if (false) send('
  },
  {
    name: 'never-asks-for-its-vote',
    file: 'consensus/raft-consensus',
    line: 'await this.#membership.promote(self, { signal: stop })',
    wrong: ''
  }
]
