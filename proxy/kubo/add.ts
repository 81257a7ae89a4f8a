/**
 * `add`: Kubo chunks, hashes and pins; the cluster makes each root everybody's pin. The upload is piped, never held. The line that names a root is
 * sent only when the cluster has it, so that also a client that reads no trailers sees a failure.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseCid } from '../../src/codec.ts'
import { ClusterError, messageOf } from '../../src/errors.ts'
import { type CommandAnswer, kuboFailure } from './answer.ts'
import type { Origins } from './origins.ts'
import { type CommandParts, wait } from './pins.ts'
import { type Call, flag } from './request.ts'

interface AddEvent {
  readonly Name?: string
  readonly Hash?: string
}

/** `only-hash` stores nothing and `pin=false` pins nothing: those are Kubo's alone. A value that is no boolean is Kubo's to refuse. */
export function addsPins({ options }: Call): boolean {
  const encoding = options.get('encoding') ?? 'json'
  return flag(options, 'only-hash', false) === false && flag(options, 'pin', true) === true && encoding === 'json'
}

export function add(
  parts: CommandParts & { readonly origins: Origins },
  call: Call,
  client: IncomingMessage,
  plain: ServerResponse,
  answer: CommandAnswer,
  signal: AbortSignal
): void {
  const isSilent = flag(call.options, 'silent', false) === true
  // Kubo would say nothing at all, and so hide the roots from us: the silence is ours to keep.
  const url = isSilent ? (client.url ?? '').replace(/([?&])silent=[^&]*/g, '$1') : (client.url ?? '')
  const outgoing = parts.upstream.open('POST', url, parts.origins.toKubo(client.rawHeaders))
  outgoing.on('continue', () => plain.writeContinue())
  outgoing.on('error', error => {
    if (plain.headersSent) plain.destroy()
    else if (!plain.destroyed) kuboFailure(plain, 502, `Kubo does not answer: ${messageOf(error)}`)
  })
  signal.addEventListener('abort', () => outgoing.destroy(), { once: true })
  outgoing.on('response', incoming => {
    if (incoming.statusCode !== 200) {
      // Kubo refused: its own words, as they are.
      plain.writeHead(incoming.statusCode ?? 502, { 'Content-Type': incoming.headers['content-type'] ?? 'text/plain' })
      incoming.pipe(plain)
      return
    }
    relayEvents(parts, call, incoming, { answer, isSilent, signal }).catch(error => answer.fail(error))
  })
  client.pipe(outgoing)
}

async function relayEvents(
  { api, waitFor }: CommandParts,
  { options }: Call,
  incoming: IncomingMessage,
  { answer, isSilent, signal }: { answer: CommandAnswer; isSilent: boolean; signal: AbortSignal }
): Promise<void> {
  const isWrapped = flag(options, 'wrap-with-directory', false) === true
  const name = options.get('pin-name') ?? ''
  const { id: self } = await api.id({ signal })
  const agree = async (event: AddEvent): Promise<void> => {
    const cid = parseCid(event.Hash ?? '')
    // The content is on this peer already: a copy here costs nothing.
    await api.pin(cid, { name, userAllocations: [self], signal })
    if (waitFor !== 'committed') await wait(api, cid, waitFor, undefined, signal)
    if (!isSilent) await answer.line(event)
  }
  /** Kubo pins a root when the next entry begins or everything has ended, and only then it is ours to rely on. */
  let held: AddEvent | undefined
  for await (const event of events(incoming)) {
    const isRoot = event.Hash !== undefined && (isWrapped ? event.Name === '' : !(event.Name ?? '').includes('/'))
    if (held && event.Hash !== undefined) {
      const root = held
      held = undefined
      await agree(root)
    }
    if (isRoot) held = event
    else if (!isSilent) await answer.line(event)
  }
  const late = incoming.trailers['x-stream-error']
  if (late) throw new ClusterError({ code: 'kubo_error', status: 500, kuboCode: 0 }, Buffer.from(late, 'latin1').toString('utf8'))
  if (held) await agree(held)
  answer.end()
}

async function* events(incoming: IncomingMessage): AsyncIterable<AddEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield JSON.parse(line) as AddEvent
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as AddEvent
}
