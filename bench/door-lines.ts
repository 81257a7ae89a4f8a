/**
 * A stand-in for Kubo that streams lines as its `pin/ls --stream` does: each a chunk and a packet of its own, one every few microseconds. Prints its
 * port; run as a process of its own.
 */
import { createServer, type Socket } from 'node:net'

const line = '{"Cid":"bafkqaftmn5qwillgnrxxi2lmnrqs2obrgq4s2mbnga","Type":"recursive"}\n'
const chunk = Buffer.from(`${line.length.toString(16)}\r\n${line}\r\n`)
const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-Stream-Error\r\nTransfer-Encoding: chunked\r\n'
async function answer(socket: Socket, lines: number): Promise<void> {
  socket.write(`${head}X-Chunked-Output: 1\r\n\r\n`)
  for (let sent = 0; sent < lines && !socket.destroyed; sent++) {
    if (socket.write(chunk)) await new Promise(resolve => setImmediate(resolve))
    else await new Promise<void>(resolve => socket.once('drain', resolve))
  }
  socket.write('0\r\n\r\n')
}

const server = createServer({ noDelay: true }, socket => {
  socket.on('error', () => {})
  // Requests here are one packet, and have no body.
  socket.on('data', bytes => {
    const [, lines] = /\?lines=(\d+)/.exec(bytes.toString('latin1')) ?? []
    if (lines === undefined) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n')
    else void answer(socket, Number(lines))
  })
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as { port: number }).port))
