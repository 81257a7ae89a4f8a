/** Majorities of voters. */
import type { Configuration, NodeId } from './types.ts'

export function voters({ members }: Configuration): readonly NodeId[] {
  return members.filter(({ isVoter }) => isVoter).map(({ id }) => id)
}

export function majority(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1
}

/** The highest index that a majority of the voters has; learners never count. */
export function agreedIndex(configuration: Configuration, matchOf: (id: NodeId) => number): number {
  const matches = voters(configuration)
    .map(matchOf)
    .sort((a, b) => b - a)
  return matches[majority(matches.length) - 1] ?? 0
}

/** How a vote stands. Answers of nodes that are not voters do not count. */
export function tally(configuration: Configuration, votes: ReadonlyMap<NodeId, boolean>): 'won' | 'lost' | 'open' {
  const ids = voters(configuration)
  const needed = majority(ids.length)
  const granted = ids.filter(id => votes.get(id) === true).length
  const refused = ids.filter(id => votes.get(id) === false).length
  if (granted >= needed) return 'won'
  return ids.length - refused < needed ? 'lost' : 'open'
}
