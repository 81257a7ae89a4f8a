/**
 * Kubo trusts browser pages of its own port. A page or extension that talks to this door names this door's port, so it is translated on the way in,
 * and back on the way out (ipfs-cluster #379).
 */

const own = /^(https?:\/\/(?:127\.0\.0\.1|\[::1\]|localhost)):(\d+)(?=\/|$)/i

export interface Origins {
  /** Raw headers, names and values in turn. */
  toKubo(headers: readonly string[]): string[]
  toClient(headers: readonly string[]): string[]
}

export function originsBetween({ doorPort, kuboPort }: { doorPort: () => number; kuboPort: number }): Origins {
  const map = (names: RegExp, from: number, to: number) => (headers: readonly string[]) =>
    headers.map((text, position) =>
      position % 2 === 1 && names.test(headers[position - 1] ?? '')
        ? text.replace(own, (all, host, port) => (Number(port) === from ? `${host}:${to}` : all))
        : text
    )
  return {
    toKubo: headers => map(/^(origin|referer)$/i, doorPort(), kuboPort)(headers),
    toClient: headers => map(/^access-control-allow-origin$/i, kuboPort, doorPort())(headers)
  }
}
