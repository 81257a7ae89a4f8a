import assert from 'node:assert/strict'
import { test } from 'node:test'
import { humanSize } from '../../../proxy/kubo/repository.ts'
import { call, openTestKuboDoor, ScriptedKubo, says } from '../../support/kubo-door.ts'
import { ipnsTarget, MemoryCluster, memoryPeers } from '../../support/memory-cluster.ts'

const own = { RepoSize: 500, StorageMax: 10_000, NumObjects: 3, RepoPath: '/data', Version: 'fs-repo@18' }

test('sizes are sums over the peers that answer, and never more than no limit', async () => {
  await using kubo = await ScriptedKubo.start({ 'repo/stat': says(own) })
  await using door = await openTestKuboDoor(new MemoryCluster(), kubo)
  for (const command of ['repo/stat', 'stats/repo']) {
    const { text } = await call(door, command)
    const sums = '{"RepoSize":1500,"StorageMax":18446744073709551615,"NumObjects":13,"RepoPath":"/data","Version":"fs-repo@18"}\n'
    assert.equal(text, sums)
  }
  const text = await call(door, 'repo/stat?encoding=text&human=true')
  assert.equal(text.text, 'NumObjects: 13\nRepoSize:   1.5 kB\nStorageMax: 18 EB\nRepoPath:   /data\nVersion:    fs-repo@18\n')
  assert.match((await call(door, 'repo/stat?encoding=xml')).text, /^<Stat><RepoSize>1500<.*<Version>fs-repo@18<\/Version><\/Stat>$/)
})

test('a peer that is not in a sum is named, and the sum does not wait for it for long', async () => {
  const cluster = new MemoryCluster()
  const sizes = cluster.repositories.bind(cluster)
  const limits: (number | undefined)[] = []
  cluster.repositories = options => {
    limits.push(options?.limitMs)
    return sizes(options)
  }
  await using kubo = await ScriptedKubo.start({ 'repo/stat': says(own) })
  await using door = await openTestKuboDoor(cluster, kubo)
  const { headers } = await call(door, 'repo/stat')
  assert.equal(headers.get('x-flotilla-missing'), memoryPeers[2])
  assert.ok(
    limits.every(limitMs => limitMs !== undefined && limitMs >= 5_000 && limitMs < 60_000),
    `${limits}`
  )
  cluster.repositories = async function* (options) {
    for await (const size of sizes(options)) if (size.error === '') yield size
  }
  assert.equal((await call(door, 'repo/stat')).headers.get('x-flotilla-missing'), null)
})

test('sums of one peer are for a setting to ask for', async () => {
  await using kubo = await ScriptedKubo.start({ 'repo/stat': says(own), 'repo/gc': says({ Key: { '/': 'own' } }) })
  await using door = await openTestKuboDoor(new MemoryCluster(), kubo, { sums: 'local' })
  assert.deepEqual(JSON.parse((await call(door, 'repo/stat')).text), own)
  assert.equal((await call(door, 'repo/gc')).text, '{"Key":{"/":"own"}}\n')
})

test('everybody collects; who cannot is told of at the end', async () => {
  await using kubo = await ScriptedKubo.start()
  await using door = await openTestKuboDoor(new MemoryCluster(), kubo)
  const key = `{"Key":{"/":"${ipnsTarget}"}}\n`
  // An answer of status 200, broken off by the trailer that this client cannot read.
  assert.deepEqual(await call(door, 'repo/gc').then(({ status, text }) => [status, text]), [200, key + key])
  const { text } = await call(door, 'repo/gc?stream-errors=true')
  assert.equal(text, `${key}${key}{"Key":null,"Error":"${memoryPeers[2]}: connection refused"}\n`)
  assert.equal((await call(door, 'repo/gc?silent=true')).text, '')
  assert.match(
    (await call(door, 'repo/gc?encoding=text&stream-errors=')).text,
    /^removed bafy.*\nremoved bafy.*\nError: Qm.*: connection refused\n$/
  )
})

test('sizes for people are those of Kubo', () => {
  const shown = [0n, 9n, 10n, 999n, 1_000n, 20_814n, 82_854_982n, 10_000_000_000n, 2n ** 64n - 1n].map(humanSize)
  assert.deepEqual(shown, ['0 B', '9 B', '10 B', '999 B', '1.0 kB', '21 kB', '83 MB', '10 GB', '18 EB'])
})
