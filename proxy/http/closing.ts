/** How a connection ends, where Node's own way would lose an answer. */
import type { Socket } from 'node:net'

/**
 * Closes a connection whose request may still be arriving without taking the answer back: a plain close with unread bytes makes the kernel
 * send a reset, and many clients then throw away what they have not read yet. What arrives is read and dropped, for `ms` at most once the answer has
 * left. (Go's server does the same; Kubo's is the exception, so a client of ours sees more answers than one of Kubo's.)
 */
export function closeLingering(socket: Socket, ms: number): void {
  if (socket.destroyed) return
  const cut = () => {
    const timer = setTimeout(() => socket.destroy(), ms)
    socket.once('close', () => clearTimeout(timer))
  }
  socket.on('data', () => {})
  socket.once('end', () => socket.destroySoon())
  socket.end(cut)
  socket.resume()
  if (socket.readableEnded) socket.destroySoon()
}
