/** Every setting of the Kubo door, from the file to what a client sees. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'
import { parseMultiaddr } from '../../../src/codec.ts'
import { Secret } from '../../../src/secret.ts'
import { TestDaemon } from '../../support/daemon.ts'
import { freePorts, TestKubo } from '../../support/kubo.ts'
import { call, type Scripted, ScriptedKubo, says } from '../../support/kubo-door.ts'
import { until } from '../../support/until.ts'
import { nowhere } from './case.ts'

const kuboSecret = 'bearer:kubos-own-word'

/** What the daemon asks for at its start, from a Kubo that lets in only who has its secret. */
async function guardedKubo(): Promise<{ kubo: ScriptedKubo; strangers: string[] }> {
  const strangers: string[] = []
  const guarded =
    (script: Scripted): Scripted =>
    (request, response, query) => {
      if (request.headers.authorization === 'Bearer kubos-own-word') return script(request, response, query)
      strangers.push(`${request.url} ${request.headers.authorization}`)
      response.writeHead(403).end()
    }
  const option = (...Names: string[]) => ({ Names })
  const kubo = await ScriptedKubo.start(
    Object.fromEntries(
      Object.entries({
        id: says({ ID: '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN', Addresses: [] }),
        version: says({ Version: '0.42.0' }),
        'pin/ls': says(),
        'pin/future': says({ Pins: ['on one node'] }),
        'repo/stat': says({ RepoSize: 1, StorageMax: 2, NumObjects: 3, RepoPath: '/data', Version: 'fs-repo@18' }),
        commands: says({
          Name: 'ipfs',
          Subcommands: [{ Name: 'pin', Subcommands: [{ Name: 'add' }, { Name: 'future', Options: [option('n')] }] }]
        })
      }).map(([command, script]) => [command, guarded(script)])
    )
  )
  return { kubo, strangers }
}

test('strict mode, secrets, what Kubo wants to see, sums and metrics come from the file', { timeout: 60_000 }, async () => {
  const { kubo, strangers } = await guardedKubo()
  await using _kubo = kubo
  const [port] = await freePorts()
  const rules = {
    pins: { secret: 'bearer:may-pin', paths: ['/api/v0/pin'] },
    all: { secret: 'basic:ann:hunter2', paths: ['/'] }
  }
  await using daemon = await TestDaemon.start(kubo.api, {
    flotilla: { strictPinning: true, repositorySums: 'local', doorAccess: new Secret(rules), kuboAuthorization: new Secret(kuboSecret) },
    observations: { metrics: { enableStats: true, prometheusEndpoint: parseMultiaddr(`/ip4/127.0.0.1/tcp/${port}`) } }
  })
  const door = { url: `http://127.0.0.1:${daemon.port}` }
  const shows = (authorization: string) => ({ headers: { Authorization: authorization } })
  const ann = shows(`Basic ${Buffer.from('ann:hunter2').toString('base64')}`)

  const refused = await call(door, 'version')
  assert.equal(refused.status, 403)
  assert.match(refused.text, /^Kubo RPC Access Denied: /)
  assert.equal((await call(door, 'repo/stat', shows('Bearer may-pin'))).status, 403)
  assert.equal((await call(door, 'version', shows('Bearer may-pin'))).status, 200)
  assert.deepEqual((await call(door, 'pin/ls', shows('Bearer may-pin'))).text, '{}\n')
  // Of one Kubo, as it says it.
  assert.equal(JSON.parse((await call(door, 'repo/stat?api-auth=hunter2', ann)).text).NumObjects, 3)

  const unknown = await until('the commands are learnt', async () => {
    const answer = await call(door, 'pin/future?arg=x', ann)
    return answer.status === 501 ? answer : undefined
  })
  assert.match(unknown.text, /^pin\/future would pin on one node only/)
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  assert.match(metrics, /^flotilla_unreplicated_pinning_calls_total\{command="pin\/future",fate="refused"\} 1$/m)

  assert.deepEqual(strangers, [], 'Kubo hears its own secret, and none of the clients')
  assert.doesNotMatch(daemon.log, /hunter2|may-pin|kubos-own-word|YW5uOmh1bnRlcjI/)
})

test('how long a pin waits, and whether it is still tried when nobody waits any more', { timeout: 60_000 }, async () => {
  await using kubo = await TestKubo.start()
  await using daemon = await TestDaemon.start(kubo.address, { flotilla: { pinWait: 'committed', keepTrying: true } })
  const door = { url: `http://127.0.0.1:${daemon.port}` }
  const other = 'QmPZ9gcCEpqKTo6aq61g2nXGUhM4iCL3ewB6LDXZCtioEB'
  assert.deepEqual((await call(door, `pin/add?arg=${nowhere}`)).text, `{"Pins":["${nowhere}"]}\n`)
  const late = await call(door, `pin/add?arg=${other}&timeout=300ms`, { headers: { 'X-Flotilla-Wait': 'min' } })
  assert.deepEqual([late.status, JSON.parse(late.text).Message], [500, 'pin: context deadline exceeded'])
  const { Keys } = JSON.parse((await call(door, 'pin/ls?type=recursive')).text)
  assert.deepEqual(Object.keys(Keys).toSorted(), [other, nowhere].toSorted())
})

test('a Kubo behind https is reached by calls that pass, calls that pin, and uploads', { timeout: 60_000 }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-tls-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const files = { key: join(folder, 'key.pem'), certificate: join(folder, 'certificate.pem') }
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  await promisify(execFile)('openssl', [...request, '-keyout', files.key, '-out', files.certificate])
  await using kubo = await TestKubo.start()
  const proxy = createServer({ key: await readFile(files.key), cert: await readFile(files.certificate) }, client => {
    const upstream = connect(kubo.rpc, '127.0.0.1')
    client.pipe(upstream).pipe(client)
    for (const socket of [client, upstream])
      socket.on('error', () => {}).on('close', () => (socket === client ? upstream : client).destroy())
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => proxy.close())
  const { port } = proxy.address() as { port: number }
  const anyPort = [parseMultiaddr('/ip4/127.0.0.1/tcp/0')]
  const node = parseMultiaddr(`/dns4/localhost/tcp/${port}`)
  await using daemon = await TestDaemon.start(
    kubo.address,
    {
      api: {
        restapi: { httpListenMultiaddress: anyPort },
        ipfsproxy: { listenMultiaddress: anyPort, nodeMultiaddress: node, nodeHttps: true }
      }
    },
    { variables: { NODE_EXTRA_CA_CERTS: files.certificate } }
  )
  const door = { url: `http://127.0.0.1:${daemon.port}` }
  assert.match((await call(door, 'version')).text, /"Version":/)
  const form = new FormData()
  form.append('file', new Blob(['over TLS']), 'a')
  const { Hash } = JSON.parse((await call(door, 'add', { body: form })).text) as { Hash: string }
  assert.deepEqual(JSON.parse((await call(door, `pin/add?arg=${Hash}`)).text), { Pins: [Hash] })
  assert.equal((await call(door, `cat?arg=${Hash}`)).text, 'over TLS')
})
