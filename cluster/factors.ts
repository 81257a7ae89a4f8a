/** How many copies a pin gets: what it asks for, else the configuration's. */
import { ClusterError } from '../src/errors.ts'

export interface Factors {
  readonly min: number
  readonly max: number
}

/**
 * Checks in the order and with the words of ipfs-cluster, whose clients show them.
 * @throws ClusterError `invalid`
 */
export function factorsOf(
  { replicationMin, replicationMax }: { readonly replicationMin?: number; readonly replicationMax?: number },
  defaults: Factors
): Factors {
  const min = replicationMin || defaults.min
  const max = replicationMax || defaults.max
  if (max !== -1 && min > max) invalid('cluster.replication_factor_min is larger than max')
  if (min < -1) invalid('cluster.replication_factor_min is wrong')
  if (max < -1) invalid('cluster.replication_factor_max is wrong')
  if ((min === -1) !== (max === -1)) invalid('cluster.replication_factor_min and max must be -1 when one of them is')
  return { min, max }
}

function invalid(message: string): never {
  throw new ClusterError({ code: 'invalid' }, message)
}
