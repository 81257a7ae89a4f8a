/** What npm installs: compiled, without the sources, and started by its own bin. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { until } from './support/until.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..')

describe('the package', () => {
  let folder = ''
  let bin = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flotilla-package-'))
    await run(join(root, 'node_modules/.bin/tsc'), ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')])
    const { files, bin: bins, exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    assert.ok(files.includes('dist') && files.includes(bins.flotilla))
    for (const file of [bins.flotilla, 'package.json']) {
      await mkdir(dirname(join(folder, file)), { recursive: true })
      await copyFile(join(root, file), join(folder, file))
    }
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    bin = join(folder, bins.flotilla)
    for (const target of Object.values(exports['.'] as Record<string, string>)) await readFile(join(folder, target))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('its program tells its version', async () => {
    const { stdout } = await run(process.execPath, [bin, '--version'])
    assert.equal(stdout.trim(), JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version)
  })

  test('its daemon starts and stops', async () => {
    const anywhere = '/ip4/127.0.0.1/tcp/0'
    const env = {
      ...process.env,
      FLOTILLA_PATH: join(folder, 'peer'),
      CLUSTER_LISTENMULTIADDRESS: anywhere,
      CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: anywhere,
      CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: anywhere
    }
    await run(process.execPath, [bin, 'init'], { env })
    const daemon = spawn(process.execPath, [bin, 'daemon'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
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
