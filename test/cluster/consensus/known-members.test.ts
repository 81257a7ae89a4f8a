import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KnownMembers } from '../../../cluster/consensus/known-members.ts'
import { toMember } from '../../../cluster/consensus/members.ts'
import { newcomer, peerId } from '../../support/newcomer.ts'

const configuration = (...numbers: number[]) => ({ members: numbers.map(number => toMember(newcomer(number), true)) })

function startWith({ wasMember }: { readonly wasMember: boolean }): KnownMembers {
  const rpc = { self: peerId(1), isConnected: () => true, setMembers: () => {} }
  const members = new KnownMembers(rpc, () => {})
  members.begin({ present: configuration(1, 2, 3), wasMember })
  // All that is left of the log, or came with the state of another peer.
  members.follow([{ index: 9, configuration: configuration(2, 3) }])
  return members
}

test('a peer whose log is cut behind its removal knows of it after a restart', () => {
  assert.equal(startWith({ wasMember: true }).removedAt, 9)
})

test('a newcomer whose log begins without it was not removed', () => {
  assert.equal(startWith({ wasMember: false }).removedAt, null)
})
