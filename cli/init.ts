/** Writes what a peer needs before its first start: `service.json` and `identity.json`, in the format of ipfs-cluster. */
import { randomBytes } from 'node:crypto'
import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CommandModule } from 'yargs'
import { createIdentity, loadIdentity, writeIdentity } from '../cluster/net/identity.ts'
import { parseMultiaddr } from '../src/codec.ts'
import { type Config, rows } from '../src/config.ts'
import { parseConfig, peerFolder, writeConfig } from '../src/config-file.ts'
import { environment } from '../src/environment.ts'
import { ClusterError, messageOf } from '../src/errors.ts'
import type { PeerId } from '../src/types.ts'

interface InitOptions {
  readonly json: boolean
  readonly force: boolean
  readonly peers: readonly string[]
}

export const initCommand: CommandModule<object, InitOptions> = {
  builder: {
    force: { type: 'boolean', default: false, describe: 'Overwrite an existing service.json; an identity is always kept' },
    peers: { type: 'string', array: true, default: [], describe: 'Addresses of other peers, each with /p2p/<id>' }
  } as never,
  handler: async ({ json, force, peers }) => {
    const folder = peerFolder()
    const { id, isNewIdentity } = await initFolder(folder, fromEnvironment({ 'cluster.peer_addresses': peers.map(parseMultiaddr) }), {
      force
    })
    if (json) process.stdout.write(`${JSON.stringify({ folder, id, config: join(folder, 'service.json') })}\n`)
    else {
      process.stdout.write(`configuration written to ${join(folder, 'service.json')}\n`)
      process.stdout.write(`${isNewIdentity ? 'new identity written to' : 'identity kept in'} ${join(folder, 'identity.json')} (${id})\n`)
      process.stdout.write('Peers of one cluster share cluster.secret: copy it, or set CLUSTER_SECRET, before the others are started.\n')
    }
  }
}

/** @throws ClusterError `cannot_start` where there is a configuration already and `force` is not set; nothing is changed then */
export async function initFolder(
  folder: string,
  changes: Partial<Config>,
  { force }: { force: boolean }
): Promise<{ id: PeerId; isNewIdentity: boolean }> {
  const file = join(folder, 'service.json')
  const identityFile = join(folder, 'identity.json')
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const isNewIdentity = !(await exists(identityFile))
    const identity = isNewIdentity ? await createIdentity() : await loadIdentity(identityFile)
    await writeConfig(file, { 'cluster.secret': randomBytes(32).toString('hex'), ...changes }, { replace: force })
    if (isNewIdentity) await writeIdentity(identityFile, identity)
    return { id: identity.id, isNewIdentity }
  } catch (error) {
    if (error instanceof ClusterError) throw error
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST'
    throw new ClusterError(
      { code: 'cannot_start' },
      isThere ? `${file} exists already: --force overwrites it` : `${folder} cannot be written: ${messageOf(error)}`,
      { cause: error }
    )
  }
}

/** What the variables say goes into the file, as in ipfs-cluster. */
function fromEnvironment(changes: Partial<Config>): Partial<Config> {
  const variables = environment()
  const { config } = parseConfig('{}', { file: 'the environment', variables })
  const named = Object.entries(rows).flatMap(([name, { env }]) =>
    variables[env] === undefined ? [] : [[name, config[name as keyof Config]]]
  )
  return { ...changes, ...Object.fromEntries(named) }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false
  )
}
