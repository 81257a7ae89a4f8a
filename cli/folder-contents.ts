/** What the folder of a stopped peer holds, for people and as JSON. */
import type { FolderContents } from '../cluster/stopped-peer.ts'
import type { Json } from '../src/wire-fields.ts'
import { momentOf } from './output.ts'

export function contentsToJson({ clusterId, log, members, pins, stateHash, notes }: FolderContents): Json {
  return {
    cluster_id: clusterId,
    last_term: log.lastTerm,
    last_index: log.lastIndex,
    commit_index: log.commit,
    applied_index: log.applied,
    members: members.map(({ id, name, isVoter }) => ({ id, name, is_voter: isVoter })),
    pins,
    state_hash: stateHash,
    notes
  }
}

export function describeContents({ clusterId, log, members, pins, stateHash, notes }: FolderContents): string {
  const fields: readonly (readonly [string, string])[] = [
    ['cluster', clusterId],
    ['last entry', `term ${log.lastTerm}, index ${log.lastIndex}`],
    ['committed', `index ${log.commit}, as far as this peer knows`],
    ['pins', String(pins)],
    ['state hash', `${stateHash} at index ${log.applied}`],
    ...members.map(({ id, name, isVoter }) => [isVoter ? 'voter' : 'learner', name === '' ? id : `${name}  ${id}`] as const),
    ...notes.map(({ at, text }) => ['note', `${momentOf(at)} UTC: ${text}`] as const)
  ]
  return fields.map(([key, value]) => `${key.padEnd(12)}${value}`).join('\n')
}
