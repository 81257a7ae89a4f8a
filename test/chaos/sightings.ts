/**
 * What is promised of every read, also of a local one: on one peer, a CID never goes back, whoever asks and however often the peer was killed in
 * between; one's own acknowledged write is seen; and one version is one pin, everywhere and for ever.
 */

/** One look at what a peer has for a CID. */
export interface Sighting {
  readonly key: string
  readonly peer: string
  readonly calledAt: number
  readonly returnedAt: number
  /** `null`: it is not pinned there. */
  readonly pin: SeenPin | null
  /** The pin that this very answer says has ended: an unpin. */
  readonly ended?: SeenPin | undefined
}

export interface SeenPin {
  readonly name: string
  /** Of its place in the agreed order. */
  readonly version: number
}

/** @returns one sentence for each promise that is broken, at most ten */
export function brokenPromises(sightings: readonly Sighting[], { denied }: { readonly denied: ReadonlySet<string> }): string[] {
  const broken: string[] = []
  const nameOf = new Map<number, string>()
  const floors = new Map<string, number>()
  const events = sightings.flatMap(sighting => [
    { ms: sighting.calledAt, isCall: true, sighting },
    { ms: sighting.returnedAt, isCall: false, sighting }
  ])
  // In the same instant a call comes first: nothing says that the answer did.
  events.sort((a, b) => a.ms - b.ms || Number(b.isCall) - Number(a.isCall))
  const before = new Map<Sighting, number>()
  for (const { isCall, sighting } of events) {
    const { key, peer, pin, ended } = sighting
    const place = `${peer} ${key}`
    const floor = floors.get(place) ?? 0
    if (isCall) {
      before.set(sighting, floor)
      continue
    }
    const known = before.get(sighting) ?? 0
    before.delete(sighting)
    for (const { name, version } of [pin, ended].filter(seen => seen != null)) {
      if (denied.has(name)) broken.push(`${peer} has pin ${name} of ${key}, which it was said would not happen`)
      const first = nameOf.get(version) ?? name
      nameOf.set(version, first)
      if (first !== name) broken.push(`version ${version} is pin ${first}, and on ${peer} it is pin ${name}`)
    }
    // A pin counts twice its version, its end one more: what is not there must have ended after the latest that was.
    const seen = pin ?? ended
    if (seen != null && 2 * seen.version < known) {
      const after = `after version ${known >> 1}${known & 1 ? ' had ended' : ''}`
      broken.push(`${peer} went back to pin ${seen.name} (version ${seen.version}) of ${key}, ${after}`)
    }
    const rank = pin !== null ? 2 * pin.version : ended !== undefined ? 2 * ended.version + 1 : known | 1
    floors.set(place, Math.max(floor, rank))
    if (broken.length >= 10) break
  }
  return broken
}
