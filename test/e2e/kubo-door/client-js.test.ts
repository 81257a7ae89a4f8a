/** kubo-rpc-client, at Kubo and at the door: what it returns and what it throws. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { create, type KuboRPCClient } from 'kubo-rpc-client'
import { CID } from 'multiformats/cid'
import type { Content } from './case.ts'
import { nowhere } from './case.ts'
import { neutral, startTwins, type Twins } from './twins.ts'

type Call = (kubo: KuboRPCClient, content: Content & { readonly cid: (text: string) => CID }) => Promise<unknown> | AsyncIterable<unknown>

const calls: Readonly<Record<string, Call>> = {
  id: kubo => kubo.id(),
  version: kubo => kubo.version(),
  isOnline: kubo => kubo.isOnline(),
  commands: kubo => kubo.commands(),
  'add of a text': kubo => kubo.add('a text of the client'),
  'add with progress': async kubo => {
    let bytes = 0
    const added = await kubo.add(new Uint8Array(600_000).fill(7), { progress: done => (bytes = done) })
    return { added, bytes }
  },
  'add with options': kubo => kubo.add('options', { cidVersion: 1, rawLeaves: true, wrapWithDirectory: true, hashAlg: 'sha2-512' }),
  'add of a path': kubo => kubo.add({ path: 'a/b/c.txt', content: 'in a folder' }),
  'add without a pin': kubo => kubo.add('unpinned', { pin: false }),
  'add only for the hash': kubo => kubo.add('only a hash', { onlyHash: true }),
  addAll: kubo =>
    kubo.addAll([
      { path: 'one', content: '1' },
      { path: 'two', content: '2' }
    ]),
  'addAll wrapped': kubo =>
    kubo.addAll(
      [
        { path: 'one', content: '1w' },
        { path: 'two', content: '2w' }
      ],
      { wrapWithDirectory: true }
    ),
  'add with mode and mtime': kubo => kubo.add({ path: 'm', content: 'm', mode: 0o600, mtime: { secs: 5n, nsecs: 6 } }),
  'pin.add': (kubo, { small, cid }) => kubo.pin.add(cid(small)),
  'pin.add with a name': (kubo, { smallV1, cid }) => kubo.pin.add(cid(smallV1), { name: 'named' } as never),
  'pin.add of a path': (kubo, { folder }) => kubo.pin.add(`/ipfs/${folder}/a`),
  'pin.add of a direct one': (kubo, { node, cid }) => kubo.pin.add(cid(node), { recursive: false }),
  'pin.add in time': (kubo, { cid }) => kubo.pin.add(cid(nowhere), { timeout: 300 }),
  'pin.addAll': (kubo, { blocks, cid }) => kubo.pin.addAll(blocks.slice(0, 5).map(block => cid(block))),
  'pin.ls': kubo => kubo.pin.ls(),
  'pin.ls recursive': kubo => kubo.pin.ls({ type: 'recursive' }),
  'pin.ls direct': kubo => kubo.pin.ls({ type: 'direct' }),
  'pin.ls with names': kubo => kubo.pin.ls({ names: true } as never),
  'pin.ls of one': (kubo, { small, cid }) => kubo.pin.ls({ paths: [cid(small)] }),
  'pin.ls of none': kubo => kubo.pin.ls({ paths: nowhere }),
  'pin.rm': (kubo, { small, cid }) => kubo.pin.rm(cid(small)),
  'pin.rm again': (kubo, { small, cid }) => kubo.pin.rm(cid(small)),
  'pin.rmAll': (kubo, { blocks }) => kubo.pin.rmAll(blocks.slice(0, 2).map(path => ({ path }))),
  'pin.remote.service.ls': kubo => kubo.pin.remote.service.ls(),
  cat: (kubo, { large, cid }) => kubo.cat(cid(large), { offset: 262_100, length: 100 }),
  'cat in time': (kubo, { cid }) => kubo.cat(cid(nowhere), { timeout: 300 }),
  // A tar names the second it was made in, so its length is compared.
  get: async (kubo, { folder, cid }) => {
    let bytes = 0
    for await (const part of kubo.get(cid(folder))) bytes += part.length
    return bytes
  },
  ls: (kubo, { folder, cid }) => kubo.ls(cid(folder)),
  refs: (kubo, { folder, cid }) => kubo.refs(cid(folder), { recursive: true }),
  'refs.local': kubo => kubo.refs.local(),
  resolve: (kubo, { folder }) => kubo.resolve(`/ipfs/${folder}/inner/c`),
  'block.put': kubo => kubo.block.put(new TextEncoder().encode('block of the client')),
  'block.put pinned': kubo => kubo.block.put(new TextEncoder().encode('pinned block'), { pin: true }),
  'block.get': (kubo, { small, cid }) => kubo.block.get(cid(small)),
  'block.stat': (kubo, { small, cid }) => kubo.block.stat(cid(small)),
  'block.rm of what is not there': (kubo, { cid }) => kubo.block.rm(cid(nowhere)),
  'dag.put': kubo => kubo.dag.put({ of: 'the client' }),
  'dag.put pinned': kubo => kubo.dag.put({ pinned: 'by the client' }, { pin: true }),
  'dag.get': (kubo, { node, cid }) => kubo.dag.get(cid(node), { path: '/list/1' }),
  'dag.resolve': (kubo, { node, cid }) => kubo.dag.resolve(cid(node), { path: '/list/1' }),
  'dag.export': (kubo, { folder, cid }) => kubo.dag.export(cid(folder)),
  'dag.import': (kubo, { cars }) => kubo.dag.import([cars[0]]),
  'dag.import without pins': (kubo, { cars }) => kubo.dag.import([cars[1]], { pinRoots: false }),
  'dag.import of nonsense': kubo => kubo.dag.import([new Uint8Array(30)]),
  'files.write': kubo => kubo.files.write('/file', 'in MFS', { create: true }),
  'files.ls': kubo => kubo.files.ls('/'),
  'files.stat': kubo => kubo.files.stat('/file'),
  'files.read': kubo => kubo.files.read('/file'),
  'files.mkdir': kubo => kubo.files.mkdir('/a/b', { parents: true }),
  'files.mv': kubo => kubo.files.mv('/file', '/a/b/file'),
  'files.rm': kubo => kubo.files.rm('/a', { recursive: true }),
  'files.rm again': kubo => kubo.files.rm('/a', { recursive: true }),
  'files.flush': kubo => kubo.files.flush('/'),
  'repo.stat': kubo => kubo.repo.stat(),
  'repo.version': kubo => kubo.repo.version(),
  'stats.repo': kubo => kubo.stats.repo(),
  'config.get': kubo => kubo.config.get('Addresses.Gateway'),
  'config.getAll': kubo => kubo.config.getAll(),
  'config.set': kubo => kubo.config.set('Test.Client', 'value'),
  'config.profiles.apply': kubo => kubo.config.profiles.apply('nope'),
  'key.list': kubo => kubo.key.list(),
  'name.publish': (kubo, { small }) => kubo.name.publish(`/ipfs/${small}`, { allowOffline: true, resolve: false } as never),
  'swarm.peers': kubo => kubo.swarm.peers(),
  'swarm.localAddrs': kubo => kubo.swarm.localAddrs(),
  'bootstrap.list': kubo => kubo.bootstrap.list(),
  'bitswap.wantlist': kubo => kubo.bitswap.wantlist(),
  'pubsub.ls': kubo => kubo.pubsub.ls(),
  'log.ls': kubo => kubo.log.ls(),
  'repo.gc': kubo => kubo.repo.gc()
}

/** Lists that Kubo writes in no order. */
const unordered = /^(pin\.ls|refs\.local|repo\.gc|swarm\.localAddrs|config|log|commands)/

describe('kubo-rpc-client cannot tell the door from Kubo', () => {
  let twins: Twins
  before(async () => {
    twins = await startTwins()
  })
  after(() => twins?.[Symbol.asyncDispose]())

  for (const [name, call] of Object.entries(calls)) {
    test(name, async () => {
      const at = async (port: number) => {
        const kubo = create({ url: `http://127.0.0.1:${port}` })
        return neutral(await outcome(call(kubo, { ...twins.content, cid: CID.parse }), { isOrdered: !unordered.test(name) }), twins)
      }
      const direct = await at(twins.plain.rpc)
      assert.equal(await at(twins.daemon.port), direct)
    })
  }
})

/** As text, so that CIDs, bytes and big numbers compare. */
async function outcome(result: Promise<unknown> | AsyncIterable<unknown>, { isOrdered }: { isOrdered: boolean }): Promise<string> {
  try {
    if (!(Symbol.asyncIterator in Object(result))) {
      const value = await (result as Promise<unknown>)
      return written(isOrdered ? value : inOneOrder(value))
    }
    const items: string[] = []
    const parts: Uint8Array[] = []
    for await (const item of result as AsyncIterable<unknown>) {
      if (item instanceof Uint8Array) parts.push(item)
      else items.push(written(item))
    }
    // How bytes are cut into pieces is the network's.
    return [...(isOrdered ? items : items.sort()), Buffer.concat(parts).toString('latin1')].join('\n')
  } catch (error) {
    const { name, message } = error as Error
    return `threw ${name}: ${message}`
  }
}

function written(value: unknown): string {
  return String(
    JSON.stringify(value, (_key, inner) =>
      typeof inner === 'bigint' ? `${inner}n` : inner instanceof Uint8Array ? Buffer.from(inner).toString('latin1') : inner
    )
  )
}

/** Lists in lists too. */
function inOneOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOneOrder).sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1))
  if (value === null || typeof value !== 'object' || value.constructor !== Object) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inOneOrder(inner)]))
}
