/** TCP that can be cut without a word to either end, as a network does it; and a host that takes no connections. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { parseMultiaddr } from '../../src/codec.ts'
import type { Multiaddr } from '../../src/types.ts'

export interface Relay extends AsyncDisposable {
  /** @returns the port that leads to `port` */
  open(port: number): Promise<number>
  /** From now on nothing passes, and nothing is closed. What was cut for good is closed by the heal. */
  cut(): { heal(): void }
  /** Connections that pass through now. */
  readonly connections: number
}

export async function relay(): Promise<Relay> {
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  let isCut = false
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    return socket
  }
  return {
    async open(port) {
      const server = createServer(near => {
        keep(near)
        // In a cut even the attempt gets lost.
        if (isCut) return near.pause()
        const far = keep(connect(port, '127.0.0.1'))
        for (const [from, to] of [
          [near, far],
          [far, near]
        ] as const) {
          from.on('data', data => to.write(data))
          // An end passes through, but not through a cut.
          from.on('close', () => isCut || to.destroy())
        }
      }).listen(0, '127.0.0.1')
      servers.push(server)
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    },
    get connections() {
      return sockets.size / 2
    },
    cut() {
      isCut = true
      for (const socket of sockets) socket.pause()
      return {
        heal() {
          isCut = false
          for (const socket of sockets) socket.destroy()
        }
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      for (const server of servers) {
        server.close()
        await once(server, 'close')
      }
    }
  }
}

/** A process that listens, is frozen, and whose queue of connections is full: the system answers nobody in its place. */
export async function deafHost(): Promise<AsyncDisposable & { readonly address: Multiaddr }> {
  const child = fork(join(import.meta.dirname, 'deaf-host.ts'), { execArgv: [] })
  const [port] = (await once(child, 'message')) as [number]
  child.kill('SIGSTOP')
  const fillers = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  await once(fillers[0] as Socket, 'connect') // there are eight
  return {
    address: parseMultiaddr(`/ip4/127.0.0.1/tcp/${port}`),
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy()
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}
