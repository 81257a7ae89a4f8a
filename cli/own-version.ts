/** The version of this program: that of package.json, which is one folder up, or two in the compiled package. */
import { readFileSync } from 'node:fs'

export function ownVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      return String(JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')).version)
    } catch {
      // Not there: the other place has it.
    }
  }
  return 'unknown'
}
