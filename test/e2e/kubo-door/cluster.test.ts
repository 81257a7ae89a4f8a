/** The door in front of one of three peers: what it tells of the others. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { parseCid, parsePeerId } from '../../../src/codec.ts'
import { isFault } from '../../../src/errors.ts'
import { TestKubo } from '../../support/kubo.ts'
import { call } from '../../support/kubo-door.ts'
import { LocalCluster } from '../../support/local-cluster.ts'
import { until } from '../../support/until.ts'

interface Progress {
  readonly Progress?: number
  readonly Bytes?: number
  readonly Pins?: readonly string[]
}

describe('one door of three', () => {
  let cluster: LocalCluster
  /** Knows nobody. */
  let source: TestKubo
  const owned = new AsyncDisposableStack()
  before(async () => {
    cluster = owned.use(await LocalCluster.start({ peers: 3 }))
    source = owned.use(await TestKubo.start())
  })
  after(() => owned.disposeAsync())

  const door = () => {
    const [, port] = /\/tcp\/(\d+)/.exec(cluster.peer(0).door) ?? []
    return { url: `http://127.0.0.1:${port}` }
  }

  /** A file in four leaves that no peer has: its root, and the blocks, which are given to a peer one by one. */
  async function unknownFile(content: string): Promise<UnknownFile> {
    const form = new FormData()
    form.append('file', new Blob([Buffer.alloc(1 << 20, `${content} `.repeat(997))]))
    const root = (JSON.parse((await source.call('add?pin=false&cid-version=1&chunker=size-262144', form)).text) as { Hash: string }).Hash
    const refs = (await source.call(`refs?arg=${root}`)).text.trim().split('\n')
    const blocks = [root, ...refs.map(line => (JSON.parse(line) as { Ref: string }).Ref)]
    const give = async (peer: number, ...numbers: readonly number[]) => {
      for (const number of numbers) {
        const answer = await fetch(`${source.url}/api/v0/block/get?arg=${blocks[number]}`, { method: 'POST' })
        const block = new FormData()
        // The same CID, or a Kubo that looks for it does not notice.
        const codec = number === 0 ? 'dag-pb' : 'raw'
        block.append('data', new Blob([await answer.arrayBuffer()]))
        const put = await fetch(`${cluster.peer(peer).kubo}/api/v0/block/put?cid-codec=${codec}&pin=false`, {
          method: 'POST',
          body: block
        })
        assert.equal(put.status, 200, await put.text())
      }
    }
    return { root, blocks, give }
  }

  test('progress is that of the peer which fetches, also where this one holds nothing', { timeout: 90_000 }, async () => {
    const { root, give } = await unknownFile('elsewhere')
    await using client = cluster.client(0)
    const elsewhere = parsePeerId(cluster.peer(1).id)
    await client.pin(parseCid(root), { replicationMin: 1, replicationMax: 1, userAllocations: [elsewhere] })
    assert.deepEqual((await client.allocation(parseCid(root))).allocations, [elsewhere])
    const answer = await fetch(`${door().url}/api/v0/pin/add?arg=${root}&progress=true`, { method: 'POST' })
    const lines: Progress[] = []
    const reading = (async () => {
      let rest = ''
      for await (const chunk of answer.body ?? []) {
        const parts = (rest + Buffer.from(chunk).toString()).split('\n')
        rest = parts.pop() ?? ''
        lines.push(...parts.map(part => JSON.parse(part) as Progress))
      }
    })()
    await give(1, 0, 1, 2)
    await until('three nodes are told', () => lines.some(line => line.Progress === 3), 30_000)
    assert.ok((lines.find(line => line.Progress === 3)?.Bytes ?? 0) > 2 * (256 << 10))
    await give(1, 3, 4)
    await reading
    const told = lines.map(line => line.Progress ?? 0)
    assert.deepEqual(
      told.slice(0, -1),
      told.slice(0, -1).toSorted((a, b) => a - b),
      'never less than before'
    )
    assert.equal(lines.at(-2)?.Progress, 5)
    assert.ok((lines.at(-2)?.Bytes ?? 0) > 1 << 20)
    assert.deepEqual(lines.at(-1), { Pins: [root] })
    assert.ok(await cluster.hasPin(1, root))
    assert.ok(!(await cluster.hasPin(0, root)))
  })

  test('a pin whose client leaves is taken back on every peer, and fetched nowhere', { timeout: 60_000 }, async () => {
    const { root } = await unknownFile('nobody waits')
    const leaving = new AbortController()
    const answer = call(door(), `pin/add?arg=${root}`, { signal: leaving.signal }).catch(() => {})
    await using client = cluster.client(2)
    await until('it is agreed', () => client.allocation(parseCid(root)).catch(() => undefined))
    leaving.abort()
    await answer
    await until('it is gone', () =>
      client.allocation(parseCid(root)).then(
        () => false,
        error => isFault(error, 'not_pinned')
      )
    )
    for (const { kubo } of cluster.peers) {
      await until('no Kubo looks for it', async () => {
        const commands = (await (await fetch(`${kubo}/api/v0/diag/cmds`, { method: 'POST' })).json()) as readonly Command[]
        return !commands.some(({ Active, Command }) => Active && Command === 'pin/add')
      })
    }
  })

  test('sizes are sums over all peers, and a collection is everywhere and spares what is pinned', { timeout: 90_000 }, async () => {
    const own = await Promise.all(
      cluster.peers.map(async ({ kubo }) => (await (await fetch(`${kubo}/api/v0/repo/stat`, { method: 'POST' })).json()) as Stat)
    )
    const sum = JSON.parse((await call(door(), 'repo/stat')).text) as Stat
    assert.equal(
      sum.NumObjects,
      own.reduce((all, { NumObjects }) => all + NumObjects, 0)
    )
    assert.ok(sum.StorageMax >= own.reduce((all, { StorageMax }) => all + StorageMax, 0))
    const { blocks, give } = await unknownFile('litter')
    await give(2, 1)
    const kept = await unknownFile('kept')
    await kept.give(0, 0, 1, 2, 3, 4)
    assert.equal((await call(door(), `pin/add?arg=${kept.root}&flotilla-wait=all`)).status, 200)
    const lines = (await call(door(), 'repo/gc')).text.trim().split('\n')
    const removed = lines.map(line => (JSON.parse(line) as { Key: { '/': string } }).Key['/'])
    assert.ok(removed.length >= 1)
    const left = await (await fetch(`${cluster.peer(2).kubo}/api/v0/block/stat?offline=true&arg=${blocks[1]}`, { method: 'POST' })).text()
    assert.match(left, /could not find/)
    for (const peer of [0, 1, 2]) assert.ok(await cluster.hasPin(peer, kept.root))
  })

  test('files of one Kubo are replicated by pinning their root', { timeout: 60_000 }, async () => {
    const form = new FormData()
    form.append('data', new Blob(['kept in MFS']))
    assert.equal((await call(door(), 'files/write?arg=/a&create=true', { body: form })).status, 200)
    const { Hash } = JSON.parse((await call(door(), 'files/stat?arg=/&hash=true')).text) as { Hash: string }
    assert.equal((await call(door(), `pin/add?arg=${Hash}&name=my-files&flotilla-wait=all`)).status, 200)
    for (const peer of [0, 1, 2]) assert.ok(await cluster.hasPin(peer, Hash))
  })

  test('a peer that is down is told of in the trailer of a collection, and missing in a sum', { timeout: 60_000 }, async () => {
    await cluster.kill(2)
    const { status, text } = await call(door(), 'repo/gc?stream-errors=true')
    assert.equal(status, 200)
    assert.match(text, new RegExp(`\\{"Key":null,"Error":"${cluster.peer(2).id}: `))
    assert.equal((await call(door(), 'repo/stat')).status, 200)
  })
})

interface UnknownFile {
  readonly root: string
  /** The root, and then the leaves. */
  readonly blocks: readonly string[]
  readonly give: (peer: number, ...blocks: readonly number[]) => Promise<void>
}

interface Command {
  readonly Active: boolean
  readonly Command: string
}

interface Stat {
  readonly NumObjects: number
  readonly StorageMax: number
}
