/** Where a socket is: multiaddresses of the doors and their clients, read as what Node listens on and connects to. */
import { parseMultiaddr } from './codec.ts'
import { ClusterError } from './errors.ts'

/** A TCP endpoint or the path of a Unix socket. `tls` is what the address itself says. */
export type SocketAddress =
  | { readonly host: string; readonly port: number; readonly tls: boolean }
  | { readonly path: string; readonly tls: boolean }

/**
 * Takes `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>` with `/http`, `/https` or `/tls/http` behind it, and `/unix/<path>`.
 * @throws ClusterError `invalid`
 */
export function socketAddressOf(multiaddr: string): SocketAddress {
  const [, kind, host, transport, port, ...rest] = parseMultiaddr(multiaddr).split('/')
  if (kind === 'unix') return { path: decodeURIComponent(multiaddr.slice('/unix'.length)), tls: false }
  const scheme = rest.join('/')
  const isKnown = ['ip4', 'ip6', 'dns', 'dns4', 'dns6'].includes(kind ?? '') && ['', 'http', 'https', 'tls', 'tls/http'].includes(scheme)
  if (!isKnown || transport !== 'tcp' || !/^\d{1,5}$/.test(port ?? '') || Number(port) > 65_535) {
    throw new ClusterError(
      { code: 'invalid' },
      `"${multiaddr.slice(0, 120)}" is no address for HTTP: expected text like /ip4/127.0.0.1/tcp/9094 or /unix/run/flotilla.sock`
    )
  }
  return { host: host ?? '', port: Number(port), tls: scheme === 'https' || scheme.startsWith('tls') }
}

/** The address as a URL without a path, for people and for HTTP clients. */
export function urlOf(address: SocketAddress): string {
  if ('path' in address) return `unix:${address.path}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${address.tls ? 'https' : 'http'}://${host}:${address.port}`
}

/** Where Kubo's API is, for an HTTP client: a multiaddress or a URL, TCP or a Unix socket. @throws ClusterError `invalid` */
export function kuboAddress(api: string): { readonly origin: string; readonly socketPath: string | null } {
  if (api.startsWith('/')) {
    const address = socketAddressOf(api)
    return 'path' in address ? { origin: 'http://unix', socketPath: address.path } : { origin: urlOf(address), socketPath: null }
  }
  if (!URL.canParse(api) || !/^https?:$/.test(new URL(api).protocol)) {
    throw new ClusterError(
      { code: 'invalid' },
      `"${api.slice(0, 120)}" is no address of Kubo's API: expected text like /ip4/127.0.0.1/tcp/5001 or http://127.0.0.1:5001`
    )
  }
  return { origin: new URL(api).origin, socketPath: null }
}
