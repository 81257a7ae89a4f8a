/**
 * Browser origins. Kubo trusts pages of its own port on this machine; a page that came through the door, or an extension that was told the
 * door's address, names the door's port instead. So the door's port becomes Kubo's on the way in, and Kubo's permission names the door's again
 * on the way out (ipfs-cluster has this as an open bug: https://github.com/ipfs-cluster/ipfs-cluster/issues/379).
 */

/** Ports of the door's connection and of Kubo's API; `null` for a Unix socket, and then nothing is translated. */
export interface Ports {
  readonly door: number | null
  readonly kubo: number | null
}

/** An origin, or the origin of a referer, as Kubo must see it. */
export function forKubo(value: string, { door, kubo }: Ports): string {
  const [, host, port, rest = ''] = /^(https?:\/\/(?:127\.0\.0\.1|\[::1\]|localhost)):(\d+)((?:[/?#].*)?)$/s.exec(value) ?? []
  return host !== undefined && door !== null && kubo !== null && Number(port) === door ? `${host}:${kubo}${rest}` : value
}

/** Whether Kubo has to be told another origin than the client's own. */
export function isTranslated(value: string | undefined, ports: Ports): value is string {
  return value !== undefined && forKubo(value, ports) !== value
}

/** Changes the head of an answer to a translated origin: that origin is allowed under its own name. */
export function allowedAgain(answerHead: string, origin: string, ports: Ports): string {
  const translated = forKubo(origin, ports)
  return answerHead.replace(/^(access-control-allow-origin:[ \t]*)([^\r\n]*)/gim, (line, name: string, value: string) =>
    value === translated ? name + origin : line
  )
}

/** Changes fields of a request head, and leaves every other byte as it was. `change` sees names in lower case; `null` drops the field. */
export function changedHead(head: string, change: (name: string, value: string) => string | null): string {
  const [first = '', ...lines] = head.split(/(?<=\n)/)
  const changed = lines.map(line => {
    const [, name, between, value, end] = /^([^:\r\n]+)(:[ \t]*)(.*?)([ \t]*\r?\n)$/s.exec(line) ?? []
    if (name === undefined || value === undefined) return line
    const next = change(name.toLowerCase(), value)
    return next === null ? '' : next === value ? line : `${name}${between}${next}${end}`
  })
  return first + changed.join('')
}
