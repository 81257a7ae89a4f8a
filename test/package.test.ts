/** What npm installs: compiled, without the sources, and started by its own bin. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { type InstalledPackage, installPackage } from './support/package.ts'
import { until } from './support/until.ts'

const run = promisify(execFile)

describe('the package', () => {
  let installed: InstalledPackage
  before(async () => {
    installed = await installPackage()
  })
  after(() => installed?.[Symbol.asyncDispose]())

  test('it holds its program and what it offers to others', async () => {
    const { folder, manifest } = installed
    assert.ok(manifest.files.includes('dist') && manifest.files.includes(manifest.bin.flotilla))
    for (const target of Object.values(manifest.exports['.'])) await readFile(join(folder, target))
  })

  test('its program tells its version', async () => {
    const { stdout } = await run(process.execPath, [installed.program, '--version'])
    assert.equal(stdout.trim(), installed.manifest.version)
  })

  test('its daemon starts and stops', async () => {
    const anywhere = '/ip4/127.0.0.1/tcp/0'
    const env = {
      ...process.env,
      FLOTILLA_PATH: join(installed.folder, 'peer'),
      CLUSTER_LISTENMULTIADDRESS: anywhere,
      CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: anywhere,
      CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: anywhere
    }
    await run(process.execPath, [installed.program, 'init'], { env })
    const daemon = spawn(process.execPath, [installed.program, 'daemon'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [daemon.stdout, daemon.stderr]) stream.on('data', chunk => (output += chunk))
    const ended = new Promise<number | null>(resolve => daemon.on('exit', resolve))
    await until('it is ready', () => {
      assert.equal(daemon.exitCode, null, output)
      return output.includes('"msg":"ready"')
    })
    daemon.kill('SIGTERM')
    assert.equal(await ended, 0, output)
  })
})
