/** What processes cost, from /proc (Linux). */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Ticks of the kernel's clock: 100 a second on every Linux that Node runs on. */
const tickMs = 10

/** Milliseconds of processor time so far, all together. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program, in brackets, may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) * tickMs
  }, 0)
}

/** Resident memory in MiB, as the kernel counts it: pages of the program itself included. `VmHWM` is the most it was. */
export function memoryMiB(pid: number, which: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  return Math.round(memoryKiB(pid, which) / 1_024)
}

export function memoryKiB(pid: number, which: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  return Number(new RegExp(`${which}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
}

/** Waits until the processes have nothing left to do (less than a quarter of a core), or `limitMs`. @returns whether they are done */
export async function settled(pids: readonly number[], limitMs: number): Promise<boolean> {
  for (const end = performance.now() + limitMs; performance.now() < end; ) {
    const before = cpuMs(pids)
    await sleep(500)
    if (cpuMs(pids) - before < 125) return true
  }
  return false
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
