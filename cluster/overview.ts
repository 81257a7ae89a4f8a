/** What an administrator looks at first: every peer, the pins by state, and what is wrong in whole sentences. */
import type { Overview, PeerHealth, PeerId, Role, Status } from '../src/types.ts'
import type { ConsensusStatus } from './consensus/consensus.ts'
import type { Known } from './health/monitor.ts'

export interface OverviewParts {
  readonly self: PeerId
  readonly status: () => ConsensusStatus
  readonly isConnected: (peer: PeerId) => boolean
  readonly known: (peer: PeerId) => Known | undefined
  readonly pins: () => number
  /** Index at which the peer was seen to hold another state than this one. */
  readonly differs: (peer: PeerId) => number | undefined
}

export function overview({ self, status, isConnected, known, pins, differs }: OverviewParts): Overview {
  const consensus = status()
  const voters = consensus.members.filter(({ isVoter }) => isVoter)
  const reached = voters.filter(({ id }) => id === self || isConnected(id))
  const peers = consensus.members.map(({ id, name, isVoter }): PeerHealth => {
    const word = known(id)
    const isReached = id === self || isConnected(id)
    const counts = word?.report.counts
    return {
      id,
      name: name || id,
      role: roleOf(id, { self, consensus, isVoter, isReached }),
      isVoter,
      lagEntries: isReached && word ? Math.max(0, consensus.commit - (id === self ? consensus.applied : word.report.applied)) : null,
      appliedIndex: isReached ? (word?.report.applied ?? null) : null,
      stateHash: isReached ? (word?.report.stateHash ?? '') : '',
      freeBytes: isReached ? (word?.report.freeBytes ?? null) : null,
      queued: counts?.queued ?? 0,
      pinning: counts?.pinning ?? 0,
      failed: counts?.failed ?? 0,
      pinned: counts?.pinned ?? 0,
      kuboError: isReached ? (word?.report.kuboError ?? '') : '',
      silentMs: id === self ? 0 : Math.round(word?.ageMs ?? 0)
    }
  })
  return {
    clusterId: consensus.clusterId,
    answeredBy: self,
    leader: consensus.leader,
    term: consensus.term,
    voters: voters.length,
    votersReached: reached.length,
    peers,
    pins: pins(),
    copies: copiesOf(peers),
    problems: [
      ...differences(peers, { self, differs }),
      ...problemsOf(consensus, peers, { self, voters: voters.length, reached: reached.length })
    ]
  }
}

function roleOf(
  id: PeerId,
  { self, consensus, isVoter, isReached }: { self: PeerId; consensus: ConsensusStatus; isVoter: boolean; isReached: boolean }
): Role {
  if (id === self) return consensus.role
  if (!isReached) return 'unreachable'
  if (id === consensus.leader) return 'leader'
  return isVoter ? 'follower' : 'learner'
}

function copiesOf(peers: readonly PeerHealth[]): Overview['copies'] {
  const sum = (pick: (peer: PeerHealth) => number) =>
    peers.filter(({ role }) => role !== 'unreachable').reduce((total, peer) => total + pick(peer), 0)
  const copies: readonly (readonly [Status, number])[] = [
    ['pinned', sum(({ pinned }) => pinned)],
    ['pinning', sum(({ pinning }) => pinning)],
    ['pin_queued', sum(({ queued }) => queued)],
    ['pin_error', sum(({ failed }) => failed)]
  ]
  return Object.fromEntries(copies.filter(([, count]) => count > 0))
}

/** Worse than anything that waits: a peer with a wrong state answers wrongly, and hands it on. Where most differ from this one, this one is wrong. */
function differences(
  peers: readonly PeerHealth[],
  { self, differs }: { self: PeerId; differs: (peer: PeerId) => number | undefined }
): string[] {
  const others = peers.filter(({ id }) => id !== self)
  const odd = others.flatMap(({ id, name }) => {
    const index = differs(id)
    return index === undefined ? [] : [{ name, index }]
  })
  const own = peers.find(({ id }) => id === self)?.name ?? 'this peer'
  const way = 'stop it, move its data folder aside, and let it join again with a new identity'
  if (odd.length > others.length / 2 && others.length > 1) {
    return [
      `${own} holds another state than ${odd.map(({ name }) => name).join(' and ')} at index ${odd[0]?.index}, so its own is wrong: ${way}.`
    ]
  }
  return odd.map(
    ({ name, index }) => `${name} holds another state than ${own} at index ${index}, though both have applied the same: ${way}.`
  )
}

/** The worst first: no agreement, then no copies, then what only waits. */
function problemsOf(
  consensus: ConsensusStatus,
  peers: readonly PeerHealth[],
  { self, voters, reached }: { self: PeerId; voters: number; reached: number }
): string[] {
  const problems: string[] = []
  const own = peers.find(({ id }) => id === self)
  if (consensus.removedAt !== null)
    return [`This peer was removed from the cluster by entry ${consensus.removedAt}. It stands by and keeps its data.`]
  if (!consensus.isReady) problems.push('This peer is joining, or catching up after its start: it answers reads when it has.')
  if (consensus.leader === null) {
    const needed = Math.floor(voters / 2) + 1
    const why = reached < needed ? `${reached} of ${voters} voters are reached, ${needed} are needed` : 'an election is under way'
    problems.push(`There is no leader, so pins cannot be changed: ${why}. Reads go on, and may be out of date.`)
  }
  for (const peer of peers) {
    if (peer.role === 'unreachable') {
      const silence = peer.silentMs > 0 ? ` for ${Math.round(peer.silentMs / 1_000)} s` : ''
      problems.push(`${peer.name} does not answer ${own?.name ?? 'this peer'}${silence}. It gets what it missed when it is back.`)
    }
  }
  for (const peer of peers) if (peer.kuboError !== '') problems.push(`${peer.name}: pins wait, because ${lowerFirst(peer.kuboError)}`)
  for (const peer of peers) {
    if (peer.failed > 0)
      problems.push(
        `${peer.name}: ${peer.failed} ${peer.failed === 1 ? 'pin' : 'pins'} failed and will be tried again; "flotilla status <cid>" says why.`
      )
    if (peer.freeBytes === 0) problems.push(`${peer.name}: its Kubo is full (Datastore.StorageMax), so it takes no new pins.`)
  }
  return problems
}

function lowerFirst(text: string): string {
  // "Kubo" keeps its capital: it is a name.
  return text.startsWith('Kubo') ? text : text.charAt(0).toLowerCase() + text.slice(1)
}
