#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --min-semi-space-size=8 --max-semi-space-size=8
/**
 * Starts the command line on a Node that can run it: this one, or the one among the dependencies of a checkout.
 * Plain JavaScript that an old Node understands.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major > 22 || (major === 22 && minor >= 19)) await run()
else runWith(fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url)))

async function run() {
  // The first line of this file may be 127 bytes long on older systems, and these can be set now. Young objects are collected by one thread, and
  // garbage may grow to a quarter of what lives.
  setFlagsFromString('--no-parallel-scavenge')
  setFlagsFromString('--heap-growing-percent=25')
  // Young objects are collected also while old ones are marked, as in Node 22; in Node 24 what is made meanwhile would all grow old. Later ones have no
  // such flag, and say so.
  if (major === 24) setFlagsFromString('--no-separate-gc-phases')
  // A checkout runs as it stands, also where somebody has built it; the package has no sources.
  const source = new URL('./main.ts', import.meta.url)
  const { main } = await import((existsSync(source) ? source : new URL('../dist/cli/main.js', import.meta.url)).href)
  await main(process.argv.slice(2))
}

/** @param {string} node */
function runWith(node) {
  if (!existsSync(node)) {
    console.error(`flotilla needs Node 22.19 or newer; this is ${process.versions.node}`)
    process.exitCode = 1
    return
  }
  const child = spawn(
    node,
    ['--min-semi-space-size=8', '--max-semi-space-size=8', fileURLToPath(import.meta.url), ...process.argv.slice(2)],
    { stdio: 'inherit' }
  )
  const passed = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'])
  for (const signal of passed) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the child as well: passing it on would be a second one.
      const isFromTerminal = (signal === 'SIGINT' || signal === 'SIGQUIT') && process.stdin.isTTY
      if (!isFromTerminal) child.kill(signal)
    })
  }
  child.on('error', error => {
    console.error(`cannot start ${node}: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal ?? 'SIGTERM']
  })
}
