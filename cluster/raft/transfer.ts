/**
 * Handing leadership over (Raft thesis, 3.10): the leader takes nothing new, brings one voter up to its own last entry, and asks it to stand for
 * election at once. What comes of it is an ordinary election, so nothing here can do harm; it only may fail, and then the leader goes on.
 */
import { stand } from './election.ts'
import { type Node, send } from './node.ts'
import type { Message, NodeId, Refusal } from './types.ts'

/** To another one than before: that one instead. To this node: none any more. */
export function startTransfer(node: Node, to: NodeId): Refusal | null {
  if (node.role !== 'leader') return 'not_leader'
  if (to === node.settings.id) {
    node.transfer = null
    return null
  }
  if (!node.membership.isVoter(to)) return 'not_a_voter'
  if (node.transfer?.to === to) return null
  node.transfer = { to, elapsed: 0, isAsked: false }
  continueTransfer(node)
  return null
}

/** The successor may have everything by now. It is asked once: a second request could come when somebody else leads already. */
export function continueTransfer(node: Node): void {
  const { transfer, log } = node
  if (transfer === null || transfer.isAsked || node.followers.get(transfer.to)?.match !== log.lastIndex) return
  transfer.isAsked = true
  send(node, { type: 'timeout_now', to: transfer.to, term: node.term, index: log.lastIndex })
}

/** A successor that does not take over within an election timeout is not waited for: clients do not get their answers meanwhile. */
export function tickTransfer(node: Node): void {
  if (node.transfer !== null && ++node.transfer.elapsed >= node.settings.electionTicks) node.transfer = null
}

/** The leader of this term asks this node to take over. Not one that has lost, or not yet got, what made it the successor. */
export function heardTimeoutNow(node: Node, { index }: Extract<Message, { type: 'timeout_now' }>): void {
  if (node.membership.isVoter(node.settings.id) && node.log.lastIndex >= index) stand(node, { isTransfer: true })
}
