/** Opens what clients reach: the REST API, the Kubo door, and what Prometheus reads. All or none. */
import type { ClusterApi } from '../src/api.ts'
import type { Log } from '../src/log.ts'
import type { Metrics } from '../src/metrics.ts'
import type { Door } from './http/server.ts'
import { type KuboDoorSettings, openKuboDoor } from './kubo/door.ts'
import { type MetricsSettings, openMetricsDoor } from './metrics/door.ts'
import { openRestDoor, type RestSettings } from './rest/door.ts'

export type { WaitFor } from './kubo/door.ts'
export type { CorsSettings } from './rest/cors.ts'
export { defaultCors } from './rest/cors.ts'

export interface DoorsSettings {
  /** `null` leaves a door closed. */
  readonly rest: RestSettings | null
  readonly kubo: KuboDoorSettings | null
  readonly metrics: MetricsSettings | null
}

export interface Doors extends AsyncDisposable {
  /** Multiaddresses with their real ports. */
  readonly rest: readonly string[]
  readonly kubo: readonly string[]
}

/** @throws ClusterError `cannot_start` where one cannot listen; nothing is left open then */
export async function openDoors(parts: { api: ClusterApi; log: Log; metrics: Metrics | null }, settings: DoorsSettings): Promise<Doors> {
  await using opened = new AsyncDisposableStack()
  const { metrics, log } = parts
  if (settings.metrics && metrics) opened.use(await openMetricsDoor({ metrics, log }, settings.metrics))
  const rest: Door | null = opened.use(settings.rest && (await openRestDoor(parts, settings.rest)))
  const kubo: Door | null = opened.use(settings.kubo && (await openKuboDoor({ ...parts, metrics: metrics ?? undefined }, settings.kubo)))
  const owned = opened.move()
  return { rest: rest?.addresses ?? [], kubo: kubo?.addresses ?? [], [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
