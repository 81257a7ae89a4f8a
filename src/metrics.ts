/**
 * Figures for Prometheus. Those that ipfs-cluster has too carry its names, so that its boards and alarms go on; ours begin with `flotilla_`.
 *
 * @see https://prometheus.io/docs/practices/naming/
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { ClusterApi } from './api.ts'
import type { Overview } from './types.ts'

export class Metrics {
  readonly #registry = new Registry()
  readonly #unreplicated: Counter<'command' | 'fate'>

  constructor({ api }: { api: Pick<ClusterApi, 'overview'> }) {
    const registers = [this.#registry]
    this.#unreplicated = new Counter({
      name: 'flotilla_unreplicated_pinning_calls_total',
      help: 'Calls of commands that pin on one node only, through the Kubo door, by what became of them',
      // Names come from the list of Kubo's commands: they are few.
      labelNames: ['command', 'fate'],
      registers
    })
    const gauge = (name: string, help: string, read: (overview: Overview) => number) =>
      new Gauge({
        name: `ipfscluster_${name}`,
        help,
        registers,
        async collect() {
          this.set(read(await api.overview()))
        }
      })
    const own = ({ peers, answeredBy }: Overview) => peers.find(({ id }) => id === answeredBy)
    gauge('pins', 'Pins that the cluster has agreed on', ({ pins }) => pins)
    gauge('pins_pin_queued', 'Pins that wait on this peer', overview => own(overview)?.queued ?? 0)
    gauge('pins_pinning', 'Pins that the Kubo of this peer works on', overview => own(overview)?.pinning ?? 0)
    gauge('pins_pin_error', 'Pins that failed on this peer', overview => own(overview)?.failed ?? 0)
  }

  /** A client used a command that the door cannot replicate. */
  countUnreplicated(command: string, fate: 'passed' | 'refused'): void {
    this.#unreplicated.inc({ command, fate })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** As Prometheus reads it. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
