import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { inline } from '../support/cids.ts'
import type { TestHost } from '../support/host.ts'
import { TestHosts } from '../support/hosts.ts'
import { until } from '../support/until.ts'

test('a peer that is told to reads its timeouts again while it runs, and a file with a mistake changes nothing', async () => {
  await using world = await TestHosts.open('a')
  const [a] = world.hosts as [TestHost]
  await a.run('flotilla init')
  await a.start()
  await using client = a.client()
  const file = join(a.folder, 'service.json')
  const before = await readFile(file, 'utf8')
  await writeFile(file, before.replace('"heartbeat_timeout": "1s"', '"heartbeat_timeout": "2s"'))
  process.kill(a.pid, 'SIGUSR2')
  await until('it has read them', () => /"electionMs":2000,.*"msg":"timeouts read again"/.test(a.log))
  await client.pin(inline('at another pace'))
  await writeFile(file, '{')
  process.kill(a.pid, 'SIGUSR2')
  await until('it has tried', () => /service\.json.*"msg":"timeouts stay as they are"/.test(a.log))
  await client.pin(inline('at the same pace'))
})
