/** A REST door on a free port in front of any cluster, and a silent log. */

import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import type { Door } from '../../proxy/http/server.ts'
import { defaultCors } from '../../proxy/rest/cors.ts'
import { openRestDoor, type RestSettings } from '../../proxy/rest/door.ts'
import { socketAddressOf, urlOf } from '../../src/address.ts'
import type { ClusterApi } from '../../src/api.ts'
import { cidOf } from '../../src/codec.ts'
import { openLog } from '../../src/log.ts'
import type { Cid } from '../../src/types.ts'

export const restSettings: RestSettings = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  basicAuth: null,
  headers: {},
  cors: defaultCors,
  maxHeaderBytes: 4_096,
  readTimeoutMs: 0,
  readHeaderTimeoutMs: 5_000,
  idleTimeoutMs: 120_000,
  closeTimeoutMs: 1_000
}

export interface TestDoor extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string
  /** The lines logged so far. */
  readonly logged: readonly string[]
  readonly door: Door
}

export async function openTestDoor(api: ClusterApi, settings: Partial<RestSettings> = {}): Promise<TestDoor> {
  const logged: string[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logged.push(String(chunk))
      done()
    }
  })
  const door = await openRestDoor({ api, log: openLog({ level: 'debug', name: 'test' }, sink) }, { ...restSettings, ...settings })
  return {
    door,
    logged,
    url: urlOf(socketAddressOf(door.addresses[0] ?? '')),
    [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]()
  }
}

/** The CID of some bytes that nobody has. */
export function testCid(seed: number): Cid {
  const digest = createHash('sha256').update(String(seed)).digest()
  return cidOf(CID.createV1(0x55, create(0x12, digest)))
}
