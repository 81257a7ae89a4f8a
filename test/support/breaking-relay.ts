/** A relay between a client and a server that changes bytes on their way: for proving that a test notices. */
import { connect, createServer, type Server, type Socket } from 'node:net'

export interface RelayChanges {
  readonly toServer?: ((bytes: Buffer) => Buffer) | undefined
  readonly toClient?: ((bytes: Buffer) => Buffer) | undefined
}

export class Relay implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(port: number, { toServer = same, toClient = same }: RelayChanges = {}): Promise<Relay> {
    const server = createServer({ allowHalfOpen: true })
    const relay = new Relay(server)
    server.on('connection', client => {
      const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      relay.#join(client, upstream, toServer)
      relay.#join(upstream, client, toClient)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    return relay
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #join(from: Socket, to: Socket, change: (bytes: Buffer) => Buffer): void {
    this.#sockets.add(from)
    from.setNoDelay(true)
    from.on('data', bytes => to.write(change(bytes)))
    from.on('end', () => to.end())
    from.on('error', () => to.destroy())
    from.on('close', () => {
      this.#sockets.delete(from)
      to.end()
    })
  }
}

function same(bytes: Buffer): Buffer {
  return bytes
}
