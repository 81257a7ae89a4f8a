/**
 * What must hold after every event, whatever the world does. The numbers are those of the literature: I1 to I6 are the Raft paper's, figure 3;
 * the others follow from its thesis, 3.8 and 4, and from bugs that real systems had. Most are checked only where something changed, so that
 * they are cheap enough to be always on.
 */
import type { Configuration, Entry, Message, NodeId, RaftStatus, ReadState, Ready, Snapshot } from '../../cluster/raft/types.ts'
import { HandOvers } from './hand-overs.ts'
import { ReadRounds } from './read-rounds.ts'
import { type Committed, digest, key, type Record, votersOf, type Watched } from './seen.ts'
import { check, fail } from './violation.ts'

export class Invariants {
  readonly #founding: Configuration
  readonly #watched = new Map<NodeId, Watched>()
  readonly #records = new Map<NodeId, Record>()
  readonly #leaders = new Map<number, string>()
  /** Who was granted the vote of a peer, by peer and term. */
  readonly #grants = new Map<string, NodeId>()
  /** By term and index: digest of the log up to that entry. */
  readonly #prefixOf = new Map<number, number>()
  /** By term and index: the configuration that was proposed. */
  readonly #proposed = new Map<number, Configuration>()
  readonly #committed: Committed[] = []
  readonly #rounds = new ReadRounds()
  readonly handOvers = new HandOvers()
  #dropsCount = 0

  constructor(founding: Configuration) {
    this.#founding = founding
  }

  /** Highest index that anybody committed. */
  get committed(): number {
    return this.#committed.length
  }

  /** How often entries of a log were replaced. */
  get dropsCount(): number {
    return this.#dropsCount
  }

  get leadersCount(): number {
    return this.#leaders.size
  }

  /** Configurations that took effect for good. */
  get changesCount(): number {
    return this.#committed.filter(({ term }, position) => this.#proposed.has(key(term, position + 1))).length
  }

  /** A leader took this configuration into its log. */
  proposed(peer: Watched, { index, term }: { readonly index: number; readonly term: number }, configuration: Configuration): void {
    // Otherwise a change of an earlier leader, still open somewhere, could come back and meet this one: majorities that do not overlap
    // (Ongaro, raft-dev 2015).
    const since = peer.core.termAt(peer.core.status().commit)
    check(since === term, 'I19 configurations', `${peer.name} changes the members in term ${term} before it has committed in it`)
    this.#proposed.set(key(term, index), configuration)
  }

  started(peer: Watched): void {
    const status = peer.core.status()
    const { lastIndex, applied, hardState, truncated } = peer.disk.durable
    const record: Record = {
      life: peer.life,
      term: status.term,
      commit: status.commit,
      applied,
      handedCommit: applied,
      prefixes: [0],
      configurations: [{ index: 0, configuration: this.#founding }],
      leads: null,
      ledCommit: 0,
      handedLeads: null
    }
    for (let index = 1; index <= lastIndex; index++) {
      const at = key(this.#durableTermAt(peer, index) ?? 0, index)
      record.prefixes.push(this.#prefixOf.get(at) ?? fail('I3 log matching', `${peer.name} found an entry ${index} that nobody wrote`))
      const configuration = this.#proposed.get(at)
      if (configuration) record.configurations.push({ index, configuration })
    }
    check(truncated <= applied, 'I15 order of indexes', `${peer.name} woke up with ${applied} applied and a log from ${truncated} on`)
    check(status.term >= hardState.term, 'I14 monotone', `${peer.name} started in term ${status.term}, on disk is ${hardState.term}`)
    check(status.commit >= Math.max(applied, Math.min(hardState.commit, lastIndex)), 'I14 monotone', `${peer.name} forgot its commit index`)
    const isCommitted = applied === 0 || record.prefixes[applied] === this.#committed[applied - 1]?.prefix
    check(isCommitted, 'I18 only committed is applied', `${peer.name} woke up with ${applied} applied`)
    this.#watched.set(peer.id, peer)
    this.#rounds.started(peer.id)
    this.#records.set(peer.id, record)
    this.observe(peer)
  }

  /** After every event of a peer. */
  observe(peer: Watched): void {
    const record = this.#recordOf(peer)
    const status = peer.core.status()
    const { term, commit, lastIndex } = status
    check(
      term >= record.term && commit >= record.commit,
      'I14 monotone',
      `${peer.name}: term ${record.term} to ${term}, commit ${record.commit} to ${commit}`
    )
    check(
      record.applied <= commit && commit <= lastIndex,
      'I15 order of indexes',
      `${peer.name}: applied ${record.applied}, commit ${commit}, last ${lastIndex}`
    )
    record.term = term
    record.commit = commit
    if (status.role === 'leader' && record.leads !== term) this.#elected(peer, record, status)
    // Also where it left office in the same event, as one that removed itself does.
    if (record.leads === term && commit > record.ledCommit) this.#ledCommit(peer, record, status)
    if (status.role !== 'leader') record.leads = null
    this.handOvers.observe(peer, status)
  }

  /** The core was asked for a read. */
  asked({ id }: Watched, read: number): void {
    this.#rounds.asked(id, read, this.#committed.length)
  }

  released(peer: Watched, read: ReadState): void {
    this.#rounds.released(peer, read, this.#voters(peer, peer.core.status()))
  }

  #elected(peer: Watched, record: Record, status: RaftStatus): void {
    const { term } = status
    const name = `${peer.name}/${peer.life}`
    const other = this.#leaders.get(term)
    check(other === undefined || other === name, 'I1 election safety', `${name} and ${other} lead term ${term}`)
    this.#leaders.set(term, name)
    record.leads = term
    record.ledCommit = status.commit
    const ids = this.#voters(peer, status)
    const granted = ids.filter(id => this.#grants.get(`${id}/${term}`) === peer.id).length
    check(granted > ids.length / 2, 'I1 election safety', `${peer.name} leads term ${term} with ${granted} of ${ids.length} votes`)
    let known = this.#committed.length
    while (known > 0 && (this.#committed[known - 1]?.inTerm ?? 0) >= term) known--
    const wanted = this.#committed[known - 1]?.term
    check(
      wanted === undefined || this.#termAt(peer, known) === wanted,
      'I6 leader completeness',
      `${peer.name} leads term ${term} without entry ${known} of term ${wanted}`
    )
  }

  /** A leader moved its commit index. */
  #ledCommit(peer: Watched, record: Record, status: RaftStatus): void {
    const { commit, term } = status
    record.ledCommit = commit
    const found = peer.core.termAt(commit)
    check(found === term, 'I9 current term only', `${peer.name} in term ${term} committed ${commit} of term ${found}`)
    const ids = this.#voters(peer, status)
    const holders = ids.filter(id => this.#hasDurably(id, commit, term))
    check(
      holders.length > ids.length / 2,
      'I7 commit needs a durable quorum',
      `entry ${commit} of term ${term} is on [${holders}] of [${ids}]`
    )
  }

  /** The voters by what was proposed, whatever the core makes of it. */
  #voters(peer: Watched, { configurationIndex }: RaftStatus): readonly NodeId[] {
    const configuration =
      configurationIndex === 0 ? this.#founding : this.#proposed.get(key(this.#termAt(peer, configurationIndex) ?? 0, configurationIndex))
    if (configuration === undefined)
      fail('I19 configurations', `${peer.name} follows a configuration at ${configurationIndex} that is not in its log`)
    return votersOf(configuration)
  }

  /** The core handed out work. */
  handed(peer: Watched, { entries, hardState, mustSync, commit }: Ready): void {
    const record = this.#recordOf(peer)
    const status = peer.core.status()
    const first = entries[0]
    if (first !== undefined) {
      check(first.index <= record.prefixes.length, 'I15 order of indexes', `${peer.name} left a gap before ${first.index}`)
      const isDropping = first.index < record.prefixes.length
      check(
        !isDropping || first.index > record.handedCommit,
        'I5 committed is for ever',
        `${peer.name} replaces the committed entry ${first.index}`
      )
      check(
        !isDropping || record.handedLeads === null || record.handedLeads !== record.leads,
        'I2 leader append-only',
        `${peer.name} drops ${first.index}`
      )
      if (isDropping) this.#dropsCount++
      this.#replace(record, first.index, entries)
    }
    check(mustSync || entries.length === 0, 'I13 acknowledged is durable', `${peer.name} does not sync its entries`)
    check(
      hardState === null || hardState.commit <= status.lastIndex,
      'I15 order of indexes',
      `${peer.name} saves a commit index beyond its log`
    )
    record.handedLeads = record.leads
    const latest = record.configurations.at(-1)?.index
    check(
      latest === status.configurationIndex,
      'I19 configurations',
      `${peer.name} follows ${status.configurationIndex}, its log says ${latest}`
    )
    if (record.leads !== null) {
      const open = record.configurations.filter(({ index }) => index > status.commit).length
      check(open <= 1, 'I19 configurations', `${peer.name} leads with ${open} open changes`)
    }
    this.#agree(peer, record, commit, status.term)
  }

  #replace(record: Record, from: number, entries: readonly Entry[]): void {
    record.prefixes.length = from
    while ((record.configurations.at(-1)?.index ?? 0) >= from) record.configurations.pop()
    for (const entry of entries) {
      const at = key(entry.term, entry.index)
      const prefix = digest(record.prefixes[entry.index - 1] ?? 0, entry)
      const known = this.#prefixOf.get(at)
      check(
        known === undefined || known === prefix,
        'I3 log matching',
        `two logs that agree on ${entry.index} of term ${entry.term} differ before`
      )
      this.#prefixOf.set(at, prefix)
      record.prefixes.push(prefix)
      if (entry.type === 'configuration') this.#configured(record, entry.index, this.#proposed.get(at))
    }
  }

  #configured(record: Record, index: number, configuration: Configuration | undefined): void {
    if (configuration === undefined) fail('I19 configurations', `entry ${index} has a configuration that nobody proposed`)
    const before = votersOf(record.configurations.at(-1)?.configuration ?? this.#founding)
    const after = votersOf(configuration)
    const changed = before.filter(id => !after.includes(id)).length + after.filter(id => !before.includes(id)).length
    check(changed <= 1 && after.length > 0, 'I19 configurations', `entry ${index} goes from [${before}] to [${after}]`)
    record.configurations.push({ index, configuration })
  }

  /** The peer calls everything up to `commit` committed. */
  #agree(peer: Watched, record: Record, commit: number, inTerm: number): void {
    for (let index = record.handedCommit + 1; index <= commit; index++) {
      const prefix = record.prefixes[index]
      if (prefix === undefined) fail('I15 order of indexes', `${peer.name} commits ${index}, which it does not have`)
      const agreed = this.#committed[index - 1]
      if (agreed === undefined) this.#committed.push({ prefix, term: peer.core.termAt(index) ?? 0, inTerm })
      else check(agreed.prefix === prefix, 'I5 committed is for ever', `${peer.name} commits another entry ${index}`)
    }
    record.handedCommit = Math.max(record.handedCommit, commit)
  }

  /** The state and its disk moved up to `to`. */
  applied(peer: Watched, to: number): void {
    const record = this.#recordOf(peer)
    check(to > record.applied, 'I17 applied once, in order', `${peer.name} applied up to ${to} after ${record.applied}`)
    record.applied = to
    const isCommitted = record.prefixes[to] === this.#committed[to - 1]?.prefix
    check(isCommitted, 'I18 only committed is applied', `${peer.name} applied ${to}`)
  }

  /** The state of another peer takes the place of this peer's. */
  installed(peer: Watched, { index, term, configuration }: Snapshot): void {
    const record = this.#recordOf(peer)
    const agreed = this.#committed[index - 1]
    if (agreed?.term !== term) fail('I18 only committed is applied', `${peer.name} gets a state as of ${index} of term ${term}: not agreed`)
    check(index > record.applied, 'I14 monotone', `${peer.name} goes back from ${record.applied} to ${index}`)
    const isContinued = record.prefixes[index] === agreed.prefix
    if (!isContinued) record.prefixes.length = Math.min(record.prefixes.length, index + 1)
    for (let at = 1; at <= index; at++) record.prefixes[at] = this.#committed[at - 1]?.prefix ?? 0
    const later = record.configurations.filter(known => isContinued && known.index > index)
    const effective = this.#configurationAt(index)
    record.configurations.splice(0, record.configurations.length, effective, ...later)
    const isTheSame = votersOf(effective.configuration).toSorted().join() === votersOf(configuration.configuration).join()
    const detail = `${peer.name} gets the members as of ${configuration.index} with the state as of ${index}: they are those of ${effective.index}`
    check(effective.index === configuration.index && isTheSame, 'I23 snapshot fidelity', detail)
    record.applied = record.handedCommit = index
  }

  /** The latest change of members in what is agreed up to `index`. */
  #configurationAt(index: number): { readonly index: number; readonly configuration: Configuration } {
    for (let at = index; at > 0; at--) {
      const configuration = this.#proposed.get(key(this.#committed[at - 1]?.term ?? 0, at))
      if (configuration) return { index: at, configuration }
    }
    return { index: 0, configuration: this.#founding }
  }

  /** The peer cut the beginning of its log away. */
  compacted(peer: Watched, { index, term }: { readonly index: number; readonly term: number }): void {
    const { applied } = this.#recordOf(peer)
    check(index <= applied, 'I15 order of indexes', `${peer.name} cuts its log up to ${index}, applied are ${applied}`)
    check(this.#committed[index - 1]?.term === term, 'I5 committed is for ever', `${peer.name} cut away another entry ${index}`)
  }

  /** Also of an entry that is cut away. */
  #termAt(peer: Watched, index: number): number | undefined {
    const known = peer.core.termAt(index)
    return known === undefined && index <= peer.core.status().lastIndex ? this.#committed[index - 1]?.term : known
  }

  /** Also of an entry that is part of the state alone. */
  #durableTermAt(peer: Pick<Watched, 'disk'>, index: number): number | undefined {
    return index <= peer.disk.durable.truncated ? this.#committed[index - 1]?.term : peer.disk.durableTermAt(index)
  }

  #hasDurably(id: NodeId, index: number, term: number): boolean {
    const peer = this.#watched.get(id)
    return peer !== undefined && this.#durableTermAt(peer, index) === term
  }

  /** A message leaves the peer. */
  sent(peer: Watched, message: Message): void {
    const { hardState, lastIndex } = peer.disk.durable
    const { term } = message
    this.#rounds.sent(message)
    if (message.type === 'vote_reply' && !message.isPreVote && !message.rejected) this.#granted(peer, term, message.to)
    if (message.type === 'vote' && !message.isPreVote) this.#granted(peer, term, peer.id)
    if (message.type === 'timeout_now') {
      const hasEntry = this.#hasDurably(message.to, message.index, this.#termAt(peer, message.index) ?? 0)
      this.handOvers.sent(peer, message, { term: this.#watched.get(message.to)?.disk.durable.hardState.term ?? 0, hasEntry })
    }
    if (message.type === 'append_reply' && !message.rejected && message.index > 0) {
      const wanted = this.#leaderTermAt(term, message.index)
      const isTheSame = wanted === undefined || this.#durableTermAt(peer, message.index) === wanted
      const isDurable = hardState.term >= term && lastIndex >= message.index && isTheSame
      check(
        isDurable,
        'I13 acknowledged is durable',
        `${peer.name} acknowledged ${message.index} in term ${term}, on disk ${lastIndex} in ${hardState.term}`
      )
    }
  }

  /** Term of an entry in the log of the leader of `term`; `undefined` where nobody leads it any more. */
  #leaderTermAt(term: number, index: number): number | undefined {
    for (const [id, { leads, life }] of this.#records) {
      const leader = this.#watched.get(id)
      if (leads === term && leader?.life === life && leader.isUp) return this.#termAt(leader, index)
    }
    return undefined
  }

  #granted(peer: Watched, term: number, candidate: NodeId): void {
    const { hardState } = peer.disk.durable
    const isDurable = hardState.term > term || (hardState.term === term && hardState.vote === candidate)
    check(isDurable, 'I12 vote stability', `the vote of ${peer.name} for ${candidate} in term ${term} left before it was on disk`)
    this.#countVote(peer.id, term, candidate)
  }

  #countVote(voter: NodeId, term: number, candidate: NodeId): void {
    const at = `${voter}/${term}`
    const other = this.#grants.get(at)
    check(
      other === undefined || other === candidate,
      'I12 vote stability',
      `${voter} voted for ${other} and for ${candidate} in term ${term}`
    )
    this.#grants.set(at, candidate)
  }

  /** A write ended: a vote for oneself counts from now on, also where nobody is asked. */
  written(peer: Watched): void {
    const { term, vote } = peer.disk.durable.hardState
    if (vote === peer.id) this.#countVote(peer.id, term, peer.id)
  }

  #recordOf(peer: Watched): Record {
    const record = this.#records.get(peer.id)
    if (record?.life !== peer.life) throw new Error(`${peer.name} was not started`)
    return record
  }
}
