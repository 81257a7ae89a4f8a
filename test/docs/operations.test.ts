/** Every command of docs/operations.md, in its order, on machines that share nothing but the operator's desk. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { TestHost } from '../support/host.ts'
import { freeBase } from '../support/local-cluster.ts'
import { until } from '../support/until.ts'

const page = resolve(import.meta.dirname, '../../docs/operations.md')

interface Block {
  readonly line: number
  readonly host: string
  readonly script: string
  /** The text that shows that it is done: the commands are repeated until they say it. */
  readonly until: string | undefined
  readonly isDaemon: boolean
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```sh(.*)\n([\s\S]*?)^```$/gm)].map(({ 1: words = '', 2: script = '', index }) => ({
    line: text.slice(0, index).split('\n').length,
    host: /host=(\w+)/.exec(words)?.[1] ?? 'a',
    script: script.trim(),
    until: /until="([^"]+)"/.exec(words)?.[1],
    isDaemon: /\bdaemon\b/.test(words)
  }))
}

test('the page of operations works as it stands', async () => {
  const blocks = blocksOf(await readFile(page, 'utf8'))
  assert.ok(blocks.length > 20)
  const desk = await mkdtemp(join(tmpdir(), 'flotilla-operations-'))
  const names = [...new Set(blocks.map(({ host }) => host))]
  const port = await freeBase(names.length)
  const hosts = new Map<string, TestHost>()
  try {
    for (const [at, name] of names.entries()) hosts.set(name, await TestHost.open(name, { desk, port: port + 10 * at }))
    let said = ''
    for (const block of blocks) said = (await follow(block, hosts, said)) ?? said
  } finally {
    for (const host of hosts.values()) await host[Symbol.asyncDispose]()
    await rm(desk, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
})

/** @param said by the commands before: what the reader has to fill in, he has seen there */
async function follow(block: Block, hosts: ReadonlyMap<string, TestHost>, said: string): Promise<string | undefined> {
  const host = hosts.get(block.host)
  assert.ok(host)
  const [, place = 'TERM/INDEX'] = /--accept-data-loss (\d+\/\d+)/.exec(said) ?? []
  const script = block.script
    .replace('TERM/INDEX', place)
    .replace('ADDRESS', hosts.get('a')?.address ?? '')
    .replace('PEER', /^c {2}(\S+)/m.exec(said)?.[1] ?? 'PEER')
  const at = `docs/operations.md, line ${block.line}, on ${block.host}`
  if (block.isDaemon) {
    const [, words = ''] = /^flotilla daemon(.*)$/.exec(script) ?? []
    await host.start(...words.split(' ').filter(word => word !== ''))
    return undefined
  }
  const run = async () => {
    const outcome = await host.run(script)
    if (block.until === undefined) assert.equal(outcome.code, 0, `${at}: ${outcome.out}${outcome.err}`)
    return outcome.out + outcome.err
  }
  let text = await run()
  if (block.until !== undefined) {
    await until(`${at} says "${block.until}"`, async () => (text.includes(block.until ?? '') ? true : void (text = await run())), 40_000)
  }
  // What a signal was sent to ends in its own time.
  if (/^kill (-9 )?"/.test(script)) await host.ended()
  return text
}
