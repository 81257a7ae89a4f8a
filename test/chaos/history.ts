/** What clients asked for and were told, as they saw it: by one clock, the harness's own. */

import type { Cid } from '../../src/types.ts'

/** The name of the pin that is agreed for a CID: every pin of a history has a name of its own. `null` where it is not pinned. */
export type Value = string | null

interface Call {
  /** CIDs are independent of each other. */
  readonly key: Cid
  readonly peer: string
  /** Milliseconds. */
  readonly calledAt: number
  /** `Infinity` where nobody knows: no answer, or "unknown" for an answer. It may have happened at any time since, and may still happen. */
  readonly returnedAt: number
}

/** What certainly did not happen is no part of a history. */
export type Operation = Call &
  (
    | { readonly kind: 'pin'; readonly name: string }
    /** @property found what it ended; `null` for "it is not pinned"; `undefined` where that is not known. */
    | { readonly kind: 'unpin'; readonly found: Value | undefined }
    | { readonly kind: 'get'; readonly found: Value }
  )

export function byKey(operations: readonly Operation[]): Map<Cid, Operation[]> {
  const keys = new Map<Cid, Operation[]>()
  for (const operation of operations) {
    const known = keys.get(operation.key)
    if (known) known.push(operation)
    else keys.set(operation.key, [operation])
  }
  return keys
}

export function isKnown({ returnedAt }: Operation): boolean {
  return returnedAt !== Number.POSITIVE_INFINITY
}

/** What is agreed once `operation` has happened to `value`; `undefined` where it cannot have happened to that. */
export function step(value: Value, operation: Operation): Value | undefined {
  switch (operation.kind) {
    case 'pin':
      return operation.name
    case 'get':
      return operation.found === value ? value : undefined
    case 'unpin':
      return operation.found === undefined || operation.found === value ? null : undefined
  }
}

/** For people: one line an operation, in the order of the calls. */
export function describe(operations: readonly Operation[]): string[] {
  const start = Math.min(...operations.map(({ calledAt }) => calledAt))
  const at = (ms: number) => (ms === Number.POSITIVE_INFINITY ? '?' : (ms - start).toFixed(1))
  const shown = (value: Value | undefined) => (value === undefined ? 'something unknown' : (value ?? 'nothing'))
  return operations
    .toSorted((a, b) => a.calledAt - b.calledAt)
    .map(operation => {
      const what = operation.kind === 'pin' ? `pin ${operation.name}` : `${operation.kind} finds ${shown(operation.found)}`
      return `${at(operation.calledAt)}..${at(operation.returnedAt)} ms, ${operation.peer}: ${what}`
    })
}
