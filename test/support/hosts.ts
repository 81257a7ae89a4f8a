/** Several machines of one operator, who works at one desk. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestHost } from './host.ts'
import { freeBase } from './local-cluster.ts'

export class TestHosts implements AsyncDisposable {
  readonly desk: string
  readonly hosts: readonly TestHost[]

  private constructor(desk: string, hosts: readonly TestHost[]) {
    this.desk = desk
    this.hosts = hosts
  }

  static async open(...names: string[]): Promise<TestHosts> {
    const desk = await mkdtemp(join(tmpdir(), 'flotilla-hosts-'))
    const port = await freeBase(names.length)
    return new TestHosts(desk, await Promise.all(names.map((name, at) => TestHost.open(name, { desk, port: port + 10 * at }))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) await host[Symbol.asyncDispose]()
    await rm(this.desk, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}
