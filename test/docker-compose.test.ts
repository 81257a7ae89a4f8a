/**
 * Holds docker-compose.yml to the parts of the compose specification that it uses, and to the code: variables are configuration rows, ports are
 * listened on, commands exist. No Docker engine runs here: that the containers start is not shown.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { socketAddressOf } from '../src/address.ts'
import { places } from '../src/config.ts'

const root = resolve(import.meta.dirname, '..')
const duration = z.string().regex(/^\d+(ms|s|m|h)$/)
const service = z.strictObject({
  image: z.string().optional(),
  build: z.string().optional(),
  restart: z.enum(['no', 'always', 'on-failure', 'unless-stopped']),
  stop_grace_period: duration.optional(),
  healthcheck: z.strictObject({ test: z.array(z.string()).min(2), interval: duration, timeout: duration, retries: z.number().int() }),
  command: z.array(z.string()).optional(),
  depends_on: z
    .record(z.string(), z.strictObject({ condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']) }))
    .optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)).optional(),
  volumes: z.array(z.string().regex(/^[a-z0-9]+:\/[a-z/]+$/))
})
const compose = z.object({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()) })
const file = compose.parse(parse(readFileSync(resolve(root, 'docker-compose.yml'), 'utf8'), { merge: true }))
const services = Object.entries(file.services)
const dockerfile = readFileSync(resolve(root, 'Dockerfile'), 'utf8')

test('three Kubos and three peers, each peer waiting for its own healthy Kubo', () => {
  for (const number of [0, 1, 2]) {
    assert.match(file.services[`kubo${number}`]?.image ?? '', /^ipfs\/kubo:v\d/)
    assert.equal(file.services[`peer${number}`]?.depends_on?.[`kubo${number}`]?.condition, 'service_healthy')
  }
  assert.equal(services.length, 6)
})

test('every volume is named, and none is shared', () => {
  const used = services.flatMap(([, { volumes }]) => volumes.map(volume => volume.split(':')[0]))
  assert.deepEqual(used.toSorted(), Object.keys(file.volumes).toSorted())
})

test('every variable is a row of the configuration, and every address one that the code reads', () => {
  const known = new Set(places.map(({ row }) => row.variable))
  for (const [name, { environment = {} }] of services) {
    for (const [variable, value] of Object.entries(environment)) {
      assert.ok(known.has(variable), `${name}: ${variable} is no variable of ours`)
      if (value.startsWith('/')) socketAddressOf(value)
    }
  }
})

test('the secret comes from outside, and a missing one stops the start with a sentence', () => {
  for (const number of [0, 1, 2])
    assert.match(file.services[`peer${number}`]?.environment?.CLUSTER_SECRET ?? '', /^\$\{CLUSTER_SECRET:\?.+\}$/)
})

test('published ports are those the peers listen on, on this machine only, and no two are the same', () => {
  const published = services.flatMap(([, { ports = [], environment = {} }]) => {
    const listened = Object.entries(environment).flatMap(([name, value]) =>
      /LISTENMULTIADDRESS$/.test(name) ? [value.split('/').at(-1)] : []
    )
    return ports.map(port => {
      const [, outside, inside] = port.split(':')
      assert.ok(listened.includes(inside), `${inside} is not listened on`)
      return outside
    })
  })
  assert.equal(new Set(published).size, published.length)
})

test('commands and files that the containers run exist', () => {
  for (const [, { command, healthcheck }] of services) {
    for (const name of [command?.[0], healthcheck.test[1] === 'flotilla' ? healthcheck.test[2] : undefined]) {
      if (name !== undefined) assert.ok(existsSync(resolve(root, 'cli', `${name}.ts`)), `there is no command ${name}`)
    }
  }
  for (const [, copied = ''] of dockerfile.matchAll(/^COPY (docker-[\w.-]+|package\.json)/gm))
    assert.ok(existsSync(resolve(root, copied)), `${copied} does not exist`)
  assert.match(dockerfile, /^USER node$/m)
})
