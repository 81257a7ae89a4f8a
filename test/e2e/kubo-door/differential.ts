/** Asks two sides the same things in the same order, and tells where they differ. */
import type { TestKubo } from '../../support/kubo.ts'
import { exchange } from '../../support/wire.ts'
import type { Case, Content } from './case.ts'
import { addingCases } from './cases/adding.ts'
import { commandCases } from './cases/commands.ts'
import { gateCases } from './cases/gate.ts'
import { pathCases } from './cases/paths.ts'
import { pinCases } from './cases/pins.ts'
import { uploadCases } from './cases/uploads.ts'
import { wireCases } from './cases/wire.ts'
import { compare, type Difference } from './compare.ts'

export interface Asked {
  /** A port, or the path of a socket. */
  readonly where: number | string
  /** The Kubo that answers in the end. */
  readonly kubo: TestKubo
}

/** In the order in which they are to run: later ones find what earlier ones left. Titles are unique. */
export function allCases(content: Content): readonly Case[] {
  const cases = [wireCases, pathCases, gateCases, pinCases, uploadCases, addingCases, commandCases].flatMap(of => of(content))
  const seen = new Map<string, number>()
  return cases.map(one => {
    const times = (seen.get(one.title) ?? 0) + 1
    seen.set(one.title, times)
    return times === 1 ? one : { ...one, title: `${one.title} (${times})` }
  })
}

export async function ask(one: Case, kubo: Asked, door: Asked, limitMs?: number): Promise<readonly Difference[]> {
  const [left, right] = await Promise.all(
    [kubo, door].map(({ where }) => exchange(where, { ...one, isLeft: one.varies?.includes('connection') }, limitMs))
  )
  if (left === undefined || right === undefined) throw new Error('two were asked')
  // Two that say nothing are the same, and nothing was learnt.
  if (left.answers.length === 0 && left.end === 'silent') throw new Error(`Kubo does not answer: ${one.title}`)
  return compare({ recording: left, own: ownOf(kubo) }, { recording: right, own: ownOf(door) }, one.varies)
}

function ownOf({ where, kubo }: Asked): readonly (readonly [string, string])[] {
  return [
    [kubo.folder, '{folder}'],
    [String(where), '{port}'],
    [String(kubo.rpc), '{port}'],
    [String(kubo.swarm), '{swarm}'],
    [String(kubo.gateway), '{gateway}']
  ]
}
