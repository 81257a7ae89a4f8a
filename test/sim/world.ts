/**
 * A seeded world for the Raft core: nodes, a network that loses, repeats, delays and cuts, disks that forget what was not synced, clocks of different
 * rates. One thread, no promise, no clock: the same seed is the same run. After every event the invariants of the protocol are checked
 * (their numbers are those of the list in the Raft literature collected for this project: I1 election safety, I3 log matching, I4 and I5 committed
 * prefixes, I6 leader completeness, I12 vote stability, I14 monotonic, I17 applied once and in order).
 */
import { Raft } from '../../cluster/raft/raft.ts'
import type { Configuration, Entry, HardState, Message, NodeId, Ready } from '../../cluster/raft/types.ts'

/** Faults put into the driver on purpose, to see them caught. */
export type Mutation = 'forget_vote' | 'ack_before_durable' | 'forget_entries' | 'count_learners' | 'apply_twice' | 'lose_hard_state'
export const mutations: readonly Mutation[] = [
  'forget_vote',
  'ack_before_durable',
  'forget_entries',
  'count_learners',
  'apply_twice',
  'lose_hard_state'
]

export class Violation extends Error {}

/** Mulberry32: small, and good enough to choose faults. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

interface Disk {
  hardState: HardState
  entries: Entry[]
  applied: number
}

interface Write {
  readonly ready: Ready
  /** Ticks until it is durable. */
  left: number
}

interface SimNode {
  readonly id: NodeId
  disk: Disk
  raft: Raft | null
  write: Write | null
  applied: number
  /** The last index that reached the state, counted apart from what the driver believes: I17. */
  reached: number
  /** Highest values seen, also over restarts: I14. */
  seen: { term: number; votes: Map<number, NodeId> }
  /** Percent of the ticks of the world that this node's clock sees. */
  rate: number
  downFor: number
}

interface Flying {
  readonly message: Message
  left: number
}

interface Faults {
  readonly drop: number
  readonly repeat: number
  readonly delayMax: number
  readonly crash: number
  readonly cut: number
  readonly slowDisk: number
  readonly membership: number
}

const electionTicks = 10

export class World {
  readonly #random: (below: number) => number
  readonly #mutation: Mutation | undefined
  readonly #nodes: SimNode[]
  readonly #faults: Faults
  readonly #founders: Configuration
  #flying: Flying[] = []
  #cuts = new Map<string, number>()
  /** Who led which term: I1. */
  readonly #leaders = new Map<number, NodeId>()
  /** What was ever committed anywhere, by index: I4, I5. */
  readonly #committed: string[] = ['']
  readonly #acknowledged = new Map<number, number>()
  #next = 1
  #digest = 0

  constructor(seed: number, mutation?: Mutation) {
    this.#random = randomOf(seed)
    this.#mutation = mutation
    const random = this.#random
    const size = 1 + random(5)
    const learners = size >= 3 && random(3) === 0 ? 1 : 0
    this.#founders = {
      members: Array.from({ length: size }, (_, index) => ({
        id: `n${index}`,
        isVoter: index < size - learners,
        context: new Uint8Array()
      }))
    }
    const chance = (most: number) => (random(2) === 0 ? random(most) : 0)
    this.#faults = {
      drop: chance(30),
      repeat: chance(20),
      delayMax: 1 + chance(12),
      crash: chance(8),
      cut: chance(10),
      slowDisk: chance(60),
      membership: chance(10)
    }
    this.#nodes = this.#founders.members.map(({ id }) => ({
      id,
      disk: { hardState: { term: 0, vote: null, commit: 0 }, entries: [], applied: 0 },
      raft: null,
      write: null,
      applied: 0,
      reached: 0,
      seen: { term: 0, votes: new Map() },
      rate: 70 + random(31),
      downFor: 0
    }))
    for (const node of this.#nodes) this.#boot(node)
  }

  /** Everything may fail, then everything heals: first no invariant may break, then the cluster must work again. */
  run(ticks: number): { digest: number; committed: number } {
    for (let tick = 0; tick < ticks; tick++) this.#tick(true)
    this.#cuts.clear()
    for (const node of this.#nodes) {
      node.rate = 100
      if (node.raft === null) this.#boot(node)
    }
    const target = this.#committed.length + 3
    for (let tick = 0; tick < 600; tick++) {
      // New writes must be agreed again; then, in silence, everybody must come to the same end.
      this.#tick(false, this.#committed.length <= target)
      const isLevel = this.#nodes.every(({ applied }) => applied >= target && applied === this.#committed.length - 1)
      if (isLevel) return { digest: this.#digest, committed: this.#committed.length - 1 }
    }
    throw new Violation(
      `liveness: ${this.#committed.length - 1} committed of ${target} wanted, applied ${this.#nodes.map(({ applied }) => applied).join()}`
    )
  }

  #tick(isFaulty: boolean, hasLoad = true): void {
    const random = this.#random
    if (isFaulty) this.#disturb()
    for (const node of this.#nodes) {
      if (node.raft === null) {
        if (--node.downFor <= 0) this.#boot(node)
        continue
      }
      if (random(100) < node.rate) node.raft.tick()
      this.#drive(node)
    }
    this.#deliver(isFaulty)
    for (const node of this.#nodes) this.#progress(node, isFaulty)
    if (hasLoad && (random(3) === 0 || !isFaulty)) this.#propose()
  }

  #disturb(): void {
    const random = this.#random
    const { crash, cut, membership } = this.#faults
    if (random(1_000) < crash) this.#crash(this.#pick())
    if (random(1_000) < cut * 3) {
      const one = this.#pick().id
      for (const { id } of this.#nodes) {
        const lasts = 5 + random(60)
        if (id === one) continue
        if (random(3) > 0) this.#cuts.set(`${one}>${id}`, lasts)
        if (random(3) > 0) this.#cuts.set(`${id}>${one}`, lasts)
      }
    }
    for (const [link, left] of this.#cuts) {
      if (left <= 1) this.#cuts.delete(link)
      else this.#cuts.set(link, left - 1)
    }
    if (random(1_000) < membership * 4) this.#changeMember()
  }

  #pick(): SimNode {
    const node = this.#nodes[this.#random(this.#nodes.length)]
    if (node === undefined) throw new Error('a world has nodes')
    return node
  }

  // ---- one node ----

  #boot(node: SimNode): void {
    const { disk } = node
    const terms: { index: number; term: number }[] = []
    const configurations: { index: number; configuration: Configuration }[] = [{ index: 0, configuration: this.#founders }]
    for (const entry of disk.entries) {
      if (entry.term !== terms.at(-1)?.term) terms.push({ index: entry.index, term: entry.term })
      if (entry.type === 'configuration') configurations.push({ index: entry.index, configuration: entry.configuration })
    }
    const commit = Math.min(Math.max(disk.hardState.commit, disk.applied), disk.entries.length)
    if (disk.applied > disk.entries.length) throw new Violation(`I15: ${node.id} applied ${disk.applied} of ${disk.entries.length}`)
    node.raft = new Raft(
      {
        id: node.id,
        electionTicks,
        heartbeatTicks: 2,
        appendBytesMax: 300,
        inflightMax: 4,
        inflightBytesMax: 2_000,
        uncommittedBytesMax: 4_000,
        cacheBytesMax: 400,
        random: this.#random
      },
      {
        hardState: { ...disk.hardState, commit },
        applied: disk.applied,
        truncated: { index: 0, term: 0 },
        lastIndex: disk.entries.length,
        terms,
        configurations
      }
    )
    node.write = null
    node.applied = node.reached = disk.applied
  }

  /** What was not durable is gone. */
  #crash(node: SimNode): void {
    if (node.raft === null) return
    node.raft = null
    node.write = null
    node.downFor = 1 + this.#random(this.#random(2) === 0 ? 4 : 80)
    if (this.#mutation === 'forget_vote') node.disk.hardState = { ...node.disk.hardState, vote: null }
    if (this.#mutation === 'lose_hard_state') node.disk.hardState = { term: node.disk.entries.at(-1)?.term ?? 0, vote: null, commit: 0 }
    if (this.#mutation === 'forget_entries' && node.disk.applied < node.disk.entries.length)
      node.disk.entries = node.disk.entries.slice(0, Math.max(node.disk.applied, node.disk.entries.length - 2))
  }

  #drive(node: SimNode): void {
    const { raft } = node
    if (raft === null) return
    this.#send(raft.outgoing())
    if (node.write !== null || !(raft.hasReady() || node.applied < raft.status().commit)) return
    const ready = raft.ready()
    this.#send(ready.messages)
    if (this.#mutation === 'ack_before_durable') this.#send(ready.afterPersist)
    for (const { to, index } of ready.fetches) raft.supply(to, node.disk.entries.slice(index - 1, index + 2))
    node.write = { ready, left: this.#random(100) < this.#faults.slowDisk ? 1 + this.#random(8) : this.#random(2) }
  }

  /** The outstanding write comes a tick nearer to its end. */
  #progress(node: SimNode, isFaulty: boolean): void {
    const { write, raft, disk } = node
    if (write === null || raft === null) return
    if (isFaulty && write.left-- > 0) return
    const { ready } = write
    node.write = null
    const [first] = ready.entries
    if (first !== undefined) {
      if (first.index - 1 > disk.entries.length) throw new Violation(`a hole in the log of ${node.id}`)
      if (first.index <= disk.applied) throw new Violation(`${node.id} drops what it applied`)
      disk.entries = [...disk.entries.slice(0, first.index - 1), ...ready.entries]
    }
    if (ready.hardState) disk.hardState = ready.hardState
    this.#checkDurable(node)
    // The worst moments for a crash: durable and told to nobody, or just told.
    if (isFaulty && this.#random(400) < this.#faults.crash) return this.#crash(node)
    raft.advance()
    if (this.#mutation !== 'ack_before_durable') this.#send(ready.afterPersist)
    this.#apply(node, ready.commit)
    disk.applied = node.applied
    raft.applied(node.applied)
    this.#check(node)
    if (isFaulty && ready.hardState?.vote != null && this.#random(100) < this.#faults.crash) this.#crash(node)
  }

  #apply(node: SimNode, commit: number): void {
    for (let index = node.applied + 1; index <= commit; index++) {
      const entry = node.disk.entries[index - 1]
      if (entry === undefined) throw new Violation(`${node.id} should apply ${index}, which is not on its disk`)
      const text = textOf(entry)
      this.#committed[index] ??= text
      if (this.#committed[index] !== text)
        throw new Violation(`I4: ${node.id} applied ${text} at ${index}, others ${this.#committed[index]}`)
      if (index !== node.reached + 1) throw new Violation(`I17: ${node.id} applies ${index} after ${node.reached}`)
      node.reached = index
      this.#digest = (Math.imul(this.#digest, 31) + index * 7 + entry.term + node.id.charCodeAt(1)) | 0
      node.applied = index
      if (this.#mutation === 'apply_twice' && this.#random(50) === 0 && index > 1) node.applied--
    }
    for (const [index, value] of this.#acknowledged) {
      if (this.#committed[index] !== undefined && !this.#committed[index]?.endsWith(`=${value}`))
        throw new Violation(`an acknowledged value is lost at ${index}`)
    }
  }

  // ---- what is asked of them ----

  #propose(): void {
    const leader = this.#nodes.find(({ raft }) => raft?.status().role === 'leader')
    if (leader?.raft == null) return
    const data = new Uint8Array(4 + this.#random(60))
    const value = this.#next++
    new DataView(data.buffer).setUint32(0, value)
    leader.raft.propose(data)
  }

  #changeMember(): void {
    const leader = this.#nodes.find(({ raft }) => raft?.status().role === 'leader')
    if (leader?.raft == null) return
    const { members } = leader.raft.status().configuration
    const target = members[this.#random(members.length)]
    const voters = members.filter(({ isVoter }) => isVoter)
    if (target === undefined || (target.isVoter && voters.length <= 1) || target.id === leader.id) return
    leader.raft.proposeConfiguration({
      members: members.map(member => (member === target ? { ...member, isVoter: !member.isVoter } : member))
    })
  }

  // ---- the network ----

  #send(messages: readonly Message[]): void {
    const { repeat, delayMax } = this.#faults
    for (const message of messages) {
      const copies = this.#random(100) < repeat ? 2 : 1
      for (let copy = 0; copy < copies; copy++) this.#flying.push({ message, left: this.#random(delayMax) })
    }
    // Bounded, as a real queue is.
    if (this.#flying.length > 4_000) this.#flying = this.#flying.slice(-4_000)
  }

  #deliver(isFaulty: boolean): void {
    const arrived: Message[] = []
    const flying: Flying[] = []
    for (const item of this.#flying) {
      if (isFaulty && item.left-- > 0) flying.push(item)
      else if (!(isFaulty && this.#random(100) < this.#faults.drop) && !this.#cuts.has(`${item.message.from}>${item.message.to}`))
        arrived.push(item.message)
    }
    this.#flying = flying
    for (const message of arrived) {
      const node = this.#nodes.find(({ id }) => id === message.to)
      if (node?.raft == null) continue
      node.raft.step(this.#mutation === 'count_learners' ? countLearners(message) : message)
      this.#check(node)
    }
  }

  // ---- the invariants ----

  #checkDurable({ disk, seen, id }: SimNode): void {
    const { term, vote } = disk.hardState
    if (term < seen.term) throw new Violation(`I14: the term of ${id} fell from ${seen.term} to ${term}`)
    seen.term = term
    if (vote === null) return
    const before = seen.votes.get(term)
    if (before !== undefined && before !== vote) throw new Violation(`I12: ${id} voted for ${before} and ${vote} in term ${term}`)
    seen.votes.set(term, vote)
  }

  #check({ raft, id, disk }: SimNode): void {
    if (raft === null) return
    const { role, term, commit, lastIndex } = raft.status()
    if (commit > lastIndex) throw new Violation(`I15: ${id} commits ${commit} of ${lastIndex}`)
    if (role !== 'leader') return
    const before = this.#leaders.get(term)
    if (before !== undefined && before !== id) throw new Violation(`I1: ${before} and ${id} lead term ${term}`)
    if (before !== undefined) return
    this.#leaders.set(term, id)
    // I6: whoever becomes leader has everything that was committed before.
    for (let index = 1; index < this.#committed.length; index++) {
      const entry = disk.entries[index - 1]
      const text = this.#committed[index]
      if (text !== undefined && (entry === undefined || textOf(entry) !== text))
        throw new Violation(`I6: ${id} leads term ${term} without entry ${index}`)
    }
  }
}

/** Makes a learner's acknowledgement look like everybody's: what a leader would do that counts them. */
function countLearners(message: Message): Message {
  return message.type === 'append_reply' && !message.rejected ? { ...message, index: message.index + 1 } : message
}

function textOf(entry: Entry): string {
  return `${entry.term}/${entry.type}=${entry.type === 'normal' ? new DataView(entry.data.buffer, entry.data.byteOffset).getUint32(0) : ''}`
}
