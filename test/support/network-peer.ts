/** A peer in a process of its own, to be stopped or killed: sends where it is, and takes its members, over IPC. */
import type { Network } from '../../cluster/net/network.ts'
import { openNetwork } from './network.ts'

const network = await openNetwork({ name: 'child' })
process.on('message', member => network.setMembers([member as ReturnType<typeof here>]))
process.on('disconnect', () => process.exit())
process.send?.(here(network))

function here({ self, addresses }: Network): { id: Network['self']; addresses: readonly string[] } {
  return { id: self, addresses }
}
