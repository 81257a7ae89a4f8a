/** The code under test with one of the bugs on purpose in it: the line is changed while the module is loaded. */
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import { type Mutation, mutations } from './mutations.ts'

type WorldModule = typeof import('./world.ts')

const root = new URL('../../', import.meta.url).href
let isHooked = false

/** The simulation over the code as it is, or with one mutation: a copy of its modules in this process. @throws Error for an unknown name */
export async function loadWorld(name?: string): Promise<WorldModule> {
  if (name === undefined) return import('./world.ts')
  if (!mutations.some(mutation => mutation.name === name)) throw new Error(`there is no mutation ${name}`)
  hook()
  return (await import(`./world.ts?mutation=${name}`)) as WorldModule
}

/** Marks every module that a marked one imports, and changes the line in the one that is meant. */
function hook(): void {
  if (isHooked) return
  isHooked = true
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context)
      const mark = context.parentURL && new URL(context.parentURL).search
      if (!mark?.startsWith('?mutation=') || !isOurs(found.url)) return found
      return { ...found, url: found.url + mark }
    },
    load(url, context, next) {
      const loaded = next(url, context)
      const { search } = new URL(url)
      const mutation = search.startsWith('?mutation=') ? mutations.find(({ name }) => `?mutation=${name}` === search) : undefined
      if (mutation === undefined || !url.startsWith(`${root}cluster/${mutation.file}.ts?`)) return loaded
      return { ...loaded, source: mutated(String(loaded.source), mutation) }
    }
  })
}

/** @throws Error where the line is not there, or more than once */
export function mutated(source: string, { name, file, line, wrong }: Mutation): string {
  const parts = source.split(line)
  if (parts.length !== 2) throw new Error(`${name}: cluster/${file}.ts has ${parts.length - 1} places that read: ${line}`)
  return parts.join(wrong)
}

function isOurs(url: string): boolean {
  return url.startsWith(`${root}cluster/`) || url.startsWith(pathToFileURL(`${import.meta.dirname}/`).href)
}
