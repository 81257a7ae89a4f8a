/** The store of a folder, brought up to the format of this version: what was written by an older one is rewritten, once, before anybody reads it. */
import type { Log } from '../src/log.ts'
import type { PeerId } from '../src/types.ts'
import { formatVersion, LogStorage } from './consensus/storage.ts'
import { openStore, type StoreSettings } from './state/open-store.ts'
import type { Store } from './state/store.ts'
import { indexPins } from './state/upgrade.ts'

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
    await indexPins(store, await storage.appliedIndex())
    // Not before all of it is on disk: whatever was cut off is done anew.
    await store.write([storage.identified(identity)], { sync: true })
  }
  opened.move()
  return store
}
