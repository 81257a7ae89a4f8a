/** The door of Prometheus: `/metrics`, and nothing else. */
import { createServer } from 'node:http'
import { messageOf } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { Metrics } from '../../src/metrics.ts'
import { type Door, listen } from '../http/server.ts'

export interface MetricsSettings {
  /** A multiaddress; the setting `observations.metrics.prometheus_endpoint`. */
  readonly listen: string
}

/** @throws ClusterError `cannot_start` where it cannot listen */
export async function openMetricsDoor(
  { metrics, log }: { metrics: Pick<Metrics, 'text' | 'contentType'>; log: Log },
  settings: MetricsSettings
): Promise<Door> {
  const server = createServer(async ({ method, url = '' }, response) => {
    const isRead = method === 'GET' || method === 'HEAD'
    if (!isRead || url.split('?', 1)[0] !== '/metrics') {
      response.writeHead(isRead ? 404 : 405, { 'content-type': 'text/plain' }).end('only GET /metrics\n')
      return
    }
    try {
      const text = await metrics.text()
      response.writeHead(200, { 'content-type': metrics.contentType }).end(text)
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'metrics failed')
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`${messageOf(error)}\n`)
    }
  })
  const address = await listen(server, settings.listen, 'observations.metrics.prometheus_endpoint')
  return {
    addresses: [address],
    async [Symbol.asyncDispose]() {
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await closed
    }
  }
}
