/** Clients of other languages, at Kubo and at the door. Where a language is not installed its test is skipped and says so. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { kuboVersion } from '../../../cli/kubo-binary.ts'
import { goProgram, type Program, pythonWith } from '../../support/client-programs.ts'
import { nowhere } from './case.ts'
import { neutral, startTwins, type Twins } from './twins.ts'

const run = promisify(execFile)

/** What the door still does wrong. It is to be empty. */
const pending = [{ of: /^\{"call": "pin\.add"/, reason: 'a pin that is there at once tells of no progress; Kubo tells its last figures' }]

describe('clients of other languages cannot tell the door from Kubo', () => {
  let twins: Twins
  let folder: string
  before(async () => {
    twins = await startTwins()
    folder = await mkdtemp(join(tmpdir(), 'flotilla-clients-'))
    await writeFile(join(folder, 'car'), twins.content.cars[0])
  })
  after(async () => {
    await twins?.[Symbol.asyncDispose]()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  /** One JSON line a call; the first call that differs is shown. */
  async function compare(program: Program, wordsAt: (port: number) => readonly string[], least: number): Promise<string | undefined> {
    if ('missing' in program) return program.missing
    const lines = async (port: number) => {
      const { stdout } = await run(program.path, wordsAt(port), { maxBuffer: 16 << 20, timeout: 60_000 })
      return neutral(stdout, twins).trim().split('\n')
    }
    const direct = await lines(twins.plain.rpc)
    const through = await lines(twins.daemon.port)
    assert.ok(direct.length >= least)
    for (const [number, call] of direct.entries()) {
      if (through[number] === call) continue
      const known = pending.find(({ of }) => of.test(call))
      assert.ok(known, `${through[number]}\n  differs from Kubo's\n${call}`)
      console.warn(`PENDING: ${known.reason}`)
    }
    return undefined
  }

  test('aioipfs (Python)', async t => {
    const program = await pythonWith('aioipfs', '0.7.1')
    const script = join(import.meta.dirname, 'clients', 'aioipfs_calls.py')
    const { small, folder: dir } = twins.content
    const missing = await compare(program, port => [script, `/ip4/127.0.0.1/tcp/${port}`, small, dir, nowhere], 25)
    if (missing !== undefined) skipLoudly(t, missing)
  })

  test('kubo/client/rpc (Go)', { timeout: 600_000 }, async t => {
    const program = await goProgram(join(import.meta.dirname, 'clients', 'rpc.go'), 'github.com/ipfs/kubo', kuboVersion)
    const { small, folder: dir, broken } = twins.content
    const missing = await compare(program, port => [`http://127.0.0.1:${port}`, small, dir, broken, nowhere, join(folder, 'car')], 20)
    if (missing !== undefined) skipLoudly(t, missing)
  })
})

function skipLoudly(t: { skip: (why: string) => void }, reason: string): void {
  console.warn(`SKIPPED: ${reason}`)
  t.skip(reason)
}
