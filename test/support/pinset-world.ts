/** A pinset on a real store in a folder of its own, without the log: operations are applied as if they had been agreed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../../cluster/state/open-store.ts'
import { encodeOperation, type PinOperation } from '../../cluster/state/operations.ts'
import { Pinset } from '../../cluster/state/pinset.ts'
import { recordOf } from '../../cluster/state/record.ts'
import { Spaces } from '../../cluster/state/spaces.ts'
import type { Range, Store } from '../../cluster/state/store.ts'
import type { Pin, PinFilter } from '../../src/types.ts'
import { collect } from './stream.ts'

export class PinsetWorld implements AsyncDisposable {
  readonly folder: string
  store!: Store
  state!: Spaces
  pinset!: Pinset
  index = 0
  /** Rows that were read one after the other. */
  read = 0

  constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<PinsetWorld> {
    const world = new PinsetWorld(await mkdtemp(join(tmpdir(), 'flotilla-pinset-')))
    await world.start(await openStore(join(world.folder, 'data'), { engine: 'leveldb' }))
    return world
  }

  async start(store: Store): Promise<void> {
    this.store = store
    const rows = store.rows.bind(store)
    store.rows = async function* (this: PinsetWorld, range: Range, options?: object) {
      for await (const row of rows(range, options)) {
        this.read++
        yield row
      }
    }.bind(this)
    this.state = await Spaces.open(store)
    this.pinset = new Pinset({ state: this.state })
    await this.pinset.start()
  }

  /** One entry each, all in one batch. */
  async apply(...operations: PinOperation[]): Promise<void> {
    const { writes, committed } = await this.pinset.apply(
      operations.map(operation => ({ index: ++this.index, data: encodeOperation(operation) }))
    )
    await this.store.write(this.state.current.writes(writes), { sync: false })
    committed()
  }

  async merge(...pins: Pin[]): Promise<void> {
    await this.apply({ type: 'merge', records: pins.map(recordOf), existing: 'replace' })
  }

  async names(filter: PinFilter): Promise<string[]> {
    return (await collect(this.pinset.find(filter))).map(({ name }) => name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}
