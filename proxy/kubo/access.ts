/**
 * Secrets of the door's own, as Kubo's `API.Authorizations`: who shows one may use the paths that begin as it allows. They are compared in constant
 * time and never logged.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { authorizationOf } from '../../src/secret.ts'
import { headerOf } from './head.ts'

export interface AccessRule {
  /** `bearer:<token>`, `basic:<user>:<password>`, or the header itself, such as `Bearer <token>`. */
  readonly secret: string
  /** Paths that begin with one of these are open to it, such as `/api/v0/pin`. */
  readonly paths: readonly string[]
}

/** Kubo's own words. */
export const accessDenied =
  'Kubo RPC Access Denied: Please provide a valid authorization token as defined in the API.Authorizations configuration.\n'

export class Access {
  readonly #rules: readonly { readonly digest: Buffer; readonly paths: readonly string[] }[]

  constructor(rules: readonly AccessRule[]) {
    this.#rules = rules.map(({ secret, paths }) => ({ digest: digestOf(authorizationOf(secret)), paths }))
  }

  /** There are secrets: the client's word is for this door, and not for Kubo. */
  get isOn(): boolean {
    return this.#rules.length > 0
  }

  /** @param path decoded; `undefined` where it cannot be read, and then nothing is allowed */
  allows(path: string | undefined, headers: readonly string[]): boolean {
    if (!this.isOn) return true
    const shown = headerOf(headers, 'authorization')
    if (shown === undefined || path === undefined) return false
    const digest = digestOf(shown)
    const rules = this.#rules.filter(rule => timingSafeEqual(rule.digest, digest))
    return rules.length > 0 && (path === '/api/v0/version' || rules.some(rule => rule.paths.some(prefix => path.startsWith(prefix))))
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
