/** Why a peer could not be reached, in words an operator can act on. */
import { messageOf } from '../../src/errors.ts'

const reasons: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nothing listens there (connection refused)'],
  [/ENOTFOUND|EAI_AGAIN|could not resolve/i, 'its name cannot be resolved'],
  [/EHOSTUNREACH|ENETUNREACH/, 'there is no route to it'],
  [/UnexpectedPeer|expected peer|Payload identity key/i, 'another peer answers at this address: its identity is not the expected one'],
  [
    /private network|EncryptionFailed|EncryptionError|noise|multistream|Unexpected(EOF|Eof)|StreamReset|StreamState|InvalidMessage|InvalidDataLength|connection was closed|InvalidCryptoExchange|decode/i,
    'it does not talk to us: another secret, or not a flotilla peer'
  ],
  [/Timeout|aborted|timed out/i, 'no answer in time']
]

export function explainDial(error: unknown): string {
  const text = everything(error)
  return reasons.find(([pattern]) => pattern.test(text))?.[1] ?? messageOf(error)
}

/** Names, codes and messages of an error and of all that caused it. */
function everything(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const inner = error instanceof AggregateError ? error.errors.map(everything) : []
  return [
    error.name,
    (error as { code?: string }).code ?? '',
    error.message,
    ...inner,
    error.cause === undefined ? '' : everything(error.cause)
  ].join(' ')
}
