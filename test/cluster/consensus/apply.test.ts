import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Applier } from '../../../cluster/consensus/apply.ts'
import { Sessions, stamp } from '../../../cluster/consensus/sessions.ts'
import type { Entry } from '../../../cluster/raft/types.ts'

/** A log of operations of so many bytes each, in memory or on disk. */
function applierOf(sizes: readonly number[], { isCached }: { readonly isCached: boolean }): Applier {
  const log = sizes.map((bytes, position): Entry => {
    const sequence = position + 1
    const data = stamp({ origin: '00'.repeat(8), sequence, answeredBelow: sequence }, new Uint8Array(bytes))
    return { index: sequence, term: 1, type: 'normal', data }
  })
  const applied = { writes: [], committed: () => {} }
  return new Applier({
    machine: { apply: async operations => ({ ...applied, results: operations.map(() => new Uint8Array()) }) },
    sessions: new Sessions(),
    storage: {
      async read(from: number, to: number, bytesMax: number) {
        let bytes = 0
        return log.slice(from - 1, to).filter((entry, position) => {
          if (entry.type === 'normal') bytes += entry.data.length
          return position === 0 || bytes <= bytesMax
        })
      }
    } as never,
    state: { current: { writes: ops => [...ops] } },
    raft: { cached: index => (isCached ? log[index - 1] : undefined), termAt: () => 1 }
  })
}

for (const isCached of [true, false]) {
  test(`a step is bounded by its bytes, and takes an entry that is larger than that, ${isCached ? 'from memory' : 'from disk'}`, async () => {
    const applier = applierOf([60_000, 60_000, 60_000, 60_000, 1_000_000, 10], { isCached })
    const steps: number[] = []
    for (let applied = 0; applied < 6; applied = steps.at(-1) ?? 6) steps.push((await applier.step(applied + 1, 6)).index)
    assert.ok(steps.length > 2 && steps.length < 6, `steps end at ${steps}`)
    assert.ok((steps[0] ?? 0) <= 3)
    assert.equal(steps.at(-1), 6)
  })
}
