/** Whether this machine can do it: namespaces and mounts are for root, on Linux. */
import { spawnSync } from 'node:child_process'

/** In words for people; `undefined` where it can. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'process chaos needs Linux: it cuts peers off by network namespaces'
  if (process.getuid?.() !== 0) return 'process chaos needs root: it makes network namespaces and mounts'
  for (const [program, ...words] of [
    ['ip', '-V'],
    ['nsenter', '--version'],
    ['fsfreeze', '--version'],
    ['mkfs.ext4', '-V'],
    ['unshare', '--net', '--mount', '--pid', '--fork', 'true']
  ] as const) {
    const { status } = spawnSync(program, words, { stdio: 'ignore' })
    if (status !== 0) return `process chaos needs "${program} ${words.join(' ')}" to work here, and it does not`
  }
  return undefined
}
