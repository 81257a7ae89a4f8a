/** The store of a folder, brought up to the format of this version: what was written by an older one is rewritten, once, before anybody reads it. */
import type { Log } from '../src/log.ts'
import type { PeerId } from '../src/types.ts'
import { type FolderIdentity, formatVersion, LogStorage } from './consensus/storage.ts'
import { appliedBefore, markersBefore, withoutApplied } from './consensus/upgrade.ts'
import { openStore, type StoreSettings } from './state/open-store.ts'
import { Spaces } from './state/spaces.ts'
import type { Store } from './state/store.ts'
import { indexPins, moveState } from './state/upgrade.ts'

/**
 * @param folder of the store; made if missing
 * @throws ClusterError `cannot_start`: it cannot be used, is in use, damaged, another peer's, or of a newer format
 */
export async function openFolder(
  folder: string,
  { self, log, ...settings }: StoreSettings & { readonly self: PeerId; readonly log?: Log | undefined }
): Promise<Store> {
  await using opened = new AsyncDisposableStack()
  const store = opened.use(await openStore(folder, { ...settings, log }))
  const storage = new LogStorage(store)
  const identity = await storage.identityOf(self)
  if (identity !== undefined && identity.format < formatVersion) {
    log?.info({ from: identity.format, to: formatVersion }, 'folder is brought up to the present format')
    await upgrade(store, storage, identity)
  }
  opened.move()
  return store
}

/** The folder says that it has a format not before all of it is on disk: whatever was cut off is done anew. */
async function upgrade(store: Store, storage: LogStorage, identity: FolderIdentity): Promise<void> {
  if (identity.format < 2) {
    await indexPins(store, await appliedBefore(store))
    await store.write([storage.identified(identity, 2)], { sync: true })
  }
  const { current } = await Spaces.open(store)
  await moveState(store, current)
  const markers = current.writes(await markersBefore(store))
  await store.write([...markers, withoutApplied(), storage.identified(identity)], { sync: true })
}
