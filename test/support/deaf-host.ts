/** Listens with the shortest of queues, in a process of its own, to be frozen. */
import { type AddressInfo, createServer } from 'node:net'

const server = createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
  process.send?.((server.address() as AddressInfo).port)
})
process.on('disconnect', () => process.exit())
