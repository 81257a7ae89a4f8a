/** From the common options to a client: `--host`, else FLOTILLA_HOST, else this machine; the password from the environment alone. */
import { FlotillaClient } from '../src/client.ts'
import { environment } from '../src/environment.ts'

/** What every command takes. */
export interface CommonOptions {
  /** Multiaddress, URL, or host and port of a REST API. */
  readonly host: string | undefined
  readonly json: boolean
}

/** As `up` shows it. */
const hostAndPort = /^([\w.-]+|\[[0-9a-f:.]+\]):\d{1,5}$/i

/** Arguments are in every process list, so a password is none. */
export function connect({ host }: Pick<CommonOptions, 'host'>): FlotillaClient {
  const { FLOTILLA_HOST, FLOTILLA_BASIC_AUTH } = environment()
  const address = host ?? (FLOTILLA_HOST || '/ip4/127.0.0.1/tcp/9094')
  return new FlotillaClient({
    address: hostAndPort.test(address) ? `http://${address}` : address,
    basicAuth: FLOTILLA_BASIC_AUTH || undefined
  })
}
