/** How fast a peer is to notice that its leader is gone, and what may change about it while the peer runs. */
import type { Config, ConfigChanges } from '../src/config.ts'
import { loadConfig } from '../src/config-file.ts'
import { messageOf } from '../src/errors.ts'
import type { openLog } from '../src/log.ts'

/** What `flotilla init --profile` writes in place of the defaults, by name. */
export const profiles: Readonly<Record<'lan' | 'wan', Pick<ConfigChanges, 'consensus' | 'flotilla'>>> = {
  lan: {},
  // Round trips of 300 ms, and of a second where a packet is lost: an election takes two round trips, and must not begin for one that is late.
  wan: { consensus: { raft: { heartbeatTimeoutMs: 5_000 } }, flotilla: { proposeTimeoutMs: 30_000 } }
}

const tickMs = 25
/** Followers miss a leader after ten heartbeats. */
const heartbeats = 10

interface Settings {
  readonly pace: { readonly tickMs: number; electionMs: number; heartbeatMs: number }
  readonly proposals: { timeoutMs: number; readonly countMax: number; readonly bytesMax: number }
}

export class Timing implements Settings {
  readonly pace = { tickMs, electionMs: 0, heartbeatMs: 0 }
  readonly proposals = { timeoutMs: 0, countMax: 20_000, bytesMax: 64 << 20 }

  constructor(config: Config) {
    this.#set(config)
  }

  /** Until it is disposed, SIGUSR2 has the file read again: timeouts and the level of the log change at once, all else at the next start. */
  followFile(file: string, log: ReturnType<typeof openLog>): Disposable {
    const read = async () => {
      try {
        const { config } = await loadConfig(file)
        this.#set(config)
        log.level = config.flotilla.logLevel
        log.info({ electionMs: this.pace.electionMs, proposeMs: this.proposals.timeoutMs }, 'timeouts read again')
      } catch (error) {
        log.error({ reason: messageOf(error) }, 'timeouts stay as they are')
      }
    }
    const onSignal = () => void read()
    process.on('SIGUSR2', onSignal)
    return { [Symbol.dispose]: () => process.off('SIGUSR2', onSignal) }
  }

  #set({ consensus, flotilla }: Config): void {
    const electionMs = consensus.raft.heartbeatTimeoutMs
    this.pace.electionMs = electionMs
    this.pace.heartbeatMs = Math.max(tickMs, electionMs / heartbeats)
    this.proposals.timeoutMs = flotilla.proposeTimeoutMs
  }
}
