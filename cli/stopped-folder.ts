/** The folder of a peer that does not run, locked for as long as a command works on it. */
import { join } from 'node:path'
import { StoppedPeer } from '../cluster/stopped-peer.ts'
import { configFileOf, loadConfig, peerFolder } from '../src/config-file.ts'
import { lockFolder } from './lock.ts'
import { identityOf } from './peer-folder.ts'

export interface StoppedFolder extends AsyncDisposable {
  readonly folder: string
  readonly peer: StoppedPeer
}

/** @throws ClusterError `cannot_start`: a daemon runs on it, it is no folder of a peer, or its data are damaged */
export async function openStopped(): Promise<StoppedFolder> {
  await using opened = new AsyncDisposableStack()
  const folder = peerFolder()
  const { config } = await loadConfig(configFileOf(folder))
  const { id } = await identityOf(folder)
  opened.use(await lockFolder(folder))
  const { cluster, flotilla } = config
  const peer = opened.use(
    await StoppedPeer.open({
      self: { id, name: cluster.peername },
      dataFolder: join(folder, 'data'),
      store: { engine: flotilla.store },
      factors: { min: cluster.replicationFactorMin, max: cluster.replicationFactorMax }
    })
  )
  const owned = opened.move()
  return { folder, peer, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
