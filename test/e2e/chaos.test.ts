/** Process chaos, a short one: real daemons in networks of their own; and the same on daemons with bugs on purpose, which it must find. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { whyNot } from '../chaos/ability.ts'

const program = resolve(import.meta.dirname, '../chaos/main.ts')
const run = promisify(execFile)

interface Summary {
  readonly rounds: number
  readonly violations: number
  readonly undecided: number
  readonly acknowledged: number
}

async function chaos(words: readonly string[]): Promise<{ code: number; summary: Summary; output: string }> {
  const settled = await run(process.execPath, [program, ...words], { maxBuffer: 64 << 20 }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string; stderr: string }) => {
      // 1 is a failed round; anything else is a harness that failed.
      assert.equal(error.code, 1, error.stderr)
      return { code: 1, stdout: error.stdout }
    }
  )
  const lines = settled.stdout.trimEnd().split('\n')
  return { code: settled.code, summary: JSON.parse(lines.at(-1) ?? ''), output: settled.stdout }
}

describe('process chaos', { skip: whyNot() ?? false }, () => {
  for (const [title, nemeses] of [
    ['a kill of all, a cut and a full disk', ['kill-all', 'cut-leader', 'full-disk']],
    ['a one-way cut, a frozen leader, a failing disk and clocks that jump', ['one-way', 'freeze-leader', 'failing-disk', 'clock']]
  ] as const) {
    test(`${title} under load: what clients saw can be explained`, async () => {
      const { summary, output } = await chaos(['--nemesis', nemeses.join(','), '--seconds', '4', '--seed', '1'])
      // How long anything takes is for a quiet machine to say.
      assert.deepEqual([summary.violations, summary.undecided], [0, 0], output)
      assert.equal(summary.rounds, nemeses.length)
      assert.ok(summary.acknowledged > 100, output)
    })
  }

  for (const [mutation, nemesis] of [
    ['votes-for-a-log-that-is-behind', 'lagging-heir'],
    ['takes-half-for-a-majority', 'cut-halves'],
    ['tells-a-follower-to-commit-what-it-may-not-have', 'cut-leader']
  ] as const) {
    test(`a daemon that ${mutation.replaceAll('-', ' ')} is found out`, async () => {
      const outputs: string[] = []
      // What real processes do within some seconds is not the seed's alone: on a busy machine the moment may pass.
      for (const seed of ['5', '6', '7', '8']) {
        const keep = await mkdtemp(join(tmpdir(), 'flotilla-found-out-'))
        const words = ['--mutation', mutation, '--nemesis', nemesis, '--seconds', '6', '--seed', seed, '--keep', keep]
        const { code, summary, output } = await chaos(words).finally(() => rm(keep, { recursive: true }))
        outputs.push(output)
        if (summary.violations === 0) continue
        assert.equal(code, 1, output)
        return
      }
      assert.fail(`not in ${outputs.length} rounds:\n${outputs.join('\n')}`)
    })
  }
})
