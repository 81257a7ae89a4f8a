/** Basic authentication, by the rules of ipfs-cluster: an empty password never opens the door. */
import { createHash, timingSafeEqual } from 'node:crypto'

/** What to answer with 401, or `undefined` for a request that may pass. */
export type Refusal = { readonly message: string } | undefined

/** Value of `WWW-Authenticate`, as the Go system sends it. */
export const challenge = 'Basic realm="Restricted IPFS Cluster API"'

/** @param users passwords by user name; `null` lets everybody in */
export function basicAuth(users: Readonly<Record<string, string>> | null): (authorization: string | undefined) => Refusal {
  if (users === null) return () => undefined
  const known = Object.entries(users)
    .filter(([user, password]) => user !== '' && password !== '')
    .map(([user, password]) => digest(`${user}:${password}`))
  return authorization => {
    const given = /^basic +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (given === undefined) return { message: 'unauthorized: no auth provided' }
    const wanted = digest(Buffer.from(given, 'base64').toString('utf8'))
    // Digests are of one length, and every user is compared, so the time tells neither who exists nor how much was right.
    const matches = known.filter(one => timingSafeEqual(one, wanted))
    return matches.length > 0 ? undefined : { message: 'unauthorized: access denied' }
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
