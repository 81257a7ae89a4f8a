/** From the unchanged `ipfs` program to copies on three real Kubos. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { create } from 'kubo-rpc-client'
import { parseCid } from '../../src/codec.ts'
import { LocalCluster } from '../support/local-cluster.ts'
import { until } from '../support/until.ts'

const everywhere = async (cluster: LocalCluster, cid: string, isPinned: boolean) =>
  until(`${cid} ${isPinned ? 'on' : 'off'} all Kubos`, async () =>
    (await Promise.all([0, 1, 2].map(number => cluster.hasPin(number, cid)))).every(has => has === isPinned)
  )

describe('a cluster of three', () => {
  let cluster: LocalCluster
  before(async () => {
    cluster = await LocalCluster.start()
  })
  after(async () => {
    await cluster[Symbol.asyncDispose]()
  })

  for (const number of [0, 1, 2]) {
    test(`ipfs add, pin ls and pin rm through door ${number} reach every Kubo`, async () => {
      const file = join(cluster.dir, `file-${number}`)
      await writeFile(file, `content of door ${number}`)
      const cid = (await cluster.ipfs(number, 'add', '-Q', file)).trim()
      await everywhere(cluster, cid, true)
      assert.match(await cluster.ipfs((number + 1) % 3, 'pin', 'ls', '--type=recursive'), new RegExp(`${cid} recursive`))
      assert.equal(await cluster.ipfs(number, 'pin', 'rm', cid), `unpinned ${cid}\n`)
      await everywhere(cluster, cid, false)
    })

    test(`ipfs pin add of a CIDv0, a CIDv1 and a path through door ${number} reaches every Kubo`, async () => {
      const file = join(cluster.dir, `pin-${number}`)
      await writeFile(file, `to be pinned at ${number}`)
      const old = (await cluster.ipfs(number, 'add', '-Q', '--pin=false', file)).trim()
      assert.match(old, /^Qm/)
      assert.equal(await cluster.ipfs(number, 'pin', 'add', '--progress', '--name', 'a name', old), `pinned ${old} recursively\n`)
      await everywhere(cluster, old, true)
      assert.match(await cluster.ipfs(number, 'pin', 'ls', '--names', old), /recursive a name/)
      const modern = (await cluster.ipfs(number, 'add', '-Q', '--pin=false', '--cid-version=1', file)).trim()
      assert.match(modern, /^baf/)
      await cluster.ipfs(number, 'pin', 'add', modern)
      await everywhere(cluster, modern, true)
      const folder = (await cluster.ipfs(number, 'add', '-Q', '-w', '--pin=false', file)).trim()
      assert.match(await cluster.ipfs(number, 'pin', 'add', `/ipfs/${folder}/pin-${number}`), new RegExp(old))
      await cluster.ipfs(number, 'pin', 'rm', old, modern)
      await everywhere(cluster, old, false)
    })
  }

  test('what does not pin passes through: cat, dag get, files ls, id, swarm peers', async () => {
    const file = join(cluster.dir, 'passed')
    await writeFile(file, 'passed through')
    const cid = (await cluster.ipfs(0, 'add', '-Q', file)).trim()
    assert.equal(await cluster.ipfs(1, 'cat', cid), 'passed through')
    assert.match(await cluster.ipfs(0, 'dag', 'get', cid), /"Data"|Links/)
    await cluster.ipfs(0, 'files', 'cp', `/ipfs/${cid}`, '/passed')
    assert.equal(await cluster.ipfs(0, 'files', 'ls', '/'), 'passed\n')
    assert.match(await cluster.ipfs(0, 'id'), /"ID"/)
    assert.equal((await cluster.ipfs(0, 'swarm', 'peers')).trim().split('\n').length, 2)
  })

  test('kubo-rpc-client works through the door', async () => {
    const [, , ip, , port] = cluster.peer(2).door.split('/')
    const kubo = create({ url: `http://${ip}:${port}` })
    const { cid } = await kubo.add('by the client', { pin: true })
    await everywhere(cluster, cid.toString(), true)
    const listed: string[] = []
    for await (const pin of kubo.pin.ls({ type: 'recursive' })) listed.push(pin.cid.toString())
    assert.ok(listed.includes(cid.toString()))
    await kubo.pin.rm(cid)
    await everywhere(cluster, cid.toString(), false)
    await assert.rejects(kubo.pin.rm(cid), /not pinned or pinned indirectly/)
  })

  test('bad input through the door is answered in the words of Kubo', async () => {
    await assert.rejects(cluster.ipfs(0, 'pin', 'add', 'nonsense'), /invalid path/)
    await assert.rejects(cluster.ipfs(0, 'pin', 'ls', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG'), /is not pinned/)
    await assert.rejects(cluster.ipfs(0, 'pin', 'rm', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG'), /not pinned or pinned indirectly/)
  })

  test('a page of another origin may not pin through the door', async () => {
    const [, , ip, , port] = cluster.peer(0).door.split('/')
    const url = `http://${ip}:${port}/api/v0/pin/add?arg=QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG`
    assert.equal((await fetch(url, { method: 'POST', headers: { origin: 'http://evil.example' } })).status, 403)
    assert.equal((await fetch(url, { method: 'GET' })).status, 405)
  })

  test('a Kubo that dies: pins are accepted and wait, status says why, pass-through answers 502', async () => {
    const pid = Number(await (await import('node:fs/promises')).readFile(join(cluster.peer(1).kuboDir, 'pid'), 'utf8'))
    await using client = cluster.client(1)
    const cid = parseCid('bafkqablimvwgy3y')
    process.kill(pid, 'SIGSTOP')
    process.kill(pid, 'SIGKILL')
    await client.pin(cid)
    const word = await until('status says why', async () => {
      const { problems } = await client.overview()
      return problems.find(problem => /peer-1.*Kubo does not answer/.test(problem))
    })
    assert.match(word, /pins wait/)
    const [, , ip, , port] = cluster.peer(1).door.split('/')
    const answer = await fetch(`http://${ip}:${port}/api/v0/id`, { method: 'POST' })
    assert.equal(answer.status, 502)
    assert.equal(((await answer.json()) as { Type: string }).Type, 'error')
  })
})
