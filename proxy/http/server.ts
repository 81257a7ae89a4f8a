/** What all doors share: the shape of an open door, and listening with an error that names the setting to change. */
import { chmod, rm } from 'node:fs/promises'
import type { Server } from 'node:net'
import { socketAddressOf } from '../../src/address.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'

/** An open door; disposing closes it: nothing new is accepted, calls in flight get a bounded time to end. */
export interface Door extends AsyncDisposable {
  /** Multiaddresses it listens on, with the port that was given where 0 was asked for. */
  readonly addresses: readonly string[]
}

/** Starts a door; where that fails, nothing is left open. */
export async function opened<D extends Door & { start(): Promise<void> }>(door: D): Promise<D> {
  try {
    await door.start()
    return door
  } catch (error) {
    await door[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * Listens on `multiaddr`, TCP or a Unix socket.
 *
 * @param settingName the configuration key that holds the address, for the error
 * @returns the multiaddress with its real port
 * @throws ClusterError `cannot_start` where the address is taken, forbidden or not of this machine; `invalid` where it is none
 */
export async function listen(server: Server, multiaddr: string, settingName: string): Promise<string> {
  const address = socketAddressOf(multiaddr)
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => {
      const message = `cannot listen on ${multiaddr}: ${reasonOf(error, 'path' in address)}; the setting is ${settingName}`
      reject(new ClusterError({ code: 'cannot_start' }, message, { cause: error }))
    }
    server.once('error', refuse)
    server.listen('path' in address ? { path: address.path } : { host: address.host, port: address.port }, () => {
      server.off('error', refuse)
      resolve()
    })
  })
  if ('path' in address) {
    // Whoever may open the socket rules the cluster: the owner alone.
    await chmod(address.path, 0o600)
    server.once('close', () => void rm(address.path, { force: true }).catch(() => {}))
    return multiaddr
  }
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has a port')
  return multiaddr.replace(/\/tcp\/\d+/, `/tcp/${bound.port}`)
}

function reasonOf(error: NodeJS.ErrnoException, isSocketFile: boolean): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return isSocketFile ? 'another program uses it, or has left the file behind' : 'another program uses it'
    case 'EACCES':
      return 'permission denied'
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address'
    default:
      return messageOf(error)
  }
}
