/** A private Kubo for `flotilla up`: no bootstrap, no public routing, its own ports. */
import { execFile } from 'node:child_process'
import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { environment } from '../src/environment.ts'

const run = promisify(execFile)

export interface KuboPorts {
  readonly rpc: number
  readonly gateway: number
  readonly swarm: number
}

/** Makes the repository if there is none, and sets its ports. */
export async function prepareKubo(binary: string, folder: string, { rpc, gateway, swarm }: KuboPorts): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'config')
  const isNew = await access(file).then(
    () => false,
    () => true
  )
  if (isNew) await run(binary, ['init', '--profile', 'test'], { env: { ...environment(), IPFS_PATH: folder } as NodeJS.ProcessEnv })
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, Record<string, unknown>>
  config.Addresses = {
    ...config.Addresses,
    API: `/ip4/127.0.0.1/tcp/${rpc}`,
    Gateway: `/ip4/127.0.0.1/tcp/${gateway}`,
    Swarm: [`/ip4/127.0.0.1/tcp/${swarm}`]
  }
  config.Bootstrap = [] as never
  config.Routing = { ...config.Routing, Type: 'none' }
  config.AutoConf = { ...config.AutoConf, Enabled: false }
  config.Discovery = { MDNS: { Enabled: false } }
  config.Swarm = { ...config.Swarm, DisableNatPortMap: true }
  // Values of "auto" are filled in by the public configuration service, which this private node does not ask.
  config.DNS = { ...config.DNS, Resolvers: {} }
  config.Routing = { ...config.Routing, DelegatedRouters: [] }
  config.Ipns = { ...config.Ipns, DelegatedPublishers: [] }
  if (isNew) config.Datastore = { ...config.Datastore, StorageMax: '100GB' }
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
}

/** Asks until it answers. @returns its peer id */
export async function kuboIsUp(rpc: number, signal: AbortSignal): Promise<string> {
  for (;;) {
    signal.throwIfAborted()
    try {
      const answer = await fetch(`http://127.0.0.1:${rpc}/api/v0/id`, { method: 'POST', signal })
      return ((await answer.json()) as { ID: string }).ID
    } catch {
      signal.throwIfAborted()
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

/** Keeps them connected, also after a restart of one: Kubo dials its `Peering` peers by itself. */
export async function connectKubos(
  kubos: readonly { readonly id: string; readonly rpc: number; readonly swarm: number }[],
  signal: AbortSignal
): Promise<void> {
  for (const one of kubos) {
    for (const other of kubos) {
      if (one === other) continue
      const address = `/ip4/127.0.0.1/tcp/${other.swarm}/p2p/${other.id}`
      await fetch(`http://127.0.0.1:${one.rpc}/api/v0/swarm/peering/add?arg=${encodeURIComponent(address)}`, { method: 'POST', signal })
      await fetch(`http://127.0.0.1:${one.rpc}/api/v0/swarm/connect?arg=${encodeURIComponent(address)}`, { method: 'POST', signal }).catch(
        () => {}
      )
    }
  }
}
