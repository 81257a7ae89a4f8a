/** Two Kubos with one identity and the same content, one of them behind a door: what every comparison starts from. */
import assert from 'node:assert/strict'
import type { ConfigChanges } from '../../../src/config.ts'
import { TestDaemon } from '../../support/daemon.ts'
import { type KuboWish, TestKubo } from '../../support/kubo.ts'
import { type Content, fill } from './case.ts'
import { replaced } from './compare.ts'

export interface Twins extends AsyncDisposable {
  /** Asked directly. */
  readonly plain: TestKubo
  /** Behind the door. */
  readonly behind: TestKubo
  readonly daemon: TestDaemon
  readonly content: Content
}

export async function startTwins({
  configure,
  daemon: changes
}: Pick<KuboWish, 'configure'> & { daemon?: ConfigChanges } = {}): Promise<Twins> {
  await using starting = new AsyncDisposableStack()
  const plain = starting.use(await TestKubo.prepare({ configure }))
  const behind = starting.use(await TestKubo.prepare({ like: plain }))
  await Promise.all([plain.run(), behind.run()])
  const [content, same] = await Promise.all([fill(plain), fill(behind)])
  assert.deepEqual(same, content)
  const daemon = starting.use(await TestDaemon.start(behind.address, changes))
  const owned = starting.move()
  return { plain, behind, daemon, content, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Texts of two sides that differ only because they are two, made the same. */
export function neutral(text: string, { plain, behind, daemon }: Twins): string {
  const ports = [...[plain, behind].flatMap(({ rpc, swarm, gateway }) => [{ rpc }, { swarm }, { gateway }]), { rpc: daemon.port }]
  return replaced(text, [
    [plain.folder, '{folder}'],
    [behind.folder, '{folder}'],
    ...ports.flatMap(named => Object.entries(named).map(([name, port]) => [String(port), `{${name}}`] as const))
  ])
}
