/** What must hold, by the names under which the literature knows it. */
export type Invariant =
  | 'I1 election safety'
  | 'I2 leader append-only'
  | 'I3 log matching'
  | 'I5 committed is for ever'
  | 'I6 leader completeness'
  | 'I7 commit needs a durable quorum'
  | 'I9 current term only'
  | 'I12 vote stability'
  | 'I13 acknowledged is durable'
  | 'I14 monotone'
  | 'I15 order of indexes'
  | 'I16 one state'
  | 'I17 applied once, in order'
  | 'I18 only committed is applied'
  | 'I19 configurations'
  | 'I20 read safety'
  | 'I22 exactly once'
  | 'I23 snapshot fidelity'
  | 'I25 every question ends'
  | 'hand-over'
  | 'an answer is true'
  | 'acknowledged is never lost'
  | 'the peer failed'
  | 'liveness'

export class Violation extends Error {
  readonly invariant: Invariant

  constructor(invariant: Invariant, detail: string, options?: ErrorOptions) {
    super(`${invariant}: ${detail}`, options)
    this.invariant = invariant
  }
}

export function check(holds: boolean, invariant: Invariant, detail: string): asserts holds {
  if (!holds) fail(invariant, detail)
}

export function fail(invariant: Invariant, detail: string): never {
  throw new Violation(invariant, detail)
}
