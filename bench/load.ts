/** Load of pins: distinct ones by so many clients at a time, for so long or so many; prints one JSON line. Run as a process of its own. SIGTERM ends it early. */
import { Agent, request } from 'node:http'
import { parseArgs } from 'node:util'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    path: { type: 'string', default: '/pins/{cid}?replication-min=-1&replication-max=-1' },
    clients: { type: 'string' },
    seconds: { type: 'string', default: '1000000' },
    count: { type: 'string', default: '1000000000' },
    tag: { type: 'string' }
  }
})
const url = new URL(values.url ?? '')
const clients = Number(values.clients)
const agent = new Agent({ keepAlive: true, maxSockets: clients })
// The content is in the CID, so that Kubo pins at once.
const cid = (index: number) => CID.create(1, 0x55, create(0, new TextEncoder().encode(`load-${values.tag}-${index}`))).toString()
const started = performance.now()
let end = started + Number(values.seconds) * 1_000
process.once('SIGTERM', () => (end = 0))
const latencies: number[] = []
let next = 0
let failed = 0
let firstFailure = ''

function pin(index: number): Promise<void> {
  const began = performance.now()
  return new Promise(resolve => {
    const fail = (reason: string) => {
      failed++
      firstFailure ||= reason
      resolve()
    }
    const outgoing = request(
      { host: url.hostname, port: url.port, method: 'POST', path: values.path.replace('{cid}', cid(index)), agent, timeout: 10_000 },
      answer => {
        answer.resume()
        answer.on('end', () => {
          if (answer.statusCode !== 200) return fail(`status ${answer.statusCode}`)
          latencies.push(performance.now() - began)
          resolve()
        })
      }
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer for ten seconds')))
    outgoing.on('error', error => fail(error.message))
    outgoing.end()
  })
}

await Promise.all(
  Array.from({ length: clients }, async () => {
    while (next < Number(values.count) && performance.now() < end) await pin(next++)
  })
)
const seconds = (performance.now() - started) / 1_000
latencies.sort((a, b) => a - b)
const at = (share: number) => Number((latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0).toFixed(1))
console.log(
  JSON.stringify({
    clients,
    pinned: latencies.length,
    failed,
    firstFailure,
    perSecond: Math.round(latencies.length / seconds),
    p50: at(0.5),
    p99: at(0.99),
    longest: at(1)
  })
)
agent.destroy()
