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
