/** What the package offers to programs: the typed client of the REST API, its nouns and its faults. */

export type { ClusterApi } from './api.ts'
export { FlotillaClient } from './client.ts'
export { parseCid, parseMultiaddr, parsePeerId, parseTarget } from './codec.ts'
export { ClusterError, type Fault, isFault } from './errors.ts'
export type * from './types.ts'
