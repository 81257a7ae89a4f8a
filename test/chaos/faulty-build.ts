/** Loaded into a peer before the program: one of the bugs on purpose of the simulation, in a real daemon. `?mutation=NAME` says which. */
import { registerHooks } from 'node:module'
import { mutated } from '../sim/mutated.ts'
import { mutations } from '../sim/mutations.ts'

const name = new URL(import.meta.url).searchParams.get('mutation')
const mutation = mutations.find(mutation => mutation.name === name)
if (mutation === undefined) throw new Error(`there is no mutation ${name}`)
const wrong = new URL(`../../cluster/${mutation.file}.ts`, import.meta.url).href

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    return url === wrong ? { ...loaded, source: mutated(String(loaded.source), mutation) } : loaded
  }
})
