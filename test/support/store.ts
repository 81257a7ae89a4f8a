/** Rows as text, for tests of the store. */
import type { Store } from '../../cluster/state/store.ts'

export const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes)
export const bytes = (value: string) => new TextEncoder().encode(value)
export const put = (name: string, value: string) => ({ type: 'put', key: bytes(name), value: bytes(value) }) as const
export const everything = { gte: new Uint8Array(), lt: bytes('~') }

export async function rows(store: Store, options: { reverse?: boolean; limit?: number } = {}): Promise<string[]> {
  const found: string[] = []
  for await (const [name, value] of store.rows(everything, options)) found.push(`${text(name)}=${text(value)}`)
  return found
}
