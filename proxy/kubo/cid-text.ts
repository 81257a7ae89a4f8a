/** CIDs as a client wants to read them: Kubo's options `cid-base` and `upgrade-cidv0-in-output`. */
import type { MultibaseEncoder } from 'multiformats/bases/interface'
import { bases } from 'multiformats/basics'
import { CID } from 'multiformats/cid'
import type { Cid } from '../../src/types.ts'

const encoders = new Map<string, MultibaseEncoder<string>>(Object.values(bases).map(base => [base.name, base.encoder]))

export function isBaseName(name: string): boolean {
  return encoders.has(name)
}

/** `base` as {@link isBaseName} knows it; version 0 has no base, and becomes version 1. `null`: as it is. */
export function cidText(cid: Cid, base: string | null): string {
  const encoder = base === null ? undefined : encoders.get(base)
  return encoder === undefined ? cid : CID.parse(cid).toV1().toString(encoder)
}
