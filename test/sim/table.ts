/** Rows in the order of their keys, as a store holds them. Keys are strings of one character a byte, which sort as the bytes do. */
import type { Range, WriteOp } from '../../cluster/state/store.ts'

export class Table {
  #names: string[] = []
  readonly #values = new Map<string, Uint8Array>()

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#values.get(nameOf(key))
  }

  apply(ops: readonly WriteOp[]): void {
    for (const op of ops) {
      const name = nameOf(op.key)
      if (op.type === 'put') {
        if (!this.#values.has(name)) this.#names.splice(this.#place(name), 0, name)
        this.#values.set(name, op.value)
      } else if (this.#values.delete(name)) this.#names.splice(this.#place(name), 1)
    }
  }

  /** As they are now, whatever is written later. */
  range({ gte, lt }: Range, { reverse = false, limit = Number.POSITIVE_INFINITY } = {}): [Uint8Array, Uint8Array][] {
    const names = this.#names.slice(this.#place(nameOf(gte)), this.#place(nameOf(lt)))
    if (reverse) names.reverse()
    return names.slice(0, limit).map(name => [Buffer.from(name, 'latin1'), this.#values.get(name) as Uint8Array])
  }

  copy(): Table {
    const copy = new Table()
    copy.#names = [...this.#names]
    for (const [name, value] of this.#values) copy.#values.set(name, value)
    return copy
  }

  /** Where `name` stands, or would. */
  #place(name: string): number {
    let low = 0
    let high = this.#names.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#names[middle] as string) < name) low = middle + 1
      else high = middle
    }
    return low
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}
