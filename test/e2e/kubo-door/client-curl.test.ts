/** curl, at Kubo and at the door: heads, bodies, and its own exit code. */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { neutral, startTwins, type Twins } from './twins.ts'

const curl = (() => {
  try {
    return execFileSync('curl', ['--version'], { encoding: 'utf8' }).split('\n')[0]
  } catch {
    return undefined
  }
})()
if (curl === undefined) console.warn('SKIPPED: curl is not installed')

describe('curl cannot tell the door from Kubo', { skip: curl === undefined ? 'curl is not installed' : false }, () => {
  let twins: Twins
  let folder: string
  before(async () => {
    twins = await startTwins()
    folder = await mkdtemp(join(tmpdir(), 'flotilla-curl-'))
    await writeFile(join(folder, 'file'), 'a file for curl')
    await writeFile(join(folder, 'long'), Buffer.alloc(3 << 20, 'long'))
  })
  after(async () => {
    await twins?.[Symbol.asyncDispose]()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  const asked = (port: number, words: readonly string[]) =>
    new Promise<{ code: number; stdout: string }>(resolve => {
      const full = words.map(word => word.replace('{url}', `http://127.0.0.1:${port}`).replaceAll('{folder}', folder))
      execFile('curl', ['-s', '-m', '30', ...full], { encoding: 'latin1', maxBuffer: 64 << 20 }, (error, stdout) =>
        resolve({ code: error ? Number(error.code) : 0, stdout: neutral(stdout, twins).replace(/^Date: .*\r\n/gim, '') })
      )
    })
  const both = async (words: readonly string[]) => {
    const direct = await asked(twins.plain.rpc, words)
    assert.deepEqual(await asked(twins.daemon.port, words), direct)
    return direct
  }

  const url = (path: string) => `{url}/api/v0/${path}`
  const lines: Readonly<Record<string, (content: Twins['content']) => readonly string[]>> = {
    'a command': () => ['-i', '-X', 'POST', url('version')],
    'GET is refused': () => ['-i', url('version')],
    'HTTP/1.0': () => ['-i', '--http1.0', '-X', 'POST', url('version')],
    'a pin': ({ small }) => ['-i', '-X', 'POST', url(`pin/add?arg=${small}`)],
    'a pin over HTTP/1.0': ({ small }) => ['-i', '--http1.0', '-X', 'POST', url(`pin/ls?arg=${small}`)],
    'a file': () => ['-F', 'file=@{folder}/file', url('add')],
    'two files': () => ['-F', 'file=@{folder}/file', '-F', 'file=@{folder}/long;filename=other', url('add?cid-version=1')],
    'a chunked file': () => ['-H', 'Transfer-Encoding: chunked', '-F', 'file=@{folder}/file', url('add?pin-name=chunked')],
    'a file with Expect': () => ['-H', 'Expect: 100-continue', '-F', 'file=@{folder}/long', url('add?quieter=true')],
    'a block': () => ['-F', 'file=@{folder}/file', url('block/put?pin=true')],
    'a download': ({ large }) => ['-X', 'POST', url(`cat?arg=${large}`)],
    'a download that breaks': ({ broken }) => ['-i', '--raw', '-X', 'POST', url(`cat?arg=${broken}&offline=true`)],
    'two calls on one connection': () => ['-X', 'POST', url('version'), '--next', '-s', '-X', 'POST', url('id')],
    OPTIONS: () => ['-i', '-X', 'OPTIONS', url('version')],
    'a redirect that is followed': () => ['-i', '-L', '-X', 'POST', '{url}/api/v0//version'],
    'a path as it is': () => ['-i', '--path-as-is', '-X', 'POST', '{url}/api/v0/x/../version']
  }
  for (const [name, words] of Object.entries(lines)) test(name, async () => void (await both(words(twins.content))))
})
