/** CIDs for tests. */
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { cidOf } from '../../src/codec.ts'
import type { Cid } from '../../src/types.ts'

/** A CID that carries its content, so that every Kubo can pin it at once. */
export function inline(text: string): Cid {
  return cidOf(CID.create(1, 0x55, create(0, new TextEncoder().encode(text))))
}
